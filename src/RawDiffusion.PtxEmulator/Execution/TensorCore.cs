using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// The dot products of tensor cores, which are not those of IEEE 754: the products (exact) and the accumulator are aligned to the largest
/// exponent among them, truncated below a fixed number of fraction bits, added exactly, and the sum is truncated to single precision.
/// After MMA-Sim (arXiv 2511.10909 and 2512.07004): 24 bits and steps of 8 products of 16-bit numbers (4 of tf32) on Ampere, 25 bits and
/// one step on Hopper.
/// </summary>
/// <remarks>
/// All of it is done in double precision, four products at a time. Doubles hold a product of two significands of 11 bits, its multiples by
/// powers of two, and sums of whole numbers below 2^53 exactly, so truncating is the only thing that loses anything, as on hardware.
/// </remarks>
internal static class TensorCore
{
    /// <summary>
    /// Numbers to be multiplied, with their exponents as hardware sees them: of the format's leading bit, also where the number is subnormal
    /// and lacks it.
    /// </summary>
    internal sealed class Operands(int count)
    {
        public readonly double[] Values = new double[count];

        public readonly int[] Exponents = new int[count];

        public void Half(int at, uint bits) => Set(at, HalfVectors.FromHalf(bits), Math.Max((int)(bits >> 10 & 31), 1) - 15);

        public void Brain(int at, uint bits) => Single(at, bits << 16);

        /// <summary>tf32 has 10 fraction bits; those below are not looked at.</summary>
        public void Tf32(int at, uint bits) => Single(at, bits & 0xFFFFE000);

        private void Single(int at, uint bits) => Set(at, BitConverter.UInt32BitsToSingle(bits), Math.Max((int)(bits >> 23 & 255), 1) - 127);

        private void Set(int at, float value, int exponent) =>
            (Values[at], Exponents[at]) = (value, value == 0 ? Zero : float.IsFinite(value) ? exponent : Special);
    }

    /// <summary>
    /// Exponents of zero, which must not move the others, and of infinity and NaN: they stand out in any sum of two, and something special
    /// outweighs a zero, since the product of the two is NaN.
    /// </summary>
    private const int Zero = -10_000, Special = 100_000;

    /// <summary>c + sum of a[k] b[k], one step of the hardware: 4, 8 or 16 products, from an index on.</summary>
    /// <param name="fraction">Fraction bits that are kept when aligning.</param>
    /// <param name="toHalf">Round to f16 (to nearest) rather than truncate to f32.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Step(Operands a, int fromA, Operands b, int fromB, int count, float c, int fraction, bool toHalf)
    {
        ref int exponentA = ref a.Exponents[fromA], exponentB = ref b.Exponents[fromB];
        Vector128<int> most = Vector128.LoadUnsafe(ref exponentA) + Vector128.LoadUnsafe(ref exponentB);
        for (int k = 4; k < count; k += 4)
            most = Vector128.Max(most, Vector128.LoadUnsafe(ref exponentA, (nuint)k) + Vector128.LoadUnsafe(ref exponentB, (nuint)k));
        int largest = Math.Max(Math.Max(most[0], most[1]), Math.Max(most[2], most[3]));
        if (largest > Special / 2 || !float.IsFinite(c))
            return NotFinite(a.Values.AsSpan(fromA, count), b.Values.AsSpan(fromB, count), c);
        // Nothing to add. A sum that is zero is +0.
        if (largest < Zero / 2)
            return c == 0 ? 0 : c;
        if (c != 0)
            largest = Math.Max(largest, Math.Max((int)(BitConverter.SingleToUInt32Bits(c) >> 23 & 255), 1) - 127);
        // All terms in units of 2^(largest - fraction), cut toward zero: at most 2^(fraction + 2) of them each.
        int unit = largest - fraction;
        double scale = PowerOfTwo(-unit);
        ref double valueA = ref a.Values[fromA], valueB = ref b.Values[fromB];
        Vector256<double> terms = Vector256<double>.Zero, scales = Vector256.Create(scale);
        for (int k = 0; k < count; k += 4)
            terms += Vector256.Truncate(Vector256.LoadUnsafe(ref valueA, (nuint)k) * Vector256.LoadUnsafe(ref valueB, (nuint)k) * scales);
        long sum = (long)(Vector256.Sum(terms) + Math.Truncate(c * scale));
        if (sum == 0)
            return 0;
        return toHalf ? (float)(Half)HalfVectors.ToOdd(sum * PowerOfTwo(unit)) : Truncate(sum, unit);
    }

    private static double PowerOfTwo(int exponent) => BitConverter.Int64BitsToDouble((long)(exponent + 1023) << 52);

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

    private static float NotFinite(ReadOnlySpan<double> a, ReadOnlySpan<double> b, float c)
    {
        double sum = c;
        for (int k = 0; k < a.Length; k++)
            sum += a[k] * b[k];
        return double.IsNaN(sum) ? BitConverter.UInt32BitsToSingle(0x7FFFFFFF) : (float)sum;
    }
}
