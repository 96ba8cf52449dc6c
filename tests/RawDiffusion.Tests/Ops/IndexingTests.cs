namespace RawDiffusion.Tests;

/// <summary>Values by hand and errors; more shapes, gradients and threads are in the table of operations.</summary>
public class IndexingTests
{
    public static TheoryData<string> Devices => [.. Device.Names];

    [Theory]
    [MemberData(nameof(Devices))]
    public void Values_are_those_of_pytorch(string name)
    {
        var device = Device.Parse(name);
        var x = Tensor.From([0f, 1, 2, 3, 4, 5], [2, 3], device);
        Assert.Equal([3, 4, 5, 0, 1, 2, 3, 4, 5], F.Embedding(Tensor.From([1, 0, 1], [3], device), x).ToArray());
        Assert.Equal([0, 4, 2], x.Gather(0, Tensor.From([0, 1, 0], [1, 3], device)).ToArray());
        Assert.Equal([2, 0, 4, 5], x.Gather(1, Tensor.From([2, 0, 1, 2], [2, 2], device)).ToArray());
        Assert.Equal([2, 0, 2, 5, 3, 5], x.IndexSelect(1, Tensor.From([2, 0, 2], [3], device)).ToArray());
        var hot = Tensor.From([2, 0], [2, 1], device).OneHot(3);
        Assert.Equal(new Shape(2, 1, 3), hot.Shape);
        Assert.Equal([0, 0, 1, 1, 0, 0], hot.ToArray());
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Gradients_of_repeated_indices_add_up_and_others_are_zero(string name)
    {
        var device = Device.Parse(name);
        var weight = Tensor.Zeros([4, 2], device).RequireGrad();
        var index = Tensor.From([2, 0, 2], [3], device);
        F.Embedding(index, weight).Backward(Tensor.From([1f, 2, 3, 4, 5, 6], [3, 2], device));
        Assert.Equal([3, 4, 0, 0, 6, 8, 0, 0], weight.Grad!.ToArray());
    }

    [Fact]
    public void Indices_outside_are_named()
    {
        var x = Tensor.Zeros([2, 3]);
        Assert.Contains(
            "embedding: index 2 (element 1 of [2]) is not in [0, 2)",
            Assert.Throws<ArgumentOutOfRangeException>(() => F.Embedding(Tensor.From([1, 2], [2]), x)).Message);
        Assert.Contains("gather: index -1", Assert.Throws<ArgumentOutOfRangeException>(() => x.Gather(1, Tensor.From([0, -1], [2, 1]))).Message);
        Assert.Contains("oneHot: index 7", Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.From([7], [1]).OneHot(7)).Message);
        Assert.Contains("indexSelect: index 3", Assert.Throws<ArgumentOutOfRangeException>(() => x.IndexSelect(1, Tensor.From([3], [1]))).Message);
        Assert.Contains("gather: an index of shape [1, 2] does not fit [2, 3]", Assert.Throws<ArgumentException>(() => x.Gather(1, Tensor.From([0, 1], [1, 2]))).Message);
        Assert.Contains("expected an Int32 tensor", Assert.Throws<ArgumentException>(() => F.Embedding(x, x)).Message);
    }
}
