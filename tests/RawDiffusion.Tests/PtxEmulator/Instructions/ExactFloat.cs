using System.Numerics;

namespace RawDiffusion.Tests;

internal enum Round { Nearest, Zero, Down, Up }

/// <summary>Floating-point arithmetic from its definition: exact integers of any length, rounded once. Source: IEEE 754-2019, clauses 3 to 5.</summary>
/// <param name="ExponentBits">Bits of the exponent.</param>
/// <param name="FractionBits">Bits behind the leading one.</param>
/// <param name="CanonicalNaN">What arithmetic answers in place of any NaN.</param>
internal sealed record ExactFloat(int ExponentBits, int FractionBits, ulong CanonicalNaN)
{
    public static readonly ExactFloat Half = new(5, 10, 0x7FFF), BFloat = new(8, 7, 0x7FFF), Single = new(8, 23, 0x7FFF_FFFF),
        Double = new(11, 52, 0x7FF8_0000_0000_0000);

    public static ExactFloat Of(string type) => type switch { "f16" => Half, "bf16" => BFloat, "f32" => Single, "f64" => Double, _ => throw new ArgumentException(type) };

    public ulong SignBit => 1ul << (ExponentBits + FractionBits);

    public ulong Infinity => ((1ul << ExponentBits) - 1) << FractionBits;

    public ulong Largest => Infinity - 1;

    public ulong One => ((1ul << (ExponentBits - 1)) - 1) << FractionBits;

    /// <summary>The exponent of the last bit of subnormal numbers.</summary>
    private int Least => 2 - (1 << (ExponentBits - 1)) - FractionBits;

    public bool IsNaN(ulong bits) => (bits & ~SignBit) > Infinity;

    public bool IsInfinite(ulong bits) => (bits & ~SignBit) == Infinity;

    public bool IsZero(ulong bits) => (bits & ~SignBit) == 0;

    public bool IsNegative(ulong bits) => (bits & SignBit) != 0;

    public bool IsSubnormal(ulong bits) => !IsZero(bits) && (bits & Infinity) == 0;

    /// <summary>Subnormal numbers become zeros of their sign.</summary>
    public ulong Flush(ulong bits) => IsSubnormal(bits) ? bits & SignBit : bits;

    /// <summary>A finite number as significand times 2^exponent.</summary>
    public (BigInteger Significand, int Exponent) Value(ulong bits)
    {
        int biased = (int)((bits & Infinity) >> FractionBits);
        BigInteger significand = (bits & ((1ul << FractionBits) - 1)) | (biased > 0 ? 1ul << FractionBits : 0);
        return (IsNegative(bits) ? -significand : significand, Math.Max(biased, 1) - 1 + Least);
    }

    /// <summary>Rounds significand times 2^exponent; a zero gets the sign that is given.</summary>
    public ulong Rounded(BigInteger significand, int exponent, Round round, bool negativeZero = false)
    {
        if (significand.IsZero)
            return negativeZero ? SignBit : 0;
        bool negative = significand.Sign < 0;
        var size = BigInteger.Abs(significand);
        int top = (int)size.GetBitLength() - 1 + exponent;
        int quantum = Math.Max(top - FractionBits, Least);
        BigInteger digits;
        if (quantum <= exponent)
        {
            digits = size << (exponent - quantum);
        }
        else
        {
            int shift = quantum - exponent;
            digits = size >> shift;
            var rest = size - (digits << shift);
            var half = BigInteger.One << (shift - 1);
            bool up = round switch
            {
                Round.Nearest => rest > half || (rest == half && !digits.IsEven),
                Round.Up => !negative && !rest.IsZero,
                Round.Down => negative && !rest.IsZero,
                _ => false,
            };
            if (up)
                digits++;
        }
        // Adding to the biased exponent carries what rounding up to the next power of two makes.
        ulong magnitude = (ulong)digits;
        if (magnitude >> FractionBits > 0)
            magnitude += (ulong)(quantum - Least) << FractionBits;
        if (quantum - Least >= 1 << ExponentBits || magnitude >= Infinity)
        {
            bool toInfinity = round == Round.Nearest || (round == Round.Up && !negative) || (round == Round.Down && negative);
            magnitude = toInfinity ? Infinity : Largest;
        }
        return magnitude | (negative ? SignBit : 0);
    }

    public ulong Add(ulong a, ulong b, Round round)
    {
        if (IsNaN(a) || IsNaN(b) || (IsInfinite(a) && b == (a ^ SignBit)))
            return CanonicalNaN;
        if (IsInfinite(a) || IsInfinite(b))
            return IsInfinite(a) ? a : b;
        bool bothNegative = IsNegative(a) && IsNegative(b), anyNegative = IsNegative(a) || IsNegative(b);
        var (sum, exponent) = Sum(Value(a), Value(b));
        return Rounded(sum, exponent, round, bothNegative || (anyNegative && round == Round.Down));
    }

