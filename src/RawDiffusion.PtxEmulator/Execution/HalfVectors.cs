using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Numbers of 16 bits: IEEE half precision and bfloat16, one by one and by vectors.</summary>
internal static class HalfVectors
{
    /// <summary>The NaN that arithmetic on both formats makes.</summary>
    public const uint NaN = 0x7FFF;

    /// <summary>The halves in the low 16 bits of each element, exactly.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Widen(Vector512<uint> halves)
    {
        // Moves exponent and mantissa into place, then corrects the exponent's bias; infinities and NaN need it twice, subnormal
        // numbers are normalised by a subtraction.
        Vector512<uint> magnitude = Vector512.ShiftLeft(halves & Vector512.Create(0x7FFFu), 13);
        Vector512<uint> exponent = magnitude & Vector512.Create(0x0F800000u);
        Vector512<uint> moved = magnitude + Vector512.Create((127u - 15) << 23);
        Vector512<uint> special = moved + Vector512.Create((128u - 16) << 23);
        Vector512<uint> small = ((moved + Vector512.Create(1u << 23)).AsSingle() - Vector512.Create(113u << 23).AsSingle()).AsUInt32();
        moved = Vector512.ConditionalSelect(Vector512.Equals(exponent, Vector512.Create(0x0F800000u)), special, moved);
        moved = Vector512.ConditionalSelect(Vector512.Equals(exponent, Vector512<uint>.Zero), small, moved);
        return (moved | Vector512.ShiftLeft(halves & Vector512.Create(0x8000u), 16)).AsSingle();
    }

    /// <summary>Rounds to bfloat16, to nearest with ties to even, into the low 16 bits of each element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> NarrowToBrain(Vector512<float> values)
    {
        Vector512<uint> bits = values.AsUInt32();
        Vector512<uint> odd = Vector512.ShiftRightLogical(bits, 16) & Vector512.Create(1u);
        Vector512<uint> rounded = Vector512.ShiftRightLogical(bits + Vector512.Create(0x7FFFu) + odd, 16);
        return Vector512.ConditionalSelect(Vector512.Equals(values, values).AsUInt32(), rounded, Vector512.Create(NaN));
    }

    public static float FromHalf(uint bits) => (float)BitConverter.UInt16BitsToHalf((ushort)bits);

    public static uint ToHalf(float value) => float.IsNaN(value) ? NaN : BitConverter.HalfToUInt16Bits((Half)value);

    public static float FromBrain(uint bits) => BitConverter.UInt32BitsToSingle(bits << 16);

    public static uint ToBrain(float value)
    {
        if (float.IsNaN(value))
            return NaN;
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    }

    /// <summary>
    /// a * b + c rounded to an odd last bit of single precision where it is not exact: rounding that to 16 bits gives what rounding the exact
    /// value would.
    /// </summary>
    public static float FmaToOdd(float a, float b, float c)
    {
        double product = (double)a * b, sum = product + c;
        if (!double.IsFinite(sum))
            return (float)sum;
        double virtualC = sum - product;
        double error = (product - (sum - virtualC)) + (c - virtualC);
        if (error != 0 && (BitConverter.DoubleToInt64Bits(sum) & 1) == 0)
            sum = (error > 0) == (sum > 0) ? BitConverter.Int64BitsToDouble(BitConverter.DoubleToInt64Bits(sum) + 1) : BitConverter.Int64BitsToDouble(BitConverter.DoubleToInt64Bits(sum) - 1);
        return ToOdd(sum);
    }

    /// <summary>Single precision, to odd where not exact. Beyond its range the largest number.</summary>
    public static float ToOdd(double value)
    {
        float result = (float)value;
        if (result == value || double.IsNaN(value))
            return result;
        // Toward zero, then the last bit set.
        if (float.IsInfinity(result))
            return double.IsInfinity(value) ? result : float.CopySign(float.MaxValue, result);
        if (Math.Abs((double)result) > Math.Abs(value))
            result = BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(result) - 1);
        return BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(result) | 1);
    }
}
