using System.Numerics;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>The formats that exact values are rounded to.</summary>
/// <param name="Precision">Significant bits, the implicit one included.</param>
/// <param name="MaxExponent">Of the largest finite number, 2^MaxExponent * (2 - 2^(1-Precision)).</param>
internal readonly record struct FloatFormat(int Precision, int MaxExponent)
{
    public static readonly FloatFormat Single = new(24, 127);
    public static readonly FloatFormat Double = new(53, 1023);
    public static readonly FloatFormat Half = new(11, 15);
    public static readonly FloatFormat Brain = new(8, 127);
    public static readonly FloatFormat Tf32 = new(11, 127);

    /// <summary>Exponent of the lowest bit of subnormal numbers.</summary>
    public int LowestBit => 2 - MaxExponent - Precision;
}

/// <summary>
/// Arithmetic with every rounding of PTX, by integers of any length: the definition that the fast ways must agree with, and what executes
/// where there is no fast way. Formats of at most 53 bits; a result is returned as the double that it equals.
/// </summary>
internal static class ExactRounding
{
    public static double Add(double a, double b, Rounding rounding, FloatFormat format) => Fma(a, 1, b, rounding, format);

    public static double Multiply(double a, double b, Rounding rounding, FloatFormat format)
    {
        double plain = a * b;
        if (!double.IsFinite(a) || !double.IsFinite(b) || a == 0 || b == 0)
            return plain;
        (BigInteger x, int ex) = Parts(a);
        (BigInteger y, int ey) = Parts(b);
        return Round(x * y, ex + ey, false, rounding, format);
    }

    public static double Fma(double a, double b, double c, Rounding rounding, FloatFormat format)
    {
        if (!double.IsFinite(a) || !double.IsFinite(b) || !double.IsFinite(c))
        {
            // The product of finite numbers is finite here, however large.
            return double.IsFinite(a) && double.IsFinite(b) ? c : a * b + c;
        }
        (BigInteger x, int ex) = Parts(a);
        (BigInteger y, int ey) = Parts(b);
        (BigInteger z, int ez) = Parts(c);
        BigInteger product = x * y;
        int ep = ex + ey, exponent = Math.Min(ep, ez);
        BigInteger sum = (product << (ep - exponent)) + (z << (ez - exponent));
        if (sum.IsZero)
        {
            bool productNegative = double.IsNegative(a) != double.IsNegative(b);
            // A sum of equal signs keeps the sign; an exact cancellation is positive except when rounding down.
            if (product.IsZero && z.IsZero && productNegative == double.IsNegative(c))
                return productNegative ? -0.0 : 0.0;
            return rounding == Rounding.Down ? -0.0 : 0.0;
        }
        return Round(sum, exponent, false, rounding, format);
    }

    public static double Divide(double a, double b, Rounding rounding, FloatFormat format)
    {
        if (!double.IsFinite(a) || !double.IsFinite(b) || a == 0 || b == 0)
            return a / b;
        (BigInteger x, int ex) = Parts(a);
        (BigInteger y, int ey) = Parts(b);
        const int extra = 128;
        BigInteger quotient = BigInteger.DivRem(BigInteger.Abs(x) << extra, BigInteger.Abs(y), out BigInteger rest);
        if (x.Sign * y.Sign < 0)
            quotient = -quotient;
        return Round(quotient, ex - ey - extra, !rest.IsZero, rounding, format);
    }

    public static double Sqrt(double a, Rounding rounding, FloatFormat format)
    {
        if (!(a > 0) || !double.IsFinite(a))
            return Math.Sqrt(a);
        (BigInteger x, int ex) = Parts(a);
        int shift = 160 + (ex & 1);
        BigInteger value = x << shift, root = IntegerRoot(value);
        return Round(root, (ex - shift) / 2, root * root != value, rounding, format);
    }

    /// <summary>A number that a double holds, in another format.</summary>
    public static double Convert(double a, Rounding rounding, FloatFormat format)
    {
        if (!double.IsFinite(a) || a == 0)
            return a;
        (BigInteger x, int ex) = Parts(a);
        return Round(x, ex, false, rounding, format);
    }

    /// <summary>mantissa * 2^exponent, a little farther from zero where <paramref name="more"/>, in the format.</summary>
    public static double Round(BigInteger mantissa, int exponent, bool more, Rounding rounding, FloatFormat format)
    {
        bool negative = mantissa.Sign < 0;
        mantissa = BigInteger.Abs(mantissa);
        int length = (int)mantissa.GetBitLength();
        // The lowest bit that the result can have.
        int lowest = Math.Max(exponent + length - format.Precision, format.LowestBit);
        int drop = lowest - exponent;
        BigInteger kept;
        if (drop <= 0)
        {
            kept = mantissa << -drop;
            if (more && Away(rounding, negative, 0, kept))
                kept += 1;
        }
        else
        {
            kept = mantissa >> drop;
            BigInteger rest = mantissa - (kept << drop), half = BigInteger.One << (drop - 1);
            int compared = rest == half ? (more ? 1 : 0) : rest > half ? 1 : -1;
            bool exact = rest.IsZero && !more;
            if (!exact && Away(rounding, negative, compared, kept))
                kept += 1;
        }
        double largest = Scale(2 - Math.ScaleB(1, 1 - format.Precision), format.MaxExponent);
        // More bits than the precision only after a carry, which leaves zeros below.
        if (kept.GetBitLength() + lowest - 1 > format.MaxExponent)
        {
            bool finite = rounding switch
            {
                Rounding.Zero => true,
                Rounding.Down => !negative,
                Rounding.Up => negative,
                _ => false,
            };
            double over = finite ? largest : double.PositiveInfinity;
            return negative ? -over : over;
        }
        double result = Scale((double)(ulong)kept, lowest);
        return negative ? -result : result;

        static double Scale(double value, int by) => Math.ScaleB(Math.ScaleB(value, by / 2), by - by / 2);
    }

    /// <summary>Whether to round away from zero, when the dropped part is less (-1), equal (0) or more (1) than half.</summary>
    private static bool Away(Rounding rounding, bool negative, int half, BigInteger kept) => rounding switch
    {
        Rounding.Zero => false,
        Rounding.Down => negative,
        Rounding.Up => !negative,
        Rounding.NearestAway => half >= 0,
        _ => half > 0 || (half == 0 && !kept.IsEven),
    };

    private static (BigInteger Mantissa, int Exponent) Parts(double value)
    {
        long bits = BitConverter.DoubleToInt64Bits(value);
        int exponent = (int)(bits >> 52) & 0x7FF;
        long mantissa = bits & 0xF_FFFF_FFFF_FFFF;
        if (exponent != 0)
            mantissa |= 1L << 52;
        return (bits < 0 ? -mantissa : mantissa, Math.Max(exponent, 1) - 1075);
    }

    private static BigInteger IntegerRoot(BigInteger value)
    {
        BigInteger root = BigInteger.One << (int)((value.GetBitLength() + 1) / 2);
        while (true)
        {
            BigInteger next = (root + value / root) >> 1;
            if (next >= root)
                return root;
            root = next;
        }
    }
}