    public ulong Multiply(ulong a, ulong b, Round round)
    {
        ulong sign = (a ^ b) & SignBit;
        if (IsNaN(a) || IsNaN(b) || (IsInfinite(a) && IsZero(b)) || (IsZero(a) && IsInfinite(b)))
            return CanonicalNaN;
        if (IsInfinite(a) || IsInfinite(b))
            return sign | Infinity;
        var (x, y) = (Value(a), Value(b));
        return Rounded(x.Significand * y.Significand, x.Exponent + y.Exponent, round, sign != 0);
    }

    public ulong Fma(ulong a, ulong b, ulong c, Round round)
    {
        ulong sign = (a ^ b) & SignBit;
        if (IsNaN(a) || IsNaN(b) || IsNaN(c) || (IsInfinite(a) && IsZero(b)) || (IsZero(a) && IsInfinite(b)))
            return CanonicalNaN;
        if (IsInfinite(a) || IsInfinite(b))
            return c == (sign ^ SignBit | Infinity) ? CanonicalNaN : sign | Infinity;
        if (IsInfinite(c))
            return c;
        var (x, y) = (Value(a), Value(b));
        var (sum, exponent) = Sum((x.Significand * y.Significand, x.Exponent + y.Exponent), Value(c));
        bool productNegative = sign != 0, both = productNegative && IsNegative(c), any = productNegative || IsNegative(c);
        return Rounded(sum, exponent, round, both || (any && round == Round.Down));
    }

    public ulong Divide(ulong a, ulong b, Round round)
    {
        ulong sign = (a ^ b) & SignBit;
        if (IsNaN(a) || IsNaN(b) || (IsInfinite(a) && IsInfinite(b)) || (IsZero(a) && IsZero(b)))
            return CanonicalNaN;
        if (IsInfinite(a) || IsZero(b))
            return sign | Infinity;
        if (IsInfinite(b))
            return sign;
        var (x, y) = (Value(a), Value(b));
        // Enough digits that the rest is below the last rounding; one more tells whether there is a rest.
        int shift = 2 * FractionBits + 8;
        var quotient = BigInteger.DivRem(BigInteger.Abs(x.Significand) << shift, BigInteger.Abs(y.Significand), out var rest);
        quotient = (quotient << 1) + (rest.IsZero ? 0 : 1);
        return Rounded(sign != 0 ? -quotient : quotient, x.Exponent - y.Exponent - shift - 1, round, sign != 0);
    }

    public ulong SquareRoot(ulong a, Round round)
    {
        if (IsZero(a))
            return a;
        if (IsNaN(a) || IsNegative(a))
            return CanonicalNaN;
        if (IsInfinite(a))
            return a;
        var (significand, exponent) = Value(a);
        int shift = 2 * FractionBits + 8;
        if ((exponent - shift) % 2 != 0)
            shift++;
        var radicand = significand << shift;
        var root = Root(radicand);
        root = (root << 1) + (root * root == radicand ? 0 : 1);
        return Rounded(root, (exponent - shift) / 2 - 1, round);
    }

    /// <summary>-1, 0, 1; null where one is no number.</summary>
    public int? Compare(ulong a, ulong b)
    {
        if (IsNaN(a) || IsNaN(b))
            return null;
        return Order(a).CompareTo(Order(b));

        long Order(ulong bits) => IsNegative(bits) ? -(long)(bits & ~SignBit) : (long)bits;
    }

    /// <summary>Values in [0, 1]; what is no number becomes 0.</summary>
    public ulong Saturate(ulong bits) => IsNaN(bits) || IsNegative(bits) ? 0 : Math.Min(bits, One);

    /// <summary>To another format.</summary>
    public ulong Convert(ulong bits, ExactFloat to, Round round)
    {
        if (IsNaN(bits))
            return to.CanonicalNaN;
        ulong sign = IsNegative(bits) ? to.SignBit : 0;
        if (IsInfinite(bits))
            return sign | to.Infinity;
        var (significand, exponent) = Value(bits);
        return to.Rounded(significand, exponent, round, sign != 0);
    }

    /// <summary>To a whole number.</summary>
    public static BigInteger Whole(BigInteger significand, int exponent, Round round)
    {
        if (exponent >= 0)
            return significand << exponent;
        var floor = significand >> -exponent;
        var rest = significand - (floor << -exponent);
        var half = BigInteger.One << (-exponent - 1);
        return round switch
        {
            Round.Down => floor,
            Round.Up => rest.IsZero ? floor : floor + 1,
            Round.Zero => rest.IsZero || significand.Sign > 0 ? floor : floor + 1,
            _ => rest > half || (rest == half && !floor.IsEven) ? floor + 1 : floor,
        };
    }

    private static (BigInteger, int) Sum((BigInteger Significand, int Exponent) a, (BigInteger Significand, int Exponent) b)
    {
        int exponent = Math.Min(a.Exponent, b.Exponent);
        return ((a.Significand << (a.Exponent - exponent)) + (b.Significand << (b.Exponent - exponent)), exponent);
    }

    /// <summary>The whole part of the square root, by Newton's steps from above.</summary>
    private static BigInteger Root(BigInteger n)
    {
        var root = BigInteger.One << (int)((n.GetBitLength() + 1) / 2);
        while (true)
        {
            var next = (root + n / root) >> 1;
            if (next >= root)
                return root;
            root = next;
        }
    }
}
