using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Powers of two for the inner loops of softmax and SiLU, where exp(x) = 2^(x log2 e) and the factor goes into a multiplication
/// that is there anyway. 2^x = 2^n 2^f with n the nearest integer; 2^f on [-1/2, 1/2] by a minimax polynomial of degree 5.
/// Relative error below 2^-22, and what rounding x itself costs: 2^-24 |x| ln 2. The coefficients are arguments so that loops
/// can hold them in registers.
/// </summary>
internal static class PowerOfTwoMath
{
    public const float Log2E = 1.44269504f, Ln2 = 0.693147181f;

    /// <summary>Coefficients of f^1 ... f^5; that of f^0 is 1.</summary>
    public const float C1 = 0.6931470036506653f, C2 = 0.24022242426872253f, C3 = 0.05550733581185341f;

    /// <inheritdoc cref="C1"/>
    public const float C4 = 0.009671512991189957f, C5 = 0.001326472731307149f;

    /// <summary>2^x for x at most 127; below 2^-126 it stays there. NaN gives NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp2<V>(V x, V lowest, V one, V c1, V c2, V c3, V c4, V c5) where V : struct, ISimd<V>
    {
        x = V.MaxNative(lowest, x);
        V n = V.Round(x);
        return Exp2Fraction(x - n, one, c1, c2, c3, c4, c5) * V.PowerOfTwo(n);
    }

    /// <summary>1 + 2^x for any x; at least 1 and at most 2^126. 1 / (1 + 2^(-x log2 e)) is the logistic function.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V OnePlusExp2<V>(V x, V lowest, V highest, V one, V c1, V c2, V c3, V c4, V c5) where V : struct, ISimd<V>
    {
        x = V.MinNative(highest, V.MaxNative(lowest, x));
        V n = V.Round(x);
        return V.MultiplyAdd(Exp2Fraction(x - n, one, c1, c2, c3, c4, c5), V.PowerOfTwo(n), one);
    }

    // Estrin's order: the chain of dependent operations is half as long as in Horner's, and it is what these loops wait for.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Exp2Fraction<V>(V f, V one, V c1, V c2, V c3, V c4, V c5) where V : struct, ISimd<V>
    {
        V square = f * f;
        V low = V.MultiplyAdd(c1, f, one), middle = V.MultiplyAdd(c3, f, c2), high = V.MultiplyAdd(c5, f, c4);
        return V.MultiplyAdd(V.MultiplyAdd(high, square, middle), square, low);
    }
}
