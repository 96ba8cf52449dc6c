namespace RawDiffusion.Tests;

/// <summary>Values by hand and errors; more shapes, gradients and threads are in the table of operations.</summary>
public class ResamplingTests
{
    public static TheoryData<string> Devices => [.. Device.Names];

    [Theory]
    [MemberData(nameof(Devices))]
    public void Upsampling_repeats_pixels_with_all_their_channels(string name)
    {
        var x = Tensor.From([1f, 2, 3, 4], [1, 1, 2, 2], Device.Parse(name));
        var y = F.UpsampleNearest(x, 2);
        Assert.Equal(new Shape(1, 2, 4, 2), y.Shape);
        Assert.Equal([1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4], y.ToArray());
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Pooling_averages_whole_windows_and_ignores_the_rest(string name)
    {
        var x = Tensor.From([1f, 2, 99, 3, 4, 99, 99, 99, 99], [1, 3, 3, 1], Device.Parse(name)).RequireGrad();
        var y = F.AvgPool2d(x, 2);
        Assert.Equal([2.5f], y.ToArray());
        y.Backward();
        Assert.Equal([0.25f, 0.25f, 0, 0.25f, 0.25f, 0, 0, 0, 0], x.Grad!.ToArray());
    }

    [Fact]
    public void Wrong_shapes_are_named()
    {
        Assert.Contains("avgPool2d: a window of 3 does not fit into [1, 2, 4, 1]", Assert.Throws<ArgumentException>(() => F.AvgPool2d(Tensor.Zeros([1, 2, 4, 1]), 3)).Message);
        Assert.Contains("upsampleNearest: expected [batch, height, width, channels], got [2, 2]", Assert.Throws<ArgumentException>(() => F.UpsampleNearest(Tensor.Zeros([2, 2]), 2)).Message);
        Assert.Contains("factor must be at least 1, not 0", Assert.Throws<ArgumentOutOfRangeException>(() => F.UpsampleNearest(Tensor.Zeros([1, 2, 2, 1]), 0)).Message);
    }
}
