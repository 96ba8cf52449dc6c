using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>The four roundings of PTX as type arguments.</summary>
internal interface IRounding
{
    static abstract Rounding Mode { get; }
}

internal struct ToNearest : IRounding
{
    public static Rounding Mode => Rounding.Nearest;
}

internal struct ToZero : IRounding
{
    public static Rounding Mode => Rounding.Zero;
}

internal struct ToMinus : IRounding
{
    public static Rounding Mode => Rounding.Down;
}

internal struct ToPlus : IRounding
{
    public static Rounding Mode => Rounding.Up;
}

/// <summary>
/// Sums, products and the like with a rounding: by the rounding modes of AVX-512 instructions, elsewhere by exact arithmetic.
/// </summary>
internal static class DirectedRounding
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add<TRound>(Vector512<float> a, Vector512<float> b)
        where TRound : struct, IRounding
    {
        if (typeof(TRound) == typeof(ToNearest))
            return a + b;
        if (!Avx512F.IsSupported)
            return Fma<TRound>(a, Vector512.Create(1f), b);
        if (typeof(TRound) == typeof(ToZero))
            return Avx512F.Add(a, b, FloatRoundingMode.ToZero);
        return typeof(TRound) == typeof(ToMinus)
            ? Avx512F.Add(a, b, FloatRoundingMode.ToNegativeInfinity)
            : Avx512F.Add(a, b, FloatRoundingMode.ToPositiveInfinity);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Multiply<TRound>(Vector512<float> a, Vector512<float> b)
        where TRound : struct, IRounding
    {
        if (typeof(TRound) == typeof(ToNearest))
            return a * b;
        if (!Avx512F.IsSupported)
            return MultiplyEach(a, b, TRound.Mode);
        if (typeof(TRound) == typeof(ToZero))
            return Avx512F.Multiply(a, b, FloatRoundingMode.ToZero);
        return typeof(TRound) == typeof(ToMinus)
            ? Avx512F.Multiply(a, b, FloatRoundingMode.ToNegativeInfinity)
            : Avx512F.Multiply(a, b, FloatRoundingMode.ToPositiveInfinity);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Fma<TRound>(Vector512<float> a, Vector512<float> b, Vector512<float> c)
        where TRound : struct, IRounding
    {
        if (typeof(TRound) == typeof(ToNearest))
            return Vector512.FusedMultiplyAdd(a, b, c);
        if (!Avx512F.IsSupported)
            return FmaEach(a, b, c, TRound.Mode);
        if (typeof(TRound) == typeof(ToZero))
            return Avx512F.FusedMultiplyAdd(a, b, c, FloatRoundingMode.ToZero);
        return typeof(TRound) == typeof(ToMinus)
            ? Avx512F.FusedMultiplyAdd(a, b, c, FloatRoundingMode.ToNegativeInfinity)
            : Avx512F.FusedMultiplyAdd(a, b, c, FloatRoundingMode.ToPositiveInfinity);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Add<TRound>(Vector512<double> a, Vector512<double> b)
        where TRound : struct, IRounding
    {
        if (typeof(TRound) == typeof(ToNearest))
            return a + b;
        if (!Avx512F.IsSupported)
            return FmaEach(a, Vector512.Create(1.0), b, TRound.Mode);
        if (typeof(TRound) == typeof(ToZero))
            return Avx512F.Add(a, b, FloatRoundingMode.ToZero);
        return typeof(TRound) == typeof(ToMinus)
            ? Avx512F.Add(a, b, FloatRoundingMode.ToNegativeInfinity)
            : Avx512F.Add(a, b, FloatRoundingMode.ToPositiveInfinity);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Multiply<TRound>(Vector512<double> a, Vector512<double> b)
        where TRound : struct, IRounding
    {
        if (typeof(TRound) == typeof(ToNearest))
            return a * b;
        if (!Avx512F.IsSupported)
            return MultiplyEach(a, b, TRound.Mode);
        if (typeof(TRound) == typeof(ToZero))
            return Avx512F.Multiply(a, b, FloatRoundingMode.ToZero);
        return typeof(TRound) == typeof(ToMinus)
            ? Avx512F.Multiply(a, b, FloatRoundingMode.ToNegativeInfinity)
            : Avx512F.Multiply(a, b, FloatRoundingMode.ToPositiveInfinity);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Fma<TRound>(Vector512<double> a, Vector512<double> b, Vector512<double> c)
        where TRound : struct, IRounding
    {
        if (typeof(TRound) == typeof(ToNearest))
            return Vector512.FusedMultiplyAdd(a, b, c);
        if (!Avx512F.IsSupported)
            return FmaEach(a, b, c, TRound.Mode);
        if (typeof(TRound) == typeof(ToZero))
            return Avx512F.FusedMultiplyAdd(a, b, c, FloatRoundingMode.ToZero);
        return typeof(TRound) == typeof(ToMinus)
            ? Avx512F.FusedMultiplyAdd(a, b, c, FloatRoundingMode.ToNegativeInfinity)
            : Avx512F.FusedMultiplyAdd(a, b, c, FloatRoundingMode.ToPositiveInfinity);
    }

    /// <summary>a * b + c of single precision, through double precision: the product is exact there, and the error of the sum too.</summary>
    public static float Fma(float a, float b, float c, Rounding mode)
    {
        double product = (double)a * b, sum = product + c;
        if (!double.IsFinite(sum))
            return (float)sum;
        double virtualC = sum - product;
        double error = (product - (sum - virtualC)) + (c - virtualC);
        if (sum == 0)
            return mode == Rounding.Down && !(product == 0 && c == 0 && !double.IsNegative(product) && !float.IsNegative(c)) ? -0f : (float)sum;
        float rounded = (float)sum;
        // Which side of the exact value the rounded one lies on. An infinite one came from a finite value.
        double difference = sum - rounded;
        int side = double.IsInfinity(difference) ? Math.Sign(difference) : difference != 0 ? Math.Sign(difference) : Math.Sign(error);
        if (side == 0)
            return rounded;
        bool up = mode == Rounding.Up || (mode == Rounding.Zero && sum < 0);
        return up ? (side > 0 ? float.BitIncrement(rounded) : rounded) : (side < 0 ? float.BitDecrement(rounded) : rounded);
    }

    private static Vector512<float> FmaEach(Vector512<float> a, Vector512<float> b, Vector512<float> c, Rounding mode)
    {
        Span<float> result = stackalloc float[16];
        for (int k = 0; k < 16; k++)
            result[k] = Fma(a[k], b[k], c[k], mode);
        return Vector512.Create<float>(result);
    }

    private static Vector512<float> MultiplyEach(Vector512<float> a, Vector512<float> b, Rounding mode)
    {
        Span<float> result = stackalloc float[16];
        for (int k = 0; k < 16; k++)
        {
            // Adding a zero of the product's sign changes no product, not even a zero.
            float zero = float.IsNegative(a[k]) != float.IsNegative(b[k]) ? -0f : 0f;
            result[k] = Fma(a[k], b[k], zero, mode);
        }
        return Vector512.Create<float>(result);
    }

    private static Vector512<double> FmaEach(Vector512<double> a, Vector512<double> b, Vector512<double> c, Rounding mode)
    {
        Span<double> result = stackalloc double[8];
        for (int k = 0; k < 8; k++)
            result[k] = ExactRounding.Fma(a[k], b[k], c[k], mode, FloatFormat.Double);
        return Vector512.Create<double>(result);
    }

    private static Vector512<double> MultiplyEach(Vector512<double> a, Vector512<double> b, Rounding mode)
    {
        Span<double> result = stackalloc double[8];
        for (int k = 0; k < 8; k++)
            result[k] = ExactRounding.Multiply(a[k], b[k], mode, FloatFormat.Double);
        return Vector512.Create<double>(result);
    }
}
