using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>Standard normals from Philox integers; the formulas are stated at <see cref="Backend.Normal"/>.</summary>
internal static unsafe class NormalKernels
{
    /// <summary>Normals are made this many at a time, in first-level cache; a multiple of all group and vector sizes.</summary>
    public const int Batch = 256;

    private const float TwoToMinus23 = 1f / (1 << 23), TwoToMinus24 = 1f / (1 << 24);

    /// <summary>
    /// Writes <see cref="Batch"/> normals, those of elements 4 * <paramref name="firstBlock"/> and on. A normal is off by at most
    /// 4e-7 relative to the radius sqrt(-2 ln u1) of its pair.
    /// </summary>
    [SkipLocalsInit]
    public static void BoxMuller<V>(PhiloxState state, ulong firstBlock, float* destination) where V : struct, ISimd<V>
    {
        uint* even = stackalloc uint[Batch / 2], odd = stackalloc uint[Batch / 2];
        PhiloxSimd.Pairs(state, firstBlock, Batch / 4, even, odd);
        for (int i = 0; i < Batch / 2; i += V.Count)
        {
            var u1 = (V.LoadHigh24(even + i) + V.Create(1)) * V.Create(TwoToMinus24);
            var radius = V.Sqrt(V.Create(-2) * LogOfUnit(u1));
            SinCosOfTurns(V.LoadHigh24(odd + i) * V.Create(TwoToMinus24), out var sin, out var cos);
            V.StoreInterleaved(radius * cos, radius * sin, destination + 2 * i);
        }
    }

    /// <summary>The same by the inverse of the normal's distribution function.</summary>
    [SkipLocalsInit]
    public static void InverseCdf<V>(PhiloxState state, ulong firstBlock, float* destination) where V : struct, ISimd<V>
    {
        uint* r = stackalloc uint[Batch];
        PhiloxSimd.Blocks(state, firstBlock, Batch / 4, r);
        for (int i = 0; i < Batch; i += V.Count)
        {
            // floor(high 24 bits / 2) are the high 23; every step up to v is exact.
            var high23 = V.Floor(V.LoadHigh24(r + i) * V.Create(0.5f));
            var v = V.MultiplyAdd(high23 + high23 + V.Create(1), V.Create(TwoToMinus23), V.Create(-1));
            V.Store(V.Create(1.41421356f) * ErfInv(v), destination + i);
        }
    }

    /// <summary>
    /// sin(2 pi t) and cos(2 pi t) for t in [0, 1]. The nearest quarter turn is taken off exactly, the rest f in [-1/8, 1/8] goes
    /// into polynomials in f^2 (Chebyshev fits: errors 3e-9 and 2e-10). In all absolute error below 8.5e-8.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void SinCosOfTurns<V>(V t, out V sin, out V cos) where V : struct, ISimd<V>
    {
        var quarter = V.Round(t * V.Create(4));
        var f = V.MultiplyAdd(quarter, V.Create(-0.25f), t);
        var s = f * f;
        var sinOfRest = V.MultiplyAdd(s, V.Create(-75.401611328125f), V.Create(81.59254455566406f));
        sinOfRest = V.MultiplyAdd(s, sinOfRest, V.Create(-41.3416633605957f));
        sinOfRest = V.MultiplyAdd(s, sinOfRest, V.Create(6.2831854820251465f)) * f;
        var cosOfRest = V.MultiplyAdd(s, V.Create(59.42410659790039f), V.Create(-85.44882202148438f));
        cosOfRest = V.MultiplyAdd(s, cosOfRest, V.Create(64.93936920166016f));
        cosOfRest = V.MultiplyAdd(s, cosOfRest, V.Create(-19.739208221435547f));
        cosOfRest = V.MultiplyAdd(s, cosOfRest, V.Create(1));
        // Quarter q of the turn: (sin, cos) -> (cos, -sin) -> (-sin, -cos) -> (-cos, sin), and 4 is 0 again.
        var odd = V.Equal(V.Abs(quarter - V.Create(2)), V.Create(1));
        var sinNegative = V.LessThan(V.Abs(quarter - V.Create(2.5f)), V.Create(1));
        var cosNegative = V.LessThan(V.Abs(quarter - V.Create(1.5f)), V.Create(1));
        var signBit = V.Create(-0f);
        sin = V.Select(odd, cosOfRest, sinOfRest) ^ (sinNegative & signBit);
        cos = V.Select(odd, sinOfRest, cosOfRest) ^ (cosNegative & signBit);
    }

