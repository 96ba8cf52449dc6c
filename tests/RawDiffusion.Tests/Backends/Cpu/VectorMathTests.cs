using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Tests;

/// <summary>
/// The stated error of every elementary function, against float64 over bit patterns spread evenly through all of float32
/// (so denormals, all magnitudes, infinities and NaN), at every vector width.
/// </summary>
public unsafe class VectorMathTests
{
    private interface IFunction
    {
        static abstract V Of<V>(V x) where V : struct, ISimd<V>;

        static abstract double Exact(double x);
    }

    private struct Exp : IFunction
    {
        public static V Of<V>(V x) where V : struct, ISimd<V> => VectorMath.Exp(x);

        public static double Exact(double x) => Math.Exp(x);
    }

    private struct Log : IFunction
    {
        public static V Of<V>(V x) where V : struct, ISimd<V> => VectorMath.Log(x);

        public static double Exact(double x) => Math.Log(x);
    }

    private struct Log1P : IFunction
    {
        public static V Of<V>(V x) where V : struct, ISimd<V> => VectorMath.Log1P(x);

        // Kahan's: accurate to float64 where 1 + x is rounded.
        public static double Exact(double x) =>
            1 + x == 1 || double.IsInfinity(x) || x <= -1 ? (x <= -1 ? Math.Log(1 + x) : x) : Math.Log(1 + x) * x / (1 + x - 1);
    }

    private struct Sin : IFunction
    {
        public static V Of<V>(V x) where V : struct, ISimd<V> => VectorMath.Sin(x);

        public static double Exact(double x) => Math.Sin(x);
    }

    private struct Cos : IFunction
    {
        public static V Of<V>(V x) where V : struct, ISimd<V> => VectorMath.Cos(x);

        public static double Exact(double x) => Math.Cos(x);
    }

    private struct Tanh : IFunction
    {
        public static V Of<V>(V x) where V : struct, ISimd<V> => VectorMath.Tanh(x);

        public static double Exact(double x) => Math.Tanh(x);
    }

    private struct Sigmoid : IFunction
    {
        public static V Of<V>(V x) where V : struct, ISimd<V> => VectorMath.Sigmoid(x);

        public static double Exact(double x) => 1 / (1 + Math.Exp(-x));
    }

    private struct Softplus : IFunction
    {
        public static V Of<V>(V x) where V : struct, ISimd<V> => VectorMath.Softplus(x);

        public static double Exact(double x) => Math.Max(x, 0) + Log1P.Exact(Math.Exp(-Math.Abs(x)));
    }

    private struct Erf : IFunction
    {
        public static V Of<V>(V x) where V : struct, ISimd<V> => VectorMath.Erf(x);

        public static double Exact(double x) => MathNet.Numerics.SpecialFunctions.Erf(x);
    }

    private struct NormalCdf : IFunction
    {
        public static V Of<V>(V x) where V : struct, ISimd<V> => VectorMath.NormalCdf(x);

        public static double Exact(double x) => 0.5 * MathNet.Numerics.SpecialFunctions.Erfc(-x / Math.Sqrt(2));
    }

    private struct ExpFlush : IFunction
    {
        public static V Of<V>(V x) where V : struct, ISimd<V> => VectorMath.ExpFlush(x);

        public static double Exact(double x) => x < -87.7 ? 0 : x > 88.3 ? double.PositiveInfinity : Math.Exp(x);
    }

    [Fact]
    public void ExpIsWithinItsStatedError() => AssertError<Exp>(1.5);

    [Fact]
    public void ExpFlushIsWithinItsStatedError()
    {
        // Between the last value it gives and the first it does not, either answer is right: left out.
        AssertError<ExpFlush>(1.5, x => x is > -87.6f and < 88.3f or < -87.8f or > 88.8f or float.NaN);
    }

    [Fact]
    public void LogIsWithinItsStatedError() => AssertError<Log>(1.5);

    [Fact]
    public void Log1PIsWithinItsStatedError() => AssertError<Log1P>(2.5);

    [Fact]
    public void SinIsWithinItsStatedError() => AssertError<Sin>(3);

    [Fact]
    public void CosIsWithinItsStatedError() => AssertError<Cos>(3);

    [Fact]
    public void TanhIsWithinItsStatedError() => AssertError<Tanh>(3);

    [Fact]
    public void SigmoidIsWithinItsStatedError() => AssertError<Sigmoid>(3, x => !(x < -87));

    [Fact]
    public void SoftplusIsWithinItsStatedError() => AssertError<Softplus>(2, x => !(x < -87));

    [Fact]
    public void ErfIsWithinItsStatedError() => AssertError<Erf>(2);

    [Fact]
    public void NormalCdfIsWithinItsStatedError()
    {
        AssertError<NormalCdf>(4e-6 / 6e-8, x => !(x <= -5));
        AssertError<NormalCdf>(3e-5 / 6e-8, x => x is > -12 and <= -5);
    }

