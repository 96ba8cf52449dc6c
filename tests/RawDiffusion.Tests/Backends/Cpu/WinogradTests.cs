using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Tests;

public unsafe class WinogradTests
{
    [Fact]
    public void Six_products_give_four_sums_of_three()
    {
        // y_i = sum over k of g_k d_(i + k). Small whole numbers: what is left is the rounding of the transformed taps.
        float[] d = [3, -1, 4, 1, -5, 9], g = [2, -6, 5];
        float* image = stackalloc float[6 * Simd128.Count], weight = stackalloc float[6 * Simd128.Count];
        Winograd.Image(Of(d[0]), Of(d[1]), Of(d[2]), Of(d[3]), Of(d[4]), Of(d[5]), image, Simd128.Count);
        Winograd.Weight(Of(g[0]), Of(g[1]), Of(g[2]), weight, Simd128.Count);
        var m = Products(image, weight);

        Winograd.Result(m[0], m[1], m[2], m[3], m[4], m[5], out var y0, out var y1, out var y2, out var y3);

        Assert.Equal([Sum(0), Sum(1), Sum(2), Sum(3)], [Lane(y0), Lane(y1), Lane(y2), Lane(y3)], (a, b) => Math.Abs(a - b) < 1e-4);
        float Sum(int i) => g[0] * d[i] + g[1] * d[i + 1] + g[2] * d[i + 2];
    }

    [Fact]
    public void Six_products_give_three_sums_of_four()
    {
        // The gradient of the taps: gg_k = sum over i of gy_i d_(i + k).
        float[] d = [3, -1, 4, 1, -5, 9], gy = [2, -6, 5, 3];
        float* image = stackalloc float[6 * Simd128.Count], grad = stackalloc float[6 * Simd128.Count];
        Winograd.Image(Of(d[0]), Of(d[1]), Of(d[2]), Of(d[3]), Of(d[4]), Of(d[5]), image, Simd128.Count);
        Winograd.GradResult(Of(gy[0]), Of(gy[1]), Of(gy[2]), Of(gy[3]), grad, Simd128.Count);
        var m = Products(image, grad);

        Winograd.GradWeight(m[0], m[1], m[2], m[3], m[4], m[5], out var g0, out var g1, out var g2);

        Assert.Equal([Sum(0), Sum(1), Sum(2)], [Lane(g0), Lane(g1), Lane(g2)], (a, b) => Math.Abs(a - b) < 1e-4);
        float Sum(int k) => gy[0] * d[k] + gy[1] * d[k + 1] + gy[2] * d[k + 2] + gy[3] * d[k + 3];
    }

    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void Every_size_and_padding_gives_what_the_direct_convolution_gives(int bits)
    {
        var random = new Random(3);
        for (int height = 1; height <= 9; height++)
        {
            for (int width = 1; width <= 9; width++)
            {
                int top = random.Next(4), left = random.Next(4);
                int bottom = Math.Max(3 - height - top, random.Next(4)), right = Math.Max(3 - width - left, random.Next(4));
                var g = new Conv2dGeometry(1 + random.Next(3), height, width, 16 + random.Next(3), 16 + random.Next(19), 3, 3, 1, 1, top, bottom, left, right, 1);
                if (bits == 512)
                    AssertDirect<GemmKernel512, Simd512>(g, random);
                else if (bits == 256)
                    AssertDirect<GemmKernel256, Simd256>(g, random);
                else
                    AssertDirect<GemmKernelPortable<Simd128>, Simd128>(g, random);
            }
        }
    }

