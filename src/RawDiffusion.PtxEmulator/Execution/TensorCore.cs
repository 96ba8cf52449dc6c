using System.Numerics;
using System.Runtime.CompilerServices;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// The dot products of tensor cores, which are not those of IEEE 754: the products (exact) and the accumulator are aligned to the largest
/// exponent among them, truncated below a fixed number of fraction bits, added exactly, and the sum is truncated to single precision.
/// After MMA-Sim (arXiv 2511.10909 and 2512.07004): 24 bits and steps of 8 products of 16-bit numbers (4 of tf32) on Ampere, 25 bits and
/// one step on Hopper.
/// </summary>
internal static class TensorCore
{
    /// <summary>A number as significand * 2^exponent, where the exponent is that of the format's leading bit, as hardware sees it.</summary>
    internal readonly record struct Operand(int Significand, int Exponent, bool IsSpecial, float Value);

    /// <summary>Significands have 11 bits (f16, tf32) or 8 (bf16), the leading one for subnormal numbers missing.</summary>
    public static Operand Half(uint bits)
    {
        int exponent = (int)(bits >> 10 & 31), mantissa = (int)(bits & 0x3FF);
        bool special = exponent == 31;
        if (exponent == 0)
            exponent = 1;
        else
            mantissa |= 0x400;
        return new Operand((bits & 0x8000) != 0 ? -mantissa : mantissa, exponent - 15 - 10, special, special ? HalfVectors.FromHalf(bits) : 0);
    }

    public static Operand Brain(uint bits) => Single(bits << 16, 16);

    /// <summary>tf32 has 10 fraction bits; those below are not looked at.</summary>
    public static Operand Tf32(uint bits) => Single(bits & 0xFFFFE000, 13);

    private static Operand Single(uint bits, int dropped)
    {
        int exponent = (int)(bits >> 23 & 255), mantissa = (int)(bits & 0x7FFFFF);
        bool special = exponent == 255;
        if (exponent == 0)
            exponent = 1;
        else
            mantissa |= 0x800000;
        mantissa >>= dropped;
        return new Operand((int)bits < 0 ? -mantissa : mantissa, exponent - 150 + dropped, special, BitConverter.UInt32BitsToSingle(bits));
    }

    /// <summary>c + sum of a[k] b[k], one step of the hardware.</summary>
    /// <param name="point">Bits of a significand behind its leading one: 10 for f16 and tf32, 7 for bf16.</param>
    /// <param name="fraction">Fraction bits that are kept when aligning.</param>
    /// <param name="toHalf">Round to f16 (to nearest) rather than truncate to f32.</param>
    public static float Step(ReadOnlySpan<Operand> a, ReadOnlySpan<Operand> b, float c, int point, int fraction, bool toHalf)
    {
        bool special = !float.IsFinite(c);
        int largest = int.MinValue;
        for (int k = 0; k < a.Length; k++)
        {
            special |= a[k].IsSpecial || b[k].IsSpecial;
            if (a[k].Significand != 0 && b[k].Significand != 0)
                largest = Math.Max(largest, a[k].Exponent + b[k].Exponent + 2 * point);
        }
        if (special)
            return Special(a, b, c);
        uint bits = BitConverter.SingleToUInt32Bits(c);
        int cExponent = Math.Max((int)(bits >> 23 & 255), 1), cMantissa = (int)(bits & 0x7FFFFF) | (float.IsSubnormal(c) || c == 0 ? 0 : 0x800000);
        cExponent -= 127;
        if (cMantissa != 0)
            largest = Math.Max(largest, cExponent);
        if (largest == int.MinValue)
            return 0;
        // All terms in units of 2^(largest - fraction), cut toward zero.
        int unit = largest - fraction;
        long sum = Align(cMantissa, cExponent - 23 - unit);
        if (float.IsNegative(c))
            sum = -sum;
        for (int k = 0; k < a.Length; k++)
        {
            int product = a[k].Significand * b[k].Significand;
            long term = Align(Math.Abs((long)product), a[k].Exponent + b[k].Exponent - unit);
            sum += product < 0 ? -term : term;
        }
        if (sum == 0)
            return 0;
        return toHalf ? (float)(Half)HalfVectors.ToOdd(Math.ScaleB((double)sum, unit)) : Truncate(sum, unit);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long Align(long value, int shift) => shift >= 0 ? value << Math.Min(shift, 62) : shift < -62 ? 0 : value >> -shift;

    private static float Truncate(long sum, int unit)
    {
        bool negative = sum < 0;
        ulong magnitude = (ulong)Math.Abs(sum);
        int length = 64 - BitOperations.LeadingZeroCount(magnitude);
        int exponent = unit + length - 1;
        if (exponent > 127)
            return negative ? float.NegativeInfinity : float.PositiveInfinity;
        int lowest = Math.Max(exponent - 23, -149), drop = lowest - unit;
        magnitude = drop >= 0 ? (drop > 63 ? 0 : magnitude >> drop) : magnitude << -drop;
        uint bits = exponent >= -126 ? (uint)(exponent + 127) << 23 | (uint)magnitude & 0x7FFFFF : (uint)magnitude;
        return BitConverter.UInt32BitsToSingle(bits | (negative ? 0x80000000 : 0));
    }

    private static float Special(ReadOnlySpan<Operand> a, ReadOnlySpan<Operand> b, float c)
    {
        double sum = c;
        for (int k = 0; k < a.Length; k++)
            sum += Value(a[k]) * Value(b[k]);
        return double.IsNaN(sum) ? BitConverter.UInt32BitsToSingle(0x7FFFFFFF) : (float)sum;

        static double Value(in Operand operand) => operand.IsSpecial ? operand.Value : Math.ScaleB(operand.Significand, operand.Exponent);
    }
}
