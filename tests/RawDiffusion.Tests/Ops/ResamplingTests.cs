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

    /// <summary>In float64 the four small convolutions and the one over the large image differ by the rounding of their sums alone.</summary>
    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 4)]
    [InlineData(5, 2)]
    public void Upsampling_within_a_convolution_is_upsampling_before_it(int height, int width)
    {
        var generator = new Generator(1);
        Tensor Random(params ReadOnlySpan<int> shape) => Tensor.Randn(generator, new Shape(shape), Device.Reference).RequireGrad();
        Tensor x = Random(2, height, width, 3), w = Random(4, 3, 3, 3), b = Random(4), gy = Random(2, 2 * height, 2 * width, 4).Detach();
        Tensor expected = F.Conv2d(F.UpsampleNearest(x, 2), w, b, padding: 1), actual = F.UpsampleConv2d(x, w, b);
        AssertClose(expected, actual);
        Tensor?[] ge = Autograd.Grad(expected, [x, w, b], gy), ga = Autograd.Grad(actual, [x, w, b], gy);
        for (int i = 0; i < ge.Length; i++)
            AssertClose(ge[i]!, ga[i]!);

        static void AssertClose(Tensor e, Tensor a)
        {
            Assert.Equal(e.Shape, a.Shape);
            Assert.All(e.ToDoubleArray().Zip(a.ToDoubleArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-12));
        }
    }

    [Fact]
    public void Wrong_shapes_are_named()
    {
        Assert.Contains("upsampleConv2d: a weight is [Cout, 3, 3, Cin], not [4, 5, 5, 1]", Assert.Throws<ArgumentException>(() => F.UpsampleConv2d(Tensor.Zeros([1, 2, 4, 1]), Tensor.Zeros([4, 5, 5, 1]))).Message);
        Assert.Contains("[1, 2, 4, 1] have 1 channels", Assert.Throws<ArgumentException>(() => F.UpsampleConv2d(Tensor.Zeros([1, 2, 4, 1]), Tensor.Zeros([4, 3, 3, 2]))).Message);
        Assert.Contains("avgPool2d: a window of 3 does not fit into [1, 2, 4, 1]", Assert.Throws<ArgumentException>(() => F.AvgPool2d(Tensor.Zeros([1, 2, 4, 1]), 3)).Message);
        Assert.Contains("upsampleNearest: expected [batch, height, width, channels], got [2, 2]", Assert.Throws<ArgumentException>(() => F.UpsampleNearest(Tensor.Zeros([2, 2]), 2)).Message);
        Assert.Contains("factor must be at least 1, not 0", Assert.Throws<ArgumentOutOfRangeException>(() => F.UpsampleNearest(Tensor.Zeros([1, 2, 2, 1]), 0)).Message);
    }
}
