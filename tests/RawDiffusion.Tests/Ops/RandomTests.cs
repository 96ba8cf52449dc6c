using MathNet.Numerics;
using MathNet.Numerics.Distributions;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Tests;

public unsafe class RandomTests
{
    private const int Count = 1 << 18;

    public static TheoryData<NormalMethod> Methods => [NormalMethod.BoxMuller, NormalMethod.InverseCdf];

    [Fact]
    public void Uniform_numbers_are_the_same_on_every_device_and_uniform()
    {
        float[] values = Tensor.Rand(new Generator(1), [Count], device: Device.Cpu).ToArray();
        Assert.Equal(Tensor.Rand(new Generator(1), [Count], device: Device.Reference).ToArray(), values);
        Assert.InRange(values.Min(), 0, 1e-4);
        Assert.InRange(values.Max(), 1 - 1e-4, 1 - 1.0 / (1 << 24));
        Assert.True(KolmogorovSmirnov(values, x => x) < 1.95, "Kolmogorov-Smirnov statistic beyond its 0.1% quantile");
        float[] wide = Tensor.Rand(new Generator(1), [Count], -3, 5, Device.Cpu).ToArray();
        for (int i = 0; i < Count; i++)
            Assert.Equal(-3 + 8 * values[i], wide[i], 1e-6);
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void Normals_are_normal(NormalMethod method)
    {
        float[] values = Tensor.Randn(new Generator(2), [Count], Device.Cpu, method).ToArray();
        double mean = values.Average(x => (double)x);
        double variance = values.Average(x => (x - mean) * (x - mean));
        double third = values.Average(x => Math.Pow(x, 3)), fourth = values.Average(x => Math.Pow(x, 4));
        // Five standard errors of each moment: sqrt of 1, 2, 15 and 96 over the count.
        double error = 5 / Math.Sqrt(Count);
        Assert.InRange(mean, -error, error);
        Assert.InRange(variance, 1 - error * Math.Sqrt(2), 1 + error * Math.Sqrt(2));
        Assert.InRange(third, -error * Math.Sqrt(15), error * Math.Sqrt(15));
        Assert.InRange(fourth, 3 - error * Math.Sqrt(96), 3 + error * Math.Sqrt(96));
        Assert.True(KolmogorovSmirnov(values, x => Normal.CDF(0, 1, x)) < 1.95, "Kolmogorov-Smirnov statistic beyond its 0.1% quantile");
        // Neighbours are independent; the two of a Box-Muller pair above all.
        double correlation = values.Zip(values.Skip(1), (x, y) => (double)x * y).Average();
        double squares = values.Zip(values.Skip(1), (x, y) => ((double)x * x - 1) * ((double)y * y - 1)).Average();
        Assert.InRange(correlation, -error, error);
        Assert.InRange(squares, -2 * error, 2 * error);
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void Normals_on_cpu_are_those_of_reference_into_the_tails(NormalMethod method)
    {
        double[] expected = Tensor.Randn(new Generator(3), [Count + 3], Device.Reference, method).ToDoubleArray();
        double[] actual = Tensor.Randn(new Generator(3), [Count + 3], Device.Cpu, method).ToDoubleArray();
        Assert.True(expected.Max(Math.Abs) > 4.3);
        for (int i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= 1e-6 + 1e-6 * Math.Abs(expected[i]), $"element {i}: {actual[i]:R} instead of {expected[i]:R}");
    }

    [Fact]
    public void Inverse_normal_distribution_of_reference_has_fourteen_digits()
    {
        for (int k = 0; k < 1 << 23; k += k < 1000 || k > (1 << 23) - 1000 ? 1 : 997)
        {
            double v = (2.0 * k + 1) / (1 << 23) - 1;
            double expected = Math.Sqrt(2) * SpecialFunctions.ErfInv(v);
            Assert.Equal(expected, Backends.Reference.ReferenceBackend.NormalQuantile(v / 2), Math.Abs(expected) * 1e-13);
        }
    }

    /// <summary>
    /// Over all 2^23 arguments the largest is 2.6e-7; here every argument near the ends and near 0, and every 31st between.
    /// </summary>
    [Fact]
    public void Inverse_error_function_of_cpu_has_a_relative_error_below_3e_7()
    {
        double largest = 0;
        const int Half = 1 << 22;
        for (int k = 0; k < 2 * Half; k += k < 20000 || k > 2 * Half - 20000 || Math.Abs(k - Half) < 20000 ? 1 : 31)
        {
            float v = (2f * k + 1) / (1 << 23) - 1;
            double expected = SpecialFunctions.ErfInv(v);
            float actual = Simd128.Sum(NormalKernels.ErfInv(Simd128.Create(v))) / 4;
            largest = Math.Max(largest, Math.Abs(actual / expected - 1));
        }
        Assert.True(largest < 3e-7, $"relative error {largest}");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(123456789)]
    public void Normals_have_the_same_bits_for_every_vector_width(int block)
    {
        var state = new PhiloxState(11, 5, 0);
        float* a = stackalloc float[NormalKernels.Batch], b = stackalloc float[NormalKernels.Batch], c = stackalloc float[NormalKernels.Batch];
        NormalKernels.BoxMuller<Simd128>(state, (ulong)block, a);
        NormalKernels.BoxMuller<Simd256>(state, (ulong)block, b);
        NormalKernels.BoxMuller<Simd512>(state, (ulong)block, c);
        Assert.True(new Span<float>(a, NormalKernels.Batch).SequenceEqual(new Span<float>(b, NormalKernels.Batch)));
        Assert.True(new Span<float>(a, NormalKernels.Batch).SequenceEqual(new Span<float>(c, NormalKernels.Batch)));
        NormalKernels.InverseCdf<Simd128>(state, (ulong)block, a);
        NormalKernels.InverseCdf<Simd256>(state, (ulong)block, b);
        NormalKernels.InverseCdf<Simd512>(state, (ulong)block, c);
        Assert.True(new Span<float>(a, NormalKernels.Batch).SequenceEqual(new Span<float>(b, NormalKernels.Batch)));
        Assert.True(new Span<float>(a, NormalKernels.Batch).SequenceEqual(new Span<float>(c, NormalKernels.Batch)));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(-5, 6)]
    [InlineData(int.MinValue, int.MaxValue)]
    [InlineData(-1610612736, 1610612736)]
    public void Integers_are_the_same_on_every_device_and_in_range(int low, int high)
    {
        int[] values = Tensor.RandInt(new Generator(4), low, high, [20001], Device.Cpu).ToInt32Array();
        Assert.Equal(Tensor.RandInt(new Generator(4), low, high, [20001], Device.Reference).ToInt32Array(), values);
        Assert.True(values.Min() >= low && values.Max() < high);
    }

    /// <summary>
    /// Of 2^32 integers modulo 3 2^30, half fall into the first third; multiply-shift without rejection spreads the excess but
    /// doubles every third value. Both would be seen: by thirds, and by the remainder modulo 3.
    /// </summary>
    [Fact]
    public void Integers_have_no_bias_on_a_range_of_three_quarters_of_all()
    {
        const int Low = int.MinValue, High = 1 << 30;
        int[] values = Tensor.RandInt(new Generator(5), Low, High, [Count], Device.Cpu).ToInt32Array();
        int[] thirds = new int[3], remainders = new int[3];
        foreach (int value in values)
        {
            uint integer = (uint)value - unchecked((uint)Low);
            thirds[integer >> 30]++;
            remainders[integer % 3]++;
        }
        double error = 5 * Math.Sqrt(Count * (1.0 / 3) * (2.0 / 3));
        foreach (int count in thirds.Concat(remainders))
            Assert.InRange(count, Count / 3.0 - error, Count / 3.0 + error);
    }

    [Fact]
    public void Permutations_of_four_are_equally_likely()
    {
        var generator = new Generator(6);
        var counts = new Dictionary<string, int>();
        for (int i = 0; i < 24000; i++)
        {
            string order = string.Join(' ', generator.Permutation(4));
            counts[order] = counts.GetValueOrDefault(order) + 1;
        }
        Assert.Equal(24, counts.Count);
        // Chi square with 23 degrees of freedom: 49.7 is its 0.1% quantile.
        Assert.True(counts.Values.Sum(count => (count - 1000.0) * (count - 1000.0) / 1000) < 49.7);
        Assert.Equal(Enumerable.Range(0, 1000), generator.Permutation(1000).Order());
        Assert.Empty(generator.Permutation(0));
    }

    [Fact]
    public void Streams_of_a_seed_differ()
    {
        var generator = new Generator(8);
        float[] a = Tensor.Randn(generator, [1000], Device.Cpu).ToArray(), b = Tensor.Randn(generator.Fork(1), [1000], Device.Cpu).ToArray();
        Assert.InRange(a.Zip(b, (x, y) => x * y).Average(), -0.2, 0.2);
    }

    [Theory]
    [InlineData(0.5)]
    [InlineData(0.1)]
    [InlineData(1.0)]
    public void Dropout_zeroes_the_stated_part_and_its_gradient_has_the_same_mask(double p)
    {
        foreach (string name in Device.Names)
        {
            var x = Tensor.Full([100001], 2, Device.Parse(name)).RequireGrad();
            var y = F.Dropout(x, p, new Generator(9));
            double[] values = y.ToDoubleArray();
            Assert.Equal(p, values.Count(value => value == 0) / 100001.0, 0.008);
            Assert.All(values, value => Assert.True(value == 0 || Math.Abs(value - 2 / (1 - p)) < 1e-6));
            y.Backward(Tensor.Full(x.Shape, 2, x.Device));
            Assert.Equal(values, x.Grad!.ToDoubleArray());
            Assert.Same(x, F.Dropout(x, p, new Generator(9), training: false));
        }
    }

    [Fact]
    public void Dropout_keeps_the_same_elements_on_every_device()
    {
        foreach (double p in new[] { 0.1, 0.25, 1.0 / 3, 0.999999 })
        {
            bool[] cpu = [.. F.Dropout(Tensor.Ones([50000], Device.Cpu), p, new Generator(10)).ToArray().Select(x => x != 0)];
            bool[] reference = [.. F.Dropout(Tensor.Ones([50000], Device.Reference), p, new Generator(10)).ToArray().Select(x => x != 0)];
            Assert.Equal(reference, cpu);
        }
    }

    [Fact]
    public void Wrong_arguments_are_named()
    {
        Assert.Contains("no integers in [3, 3)", Assert.Throws<ArgumentException>(() => Tensor.RandInt(new Generator(0), 3, 3, [1])).Message);
        var x = Tensor.Ones([1]);
        Assert.Contains("[0, 1], not 1.5", Assert.Throws<ArgumentOutOfRangeException>(() => F.Dropout(x, 1.5, new Generator(0))).Message);
    }

    /// <summary>sqrt(n) times the largest distance between the empirical and the given distribution function.</summary>
    private static double KolmogorovSmirnov(float[] values, Func<double, double> distribution)
    {
        values = [.. values.Order()];
        double largest = 0;
        for (int i = 0; i < values.Length; i++)
        {
            double f = distribution(values[i]);
            largest = Math.Max(largest, Math.Max(f - (double)i / values.Length, (i + 1.0) / values.Length - f));
        }
        return largest * Math.Sqrt(values.Length);
    }
}
