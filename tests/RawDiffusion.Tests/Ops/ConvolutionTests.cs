using RawDiffusion.Verification;

namespace RawDiffusion.Tests.Ops;

public class ConvolutionTests
{
    public static TheoryData<string> Devices => [.. Device.Names];

    [Theory]
    [MemberData(nameof(Devices))]
    public void Is_cross_correlation_with_zero_padding(string device)
    {
        // 3 x 3 image, 2 x 2 kernel, padded above and on the left only. Worked out by hand.
        var x = Tensor.From(new float[] { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, [1, 3, 3, 1], Device.Parse(device));
        var w = Tensor.From(new float[] { 1, 10, 100, 1000 }, [1, 2, 2, 1], Device.Parse(device));
        var b = Tensor.From(new float[] { 0.5f }, [1], Device.Parse(device));
        var y = F.Conv2d(x, w, b, new Conv2dOptions { PadTop = 1, PadLeft = 1 });
        Assert.Equal<float>(
            [1000.5f, 2100.5f, 3200.5f, 4010.5f, 5421.5f, 6532.5f, 7040.5f, 8754.5f, 9865.5f],
            y.ToArray());
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Groups_do_not_see_each_other(string device)
    {
        // Two groups of one channel in, two out: outputs 0, 1 scale channel 0 and outputs 2, 3 channel 1.
        var x = Tensor.From(new float[] { 3, 5 }, [1, 1, 1, 2], Device.Parse(device));
        var w = Tensor.From(new float[] { 1, 2, 10, 20 }, [4, 1, 1, 1], Device.Parse(device));
        Assert.Equal<float>([3, 6, 50, 100], F.Conv2d(x, w, groups: 2).ToArray());
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Gradients_are_those_of_the_sum_of_products(string device)
    {
        // y0 = x0 w0 + x1 w1, y1 = x1 w0 + x2 w1.
        var x = Tensor.From(new float[] { 2, 3, 5 }, [1, 1, 3, 1], Device.Parse(device)).RequireGrad();
        var w = Tensor.From(new float[] { 7, 11 }, [1, 1, 2, 1], Device.Parse(device)).RequireGrad();
        var y = F.Conv2d(x, w);
        y.Backward(Tensor.From(new float[] { 1, 10 }, y.Shape, Device.Parse(device)));
        Assert.Equal<float>([7, 11 + 70, 110], x.Grad!.ToArray());
        Assert.Equal<float>([2 + 30, 3 + 50], w.Grad!.ToArray());
    }

    [Fact]
    public void Pixels_that_no_output_reads_have_gradient_zero()
    {
        // Stride 3 over width 6 with a kernel of 2 reads columns 0, 1, 3, 4.
        var x = Tensor.Ones([1, 1, 6, 1], Device.Cpu).RequireGrad();
        var w = Tensor.Ones([1, 1, 2, 1], Device.Cpu);
        var y = F.Conv2d(x, w, stride: 3);
        y.Backward(Tensor.Ones(y.Shape, Device.Cpu));
        Assert.Equal<float>([1, 1, 0, 1, 1, 0], x.Grad!.ToArray());
    }

    [Fact]
    public void Second_derivative_is_a_convolution_again()
    {
        // gw = sum over pixels of gy x, so with v for gw: d<gw, v>/dx is the input gradient of gy through v.
        var x = Tensor.From(new float[] { 2, 3, 5 }, [1, 1, 3, 1]).RequireGrad();
        var w = Tensor.From(new float[] { 7, 11 }, [1, 1, 2, 1]).RequireGrad();
        var y = F.Conv2d(x, w);
        var gw = Autograd.Grad(y, [w], Tensor.From(new float[] { 1, 10 }, y.Shape), createGraph: true)[0]!;
        var v = Tensor.From(new float[] { 1, 100 }, w.Shape);
        Assert.Equal<float>([1, 110, 1000], Autograd.Grad(gw, [x], v)[0]!.ToArray());
    }

    [Fact]
    public void An_empty_batch_gives_an_empty_output_and_zero_weight_gradient()
    {
        var x = Tensor.Zeros([0, 4, 4, 3]).RequireGrad();
        var w = Tensor.Ones([2, 3, 3, 3]).RequireGrad();
        var y = F.Conv2d(x, w, padding: 1);
        Assert.Equal(new Shape(0, 4, 4, 2), y.Shape);
        y.Backward(Tensor.Zeros(y.Shape));
        Assert.All(w.Grad!.ToArray(), value => Assert.Equal(0f, value));
        Assert.Equal(0, x.Grad!.Count);
    }

    [Theory]
    [InlineData(new[] { 1, 4, 4 }, new[] { 2, 3, 3, 3 }, 1, 0, 1, "[1, 4, 4]")]
    [InlineData(new[] { 1, 4, 4, 3 }, new[] { 2, 3, 3 }, 1, 0, 1, "[2, 3, 3]")]
    [InlineData(new[] { 1, 4, 4, 3 }, new[] { 2, 3, 3, 4 }, 1, 0, 1, "3 channels")]
    [InlineData(new[] { 1, 4, 4, 4 }, new[] { 3, 3, 3, 2 }, 1, 0, 2, "2 groups")]
    [InlineData(new[] { 1, 4, 4, 3 }, new[] { 2, 5, 5, 3 }, 1, 0, 1, "larger than the padded image")]
    [InlineData(new[] { 1, 4, 4, 3 }, new[] { 2, 3, 3, 3 }, 0, 0, 1, "stride")]
    [InlineData(new[] { 1, 4, 4, 3 }, new[] { 2, 3, 3, 3 }, 1, -1, 1, "negative")]
    [InlineData(new[] { 1, 4, 4, 3 }, new[] { 2, 3, 3, 3 }, 1, 0, 0, "groups")]
    [InlineData(new[] { 1, 4, 4, 3 }, new[] { 0, 3, 3, 3 }, 1, 0, 1, "empty")]
    public void Misfits_are_named(int[] image, int[] weight, int stride, int padding, int groups, string part)
    {
        var x = Tensor.Zeros(new Shape(image));
        var w = Tensor.Zeros(new Shape(weight));
        var e = Assert.ThrowsAny<ArgumentException>(() => F.Conv2d(x, w, stride: stride, padding: padding, groups: groups));
        Assert.Contains("conv2d", e.Message);
        Assert.Contains(part, e.Message);
    }

    [Fact]
    public void A_bias_of_the_wrong_length_is_named()
    {
        var e = Assert.ThrowsAny<ArgumentException>(
            () => F.Conv2d(Tensor.Zeros([1, 4, 4, 3]), Tensor.Zeros([2, 3, 3, 3]), Tensor.Zeros([3])));
        Assert.Contains("[3]", e.Message);
    }

    [Theory]
    [InlineData(new[] { 3, 5 }, new[] { 2, 4, 4, 5 }, "sampleBias", "[3, 5]")]
    [InlineData(new[] { 5 }, new[] { 2, 4, 4, 5 }, "sampleBias", "[2, 5]")]
    [InlineData(new[] { 2, 5 }, new[] { 2, 4, 4, 3 }, "residual", "[2, 4, 4, 3]")]
    [InlineData(new[] { 2, 5 }, new[] { 2, 80 }, "residual", "[2, 4, 4, 5]")]
    public void A_misfit_among_what_is_added_is_named(int[] sampleBias, int[] residual, string what, string shape)
    {
        Tensor x = Tensor.Zeros([2, 4, 4, 3]), w = Tensor.Zeros([5, 3, 3, 3]);
        var e = Assert.ThrowsAny<ArgumentException>(
            () => F.Conv2d(x, w, padding: 1, sampleBias: Tensor.Zeros(new Shape(sampleBias)), residual: Tensor.Zeros(new Shape(residual))));
        Assert.Contains(what, e.Message);
        Assert.Contains(shape, e.Message);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void What_is_added_arrives_in_every_pixel_and_its_gradients_are_sums(string device)
    {
        // Two samples of 1 x 2 pixels, one channel to two; a kernel of one tap. y = x w + bias + sampleBias + residual.
        var x = Tensor.From(new float[] { 1, 2, 3, 4 }, [2, 1, 2, 1], Device.Parse(device));
        var w = Tensor.From(new float[] { 1, 10 }, [2, 1, 1, 1], Device.Parse(device));
        var bias = Tensor.From(new float[] { 0.5f, 0.25f }, [2], Device.Parse(device)).RequireGrad();
        var sampleBias = Tensor.From(new float[] { 100, 200, 300, 400 }, [2, 2], Device.Parse(device)).RequireGrad();
        var residual = Tensor.From(new float[] { 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000 }, [2, 1, 2, 2], Device.Parse(device)).RequireGrad();
        var y = F.Conv2d(x, w, bias, sampleBias: sampleBias, residual: residual);
        Assert.Equal<float>([1101.5f, 2210.25f, 3102.5f, 4220.25f, 5303.5f, 6430.25f, 7304.5f, 8440.25f], y.ToArray());
        var g = Tensor.From(new float[] { 1, 2, 3, 4, 5, 6, 7, 8 }, y.Shape, Device.Parse(device));
        y.Backward(g);
        Assert.Equal<float>([1 + 3, 2 + 4, 5 + 7, 6 + 8], sampleBias.Grad!.ToArray());
        Assert.Equal<float>([1 + 3 + 5 + 7, 2 + 4 + 6 + 8], bias.Grad!.ToArray());
        Assert.Equal(g.ToArray(), residual.Grad!.ToArray());
    }

    [Fact]
    public void Cpu_agrees_with_reference_on_every_row()
    {
        foreach (var row in OperationTable.All.Where(c => c.Operation == "conv2d"))
        {
            var random = new Random(1);
            var values = row.Inputs.Select(i => Values(random, i.Shape.Count)).ToArray();
            float[] seed = [];
            var expected = Evaluate(row, values, ref seed, random, Device.Reference);
            var actual = Evaluate(row, values, ref seed, random, Device.Cpu);
            for (int i = 0; i < expected.Length; i++)
            {
                // PyTorch's float32 tolerances, which grow with the root of the number of rounded terms.
                double scale = Math.Sqrt(i == 0 ? row.ReductionLength : row.GradientReductionLength);
                for (int j = 0; j < expected[i].Length; j++)
                {
                    double error = Math.Abs(expected[i][j] - actual[i][j]);
                    Assert.True(
                        error <= scale * (1e-5 + 1.3e-6 * Math.Abs(expected[i][j])),
                        $"{row}, {(i == 0 ? "output" : $"gradient {i - 1}")}[{j}]: {actual[i][j]} instead of {expected[i][j]}");
                }
            }
        }
    }

    private static double[][] Evaluate(OperationCase row, float[][] values, ref float[] seed, Random random, Backends.Backend device)
    {
        var inputs = values.Select((v, i) => Tensor.From(v, row.Inputs[i].Shape, device).RequireGrad()).ToArray();
        var y = row.Run(inputs);
        if (seed.Length == 0)
            seed = Values(random, y.Count);
        // The bias's gradient is a sum, verified with the reductions.
        var gradients = Autograd.Grad(y, inputs.AsSpan(0, 2), Tensor.From(seed, y.Shape, device));
        return [y.ToDoubleArray(), .. gradients.Select(g => g!.ToDoubleArray())];
    }

    internal static float[] Values(Random random, int count)
    {
        var values = new float[count];
        for (int i = 0; i < count; i++)
            values[i] = (float)(2 * random.NextDouble() - 1);
        return values;
    }
}