    /// <summary>
    /// ln u for u in (0, 1] that is not denormal, with a relative error below 8.5e-8; without the special cases of
    /// <see cref="VectorMath.Log"/>. u = m 2^e with m in [sqrt(1/2), sqrt(2)), ln m = f - f^2/2 + f^3 P(f) with f = m - 1 and P a
    /// Chebyshev fit (relative error 2e-8).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V LogOfUnit<V>(V u) where V : struct, ISimd<V>
    {
        var m = V.Mantissa(u);
        var upper = V.LessThan(V.Create(1.41421356f), m);
        var e = V.Exponent(u) + (upper & V.Create(1));
        var f = V.Select(upper, m * V.Create(0.5f), m) - V.Create(1);
        var p = V.MultiplyAdd(V.Create(-0.0790274366736412f), f, V.Create(0.12622319161891937f));
        p = V.MultiplyAdd(p, f, V.Create(-0.12998183071613312f));
        p = V.MultiplyAdd(p, f, V.Create(0.14214496314525604f));
        p = V.MultiplyAdd(p, f, V.Create(-0.166412815451622f));
        p = V.MultiplyAdd(p, f, V.Create(0.20001044869422913f));
        p = V.MultiplyAdd(p, f, V.Create(-0.25000306963920593f));
        p = V.MultiplyAdd(p, f, V.Create(0.3333333134651184f));
        var log = V.MultiplyAdd(V.MultiplyAdd(p, f, V.Create(-0.5f)), f * f, f);
        return V.MultiplyAdd(e, V.Create(0.69314718f), log);
    }

    /// <summary>
    /// Inverse error function of v in (-1, 1) by the two polynomials of Giles 2010, "Approximating the erfinv function" (single
    /// precision version): relative error below 2.6e-7 for all arguments that <see cref="InverseCdf"/> makes.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V ErfInv<V>(V v) where V : struct, ISimd<V>
    {
        var one = V.Create(1);
        var w = -LogOfUnit((one - v) * (one + v));
        var c = w - V.Create(2.5f);
        var central = V.MultiplyAdd(V.Create(2.81022636e-08f), c, V.Create(3.43273939e-07f));
        central = V.MultiplyAdd(central, c, V.Create(-3.5233877e-06f));
        central = V.MultiplyAdd(central, c, V.Create(-4.39150654e-06f));
        central = V.MultiplyAdd(central, c, V.Create(0.00021858087f));
        central = V.MultiplyAdd(central, c, V.Create(-0.00125372503f));
        central = V.MultiplyAdd(central, c, V.Create(-0.00417768164f));
        central = V.MultiplyAdd(central, c, V.Create(0.246640727f));
        central = V.MultiplyAdd(central, c, V.Create(1.50140941f));
        var t = V.Sqrt(w) - V.Create(3);
        var tail = V.MultiplyAdd(V.Create(-0.000200214257f), t, V.Create(0.000100950558f));
        tail = V.MultiplyAdd(tail, t, V.Create(0.00134934322f));
        tail = V.MultiplyAdd(tail, t, V.Create(-0.00367342844f));
        tail = V.MultiplyAdd(tail, t, V.Create(0.00573950773f));
        tail = V.MultiplyAdd(tail, t, V.Create(-0.0076224613f));
        tail = V.MultiplyAdd(tail, t, V.Create(0.00943887047f));
        tail = V.MultiplyAdd(tail, t, V.Create(1.00167406f));
        tail = V.MultiplyAdd(tail, t, V.Create(2.83297682f));
        return V.Select(V.LessThan(w, V.Create(5)), central, tail) * v;
    }
}