    /// <summary>
    /// The bounds are twice what was measured, see <see cref="Winograd"/>: root mean square and largest difference from float64, as
    /// parts of the root mean square of the result.
    /// </summary>
    [Theory]
    [InlineData(8, 12, 32)]
    [InlineData(4, 8, 64)]
    [InlineData(1, 12, 300)]
    public void Errs_as_little_as_it_says(int batch, int size, int channels)
    {
        var g = new Conv2dGeometry(batch, size, size, channels, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1);
        var inputs = Inputs(g, new Generator(5));
        var expected = Run(g, inputs, Device.Reference);
        var actual = Run(g, inputs, Device.Cpu);
        var direct = Run(g, inputs, new CpuBackend { UsesWinograd = false });
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.NotEqual(direct[i], actual[i]);
            double scale = Math.Sqrt(expected[i].Average(v => v * v));
            var errors = expected[i].Zip(actual[i], (e, a) => Math.Abs(e - a) / scale).ToArray();
            Assert.InRange(Math.Sqrt(errors.Average(e => e * e)), 0, 2.4e-6);
            Assert.InRange(errors.Max(), 0, 2.2e-5);
        }
    }

    [Fact]
    public void Pays_where_tiles_and_channels_are_many()
    {
        // A UNet's layers, down to its smallest images and to a single sample.
        foreach (int size in new[] { 7, 14, 28 })
        {
            Assert.True(Pays(64, size, 32, 64));
            Assert.True(Pays(64, size, 64, 32));
        }
        Assert.True(Pays(1, 28, 64, 64));
        // First and last layers have no vector of channels on one side; one small image does not pay for transformed weights.
        Assert.False(Pays(64, 28, 1, 64));
        Assert.False(Pays(64, 28, 64, 3));
        Assert.False(Pays(1, 4, 64, 64));
        Assert.False(Pays(64, 1, 64, 64));
    }

    private static bool Pays(int batch, int size, int inputs, int outputs) =>
        Winograd.Pays(ConvPlan.Forward(new Conv2dGeometry(batch, size, size, inputs, outputs, 3, 3, 1, 1, 1, 1, 1, 1, 1)), Simd512.Count);

    private static Simd128 Of(float value) => Simd128.Create(value);

    private static float Lane(Simd128 x) => Simd128.Sum(x) / Simd128.Count;

    private static Simd128[] Products(float* x, float* y) =>
        [.. Enumerable.Range(0, 6).Select(i => Simd128.Load(x + i * Simd128.Count) * Simd128.Load(y + i * Simd128.Count))];

    /// <summary>All three passes, with everything added to the first, against the direct loops.</summary>
    private static void AssertDirect<TKernel, V>(in Conv2dGeometry g, Random random) where TKernel : struct, IGemmKernel where V : struct, ISimd<V>
    {
        var cpu = new CpuBackend();
        float* Make(int count)
        {
            var values = new float[count];
            for (int i = 0; i < count; i++)
                values[i] = (float)(2 * random.NextDouble() - 1);
            return ((CpuStorage)Tensor.From(values, new Shape(count), cpu).Storage).Floats;
        }
        int inputs = g.Batch * g.Height * g.Width * g.InChannels, outputs = g.Batch * g.OutHeight * g.OutWidth * g.OutChannels;
        int weights = g.OutChannels * 9 * g.InChannels;
        using var scope = new MemoryScope();
        float* x = Make(inputs), w = Make(weights), gy = Make(outputs);
        var addends = new ConvAddends(Make(g.OutChannels), Make(g.Batch * g.OutChannels), Make(outputs), silu: g.OutChannels % 2 == 0, sums: null);
        float* expected = Make(Math.Max(Math.Max(inputs, outputs), weights)), actual = Make(Math.Max(Math.Max(inputs, outputs), weights));

        ConvIndirect<V>.Run(cpu, ConvPlan.Forward(g), x, w, addends, expected);
        WinogradConv<TKernel, V>.Run(cpu, ConvPlan.Forward(g), x, w, addends, actual);
        AssertClose(g, "y", outputs, 9 * g.InChannels);

        ConvIndirect<V>.Run(cpu, ConvPlan.GradInput(g, 0, 0), gy, w, default, expected);
        WinogradConv<TKernel, V>.Run(cpu, ConvPlan.GradInput(g, 0, 0), gy, w, default, actual);
        AssertClose(g, "gx", inputs, 9 * g.OutChannels);

        ConvGradWeight<V>.Run(cpu, g, x, gy, expected);
        WinogradGradWeight<TKernel, V>.Run(cpu, g, x, gy, actual);
        AssertClose(g, "gw", weights, g.Batch * g.OutHeight * g.OutWidth);

        // The table of operations' tolerance.
        void AssertClose(in Conv2dGeometry g, string what, int count, int terms)
        {
            for (int i = 0; i < count; i++)
            {
                double tolerance = Math.Sqrt(terms + 3) * (1e-5 + 1.3e-6 * Math.Abs(expected[i]));
                Assert.True(Math.Abs(expected[i] - actual[i]) <= tolerance, $"{g}: {what}[{i}] is {actual[i]} instead of {expected[i]}");
            }
        }
    }

    private static float[][] Inputs(in Conv2dGeometry g, Generator generator) =>
    [
        Tensor.Randn(generator, [g.Batch * g.Height * g.Width * g.InChannels]).ToArray(),
        Tensor.Randn(generator, [g.OutChannels * 9 * g.InChannels]).ToArray(),
        Tensor.Randn(generator, [g.Batch * g.OutHeight * g.OutWidth * g.OutChannels]).ToArray(),
    ];

    /// <summary>y, gx and gw.</summary>
    private static double[][] Run(in Conv2dGeometry g, float[][] inputs, Backend device)
    {
        using var scope = new MemoryScope();
        Storage On(float[] values) => Tensor.From(values, new Shape(values.Length), device).Storage;
        Storage x = On(inputs[0]), w = On(inputs[1]), gy = On(inputs[2]);
        Storage y = On(inputs[2]), gx = On(inputs[0]), gw = On(inputs[1]);
        device.Conv2d(g, x, w, default, y);
        device.Conv2dGradInput(g, gy, w, gx);
        device.Conv2dGradWeight(g, x, gy, gw);
        return [.. new[] { y, gx, gw }.Select(storage =>
        {
            var values = new double[storage.Length];
            device.Download(storage, values);
            return values;
        })];
    }
}
