using RawDiffusion.Backends;

namespace RawDiffusion.Tests;

public class SoftmaxTests
{
    public static TheoryData<string> Devices => [.. Device.Names];

    [Theory]
    [MemberData(nameof(Devices))]
    public void LargeInputsDoNotOverflow(string name)
    {
        var x = Tensor.From([1000.0, 1000, -1000], [3], Device.Parse(name));
        Assert.Equal([0.5f, 0.5f, 0], F.Softmax(x).ToArray());
        Assert.Equal(-Math.Log(2), F.LogSoftmax(x).ToDoubleArray()[0], 6);
        Assert.Equal(1000 + Math.Log(2), x.LogSumExp([]).Item(), 3);
        Assert.Equal(2000 + Math.Log(2), F.CrossEntropy(x.Reshape(1, 3), Tensor.From([2], [1], Device.Parse(name))).Item(), 3);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void AMaskedElementGetsNoWeight(string name)
    {
        float minusInfinity = float.NegativeInfinity;
        var x = Tensor.From([minusInfinity, 0, minusInfinity, 0], [4], Device.Parse(name));
        Assert.Equal([0, 0.5f, 0, 0.5f], F.Softmax(x).ToArray());
        var all = Tensor.Full([3], minusInfinity, Device.Parse(name));
        Assert.Equal(double.NegativeInfinity, all.LogSumExp([]).Item());
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void RowsSumToOneAtEveryLength(string name)
    {
        for (int columns = 1; columns < 40; columns++)
        {
            var y = F.Softmax(TestTensors.Random(columns, [3, columns], Device.Parse(name)));
            foreach (float sum in y.Sum(1).ToArray())
                Assert.Equal(1, sum, 1e-6f);
        }
    }

    [Fact]
    public void CrossEntropyChecksItsLabels()
    {
        var logits = Tensor.Zeros([2, 3]);
        Assert.Contains("is not in [0, 3)", Assert.Throws<ArgumentOutOfRangeException>(() => F.CrossEntropy(logits, Tensor.From([0, 3], [2]))).Message);
        Assert.Contains("labels of shape [3] do not fit", Assert.Throws<ArgumentException>(() => F.CrossEntropy(logits, Tensor.From([0, 1, 2], [3]))).Message);
        Assert.Throws<ArgumentException>(() => F.CrossEntropy(logits, Tensor.Zeros([2])));
        Assert.Equal(Math.Log(3), F.CrossEntropy(logits, Tensor.From([0, 2], [2])).Item(), 6);
    }

    [Fact]
    public void MseLossRefusesToBroadcast() =>
        Assert.Throws<ArgumentException>(() => F.MseLoss(Tensor.Zeros([4, 1]), Tensor.Zeros([4])));
}
