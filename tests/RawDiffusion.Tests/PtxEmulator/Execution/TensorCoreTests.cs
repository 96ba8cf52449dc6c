using System.Numerics;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>A step of a tensor core bit for bit as its definition says, worked out here with whole numbers of any size.</summary>
public class TensorCoreTests
{
    [Theory]
    [InlineData("bf16", 8, 24)]
    [InlineData("bf16", 16, 25)]
    [InlineData("tf32", 4, 24)]
    [InlineData("tf32", 8, 25)]
    public void TermsAreCutBelowTheLargestExponentAndTheSumIsTruncated(string type, int count, int fraction)
    {
        var random = new Random(count + fraction);
        for (int round = 0; round < 3000; round++)
        {
            // From numbers that differ by little to subnormal ones beside large ones; now and then zeros.
            int spread = round % 3 == 0 ? 2 : round % 3 == 1 ? 20 : 250;
            uint Bits() => random.Next(8) == 0 ? 0 : (uint)random.Next(2) << 31 | (uint)Math.Clamp(random.Next(-spread, spread + 1) / 2 + 127, 0, 254) << 23 | (uint)random.Next(1 << 23);
            uint mask = type == "bf16" ? 0xFFFF0000 : 0xFFFFE000, bits = Bits();
            TensorCore.Operands a = new(count), b = new(count);
            uint[] left = new uint[count], right = new uint[count];
            for (int k = 0; k < count; k++)
            {
                (left[k], right[k]) = (Bits() & mask, Bits() & mask);
                if (type == "bf16")
                {
                    a.Brain(k, left[k] >> 16);
                    b.Brain(k, right[k] >> 16);
                }
                else
                {
                    // The lower bits do not matter.
                    a.Tf32(k, left[k] | (uint)random.Next(1 << 13));
                    b.Tf32(k, right[k] | (uint)random.Next(1 << 13));
                }
            }
            float actual = TensorCore.Step(a, 0, b, 0, count, BitConverter.UInt32BitsToSingle(bits), fraction, false);
            Assert.Equal(BitConverter.SingleToUInt32Bits(Defined(left, right, bits, fraction)), BitConverter.SingleToUInt32Bits(actual));
        }
    }

    [Theory]
    [InlineData(0x7F80u, 0x3F80u, 1f, float.PositiveInfinity)]
    [InlineData(0xFF80u, 0x3F80u, 1f, float.NegativeInfinity)]
    [InlineData(0x7F80u, 0x0000u, 1f, float.NaN)]
    [InlineData(0x7FC0u, 0x3F80u, 1f, float.NaN)]
    [InlineData(0x3F80u, 0x3F80u, float.PositiveInfinity, float.PositiveInfinity)]
    [InlineData(0xFF80u, 0x3F80u, float.PositiveInfinity, float.NaN)]
    [InlineData(0x0000u, 0x3F80u, -0f, 0f)]
    [InlineData(0x0000u, 0x3F80u, -3.5f, -3.5f)]
    public void InfinitiesAndNaNGoTheirWay(uint left, uint right, float c, float expected)
    {
        TensorCore.Operands a = new(8), b = new(8);
        for (int k = 0; k < 8; k++)
        {
            a.Brain(k, k == 5 ? left : 0);
            b.Brain(k, k == 5 ? right : 0);
        }
        float actual = TensorCore.Step(a, 0, b, 0, 8, c, 24, false);
        Assert.True(float.IsNaN(expected) ? float.IsNaN(actual) : BitConverter.SingleToUInt32Bits(actual) == BitConverter.SingleToUInt32Bits(expected), $"{actual}");
    }

    private static (BigInteger Significand, int Exponent) Parts(uint bits)
    {
        int exponent = (int)(bits >> 23 & 255);
        BigInteger significand = (bits & 0x7FFFFF) | (exponent == 0 ? 0u : 0x800000);
        return ((int)bits < 0 ? -significand : significand, Math.Max(exponent, 1) - 127);
    }

    private static float Defined(uint[] left, uint[] right, uint c, int fraction)
    {
        // (value in units of 2^-(places), exponent as hardware sees it)
        var terms = new List<(BigInteger Significand, int Places, int Exponent)>();
        for (int k = 0; k < left.Length; k++)
        {
            var (x, ex) = Parts(left[k]);
            var (y, ey) = Parts(right[k]);
            terms.Add((x * y, 46 - ex - ey, ex + ey));
        }
        var (z, ez) = Parts(c);
        terms.Add((z, 23 - ez, ez));
        terms.RemoveAll(term => term.Significand.IsZero);
        if (terms.Count == 0)
            return 0;
        int places = fraction - terms.Max(term => term.Exponent);
        BigInteger sum = 0;
        foreach (var (significand, at, _) in terms)
            sum += significand.Sign * (places >= at ? BigInteger.Abs(significand) << (places - at) : BigInteger.Abs(significand) >> (at - places));
        if (sum.IsZero)
            return 0;
        // Toward zero to 24 bits, fewer below the smallest normal number.
        BigInteger magnitude = BigInteger.Abs(sum);
        int exponent = (int)magnitude.GetBitLength() - 1 - places, last = Math.Max(exponent - 23, -149), drop = last + places;
        if (exponent > 127)
            return sum.Sign * float.PositiveInfinity;
        magnitude = drop >= 0 ? magnitude >> drop : magnitude << -drop;
        return sum.Sign < 0 ? -MathF.ScaleB((float)magnitude, last) : MathF.ScaleB((float)magnitude, last);
    }
}