    [Fact]
    public void SpecialValuesFollowTheRulesOfC()
    {
        Func<int, float, float>[] functions =
            [Evaluate<Exp>, Evaluate<Log>, Evaluate<Sin>, Evaluate<Cos>, Evaluate<Tanh>, Evaluate<Erf>, Evaluate<Sigmoid>, Evaluate<Softplus>];
        foreach (var evaluate in functions)
            Assert.True(float.IsNaN(evaluate(256, float.NaN)));
        Assert.Equal(float.PositiveInfinity, Evaluate<Exp>(256, float.PositiveInfinity));
        Assert.Equal(0, Evaluate<Exp>(256, float.NegativeInfinity));
        Assert.Equal(float.NegativeInfinity, Evaluate<Log>(256, 0));
        Assert.True(float.IsNaN(Evaluate<Log>(256, -1)));
        Assert.True(float.IsNaN(Evaluate<Sin>(256, float.PositiveInfinity)));
        Assert.Equal(-1, Evaluate<Tanh>(256, float.NegativeInfinity));
        Assert.True(float.IsNegative(Evaluate<Sin>(256, -0f)));
        Assert.True(float.IsNegative(Evaluate<Tanh>(256, -0f)));
    }

    [Fact]
    public void PowIsWithinItsStatedError()
    {
        var random = new Random(1);
        for (int i = 0; i < 100_000; i++)
        {
            float x = MathF.Exp((float)(random.NextDouble() * 160 - 80)) * (random.Next(4) == 0 ? -1 : 1);
            float y = i % 3 == 0 ? random.Next(-5, 6) : (float)(random.NextDouble() * 160 - 80) / Math.Max(1, Math.Abs(MathF.Log(Math.Abs(x))));
            AssertUlps(Math.Pow(x, y), Power(x, y), 2, $"pow({x}, {y})");
        }
    }

    [Fact]
    public void PowFollowsTheRulesOfC()
    {
        float[] values =
        [
            0, -0f, 1, -1, 2, -2, 3, -3, 0.5f, -0.5f, 1e-40f, 1e9f, 1e38f, -1e38f,
            float.PositiveInfinity, float.NegativeInfinity, float.NaN,
        ];
        foreach (float x in values)
        {
            foreach (float y in values)
                AssertUlps(Math.Pow(x, y), Power(x, y), 2, $"pow({x}, {y})");
        }
    }

    private static float Power(float x, float y)
    {
        float* lanes = stackalloc float[16];
        Simd256.Store(VectorMath.Pow(Simd256.Create(x), Simd256.Create(y)), lanes);
        return lanes[0];
    }

    private static void AssertError<F>(double ulps, Func<float, bool>? where = null) where F : IFunction
    {
        // An odd stride: every exponent, both signs and all kinds of mantissas are visited.
        for (long bits = 0; bits < 1L << 32; bits += 30_011)
        {
            float x = BitConverter.Int32BitsToSingle((int)bits);
            Check<F>(x, ulps, where);
        }
        // Densely where most arguments are.
        for (float x = -20; x < 20; x += 5e-4f)
            Check<F>(x, ulps, where);
        float[] special =
        [
            0, -0f, float.PositiveInfinity, float.NegativeInfinity, float.NaN, float.Epsilon, -float.Epsilon, float.MaxValue, float.MinValue,
        ];
        foreach (float x in special)
            Check<F>(x, ulps, where);
    }

    private static void Check<F>(float x, double ulps, Func<float, bool>? where) where F : IFunction
    {
        if (where is not null && !where(x))
            return;
        AssertUlps(F.Exact(x), Evaluate<F>(256, x), ulps, $"{typeof(F).Name}({x:g9})");
        if ((BitConverter.SingleToInt32Bits(x) & 255) == 0)
        {
            AssertUlps(F.Exact(x), Evaluate<F>(128, x), ulps, $"{typeof(F).Name}({x:g9}) at 128 bits");
            AssertUlps(F.Exact(x), Evaluate<F>(512, x), ulps, $"{typeof(F).Name}({x:g9}) at 512 bits");
        }
    }

    private static float Evaluate<F>(int bits, float x) where F : IFunction
    {
        float* lanes = stackalloc float[16];
        if (bits == 512)
            Simd512.Store(F.Of(Simd512.Create(x)), lanes);
        else if (bits == 256)
            Simd256.Store(F.Of(Simd256.Create(x)), lanes);
        else
            Simd128.Store(F.Of(Simd128.Create(x)), lanes);
        return lanes[0];
    }

    /// <summary>The distance from the exact value in units of the float32 spacing there.</summary>
    private static void AssertUlps(double exact, float actual, double ulps, string what)
    {
        float rounded = (float)exact;
        if (rounded.Equals(actual) || rounded == actual)
            return;
        // The spacing just below: at a power of two and at the overflow threshold the one above is twice that, or infinite.
        float magnitude = Math.Min(Math.Abs(rounded), float.MaxValue);
        double spacing = (double)magnitude - BitDecrement(magnitude);
        double error = Math.Abs(Math.Clamp(exact, -3.5e38, 3.5e38) - Math.Clamp((double)actual, -3.5e38, 3.5e38)) / spacing;
        if (!(error <= ulps))
            Assert.Fail($"{what} is {actual:g9} instead of {exact:g9}: {error:f2} ulp, stated {ulps}");

        static double BitDecrement(float x) => x == 0 ? -float.Epsilon : MathF.BitDecrement(x);
    }
}
