using System.Globalization;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Floating-point numbers as C's printf writes them.</summary>
internal static class PrintfNumbers
{
    public static string Format(double value, char kind, int? precision, string flags)
    {
        bool upper = char.IsUpper(kind);
        string sign = double.IsNegative(value) && !double.IsNaN(value) ? "-" : flags.Contains('+') ? "+" : flags.Contains(' ') ? " " : "";
        if (!double.IsFinite(value))
        {
            string name = double.IsNaN(value) ? "nan" : "inf";
            return sign + (upper ? name.ToUpperInvariant() : name);
        }
        double magnitude = Math.Abs(value);
        string text = char.ToLowerInvariant(kind) switch
        {
            'f' => magnitude.ToString("F" + (precision ?? 6), CultureInfo.InvariantCulture),
            'e' => Exponential(magnitude, precision ?? 6),
            'g' => General(magnitude, precision ?? 6, flags.Contains('#')),
            _ => Hexadecimal(magnitude, precision),
        };
        return sign + (upper ? text.ToUpperInvariant() : text);
    }

    /// <summary>At least two digits of exponent.</summary>
    private static string Exponential(double value, int precision) =>
        value.ToString((precision == 0 ? "0" : "0." + new string('0', precision)) + "e+00", CultureInfo.InvariantCulture);

    private static string General(double value, int precision, bool keepZeros)
    {
        precision = Math.Max(precision, 1);
        string scientific = Exponential(value, precision - 1);
        int exponent = value == 0 ? 0 : int.Parse(scientific.AsSpan(scientific.IndexOf('e') + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        if (exponent < -4 || exponent >= precision)
        {
            int e = scientific.IndexOf('e');
            return (keepZeros ? scientific[..e] : Trim(scientific[..e])) + scientific[e..];
        }
        string plain = value.ToString("F" + (precision - 1 - exponent), CultureInfo.InvariantCulture);
        return keepZeros ? plain : Trim(plain);

        static string Trim(string digits) => digits.Contains('.') ? digits.TrimEnd('0').TrimEnd('.') : digits;
    }

    private static string Hexadecimal(double value, int? precision)
    {
        long bits = BitConverter.DoubleToInt64Bits(value);
        int exponent = (int)(bits >> 52) & 0x7FF;
        ulong mantissa = (ulong)bits & 0xF_FFFF_FFFF_FFFF;
        ulong whole = exponent == 0 ? 0ul : 1;
        exponent = value == 0 ? 0 : Math.Max(exponent, 1) - 1023;
        string digits = mantissa.ToString("x13", CultureInfo.InvariantCulture);
        if (precision is int wanted && wanted < 13)
        {
            int drop = 4 * (13 - wanted);
            ulong all = whole << 52 | mantissa, kept = all >> drop, rest = all & ((1ul << drop) - 1), half = 1ul << (drop - 1);
            if (rest > half || (rest == half && (kept & 1) != 0))
                kept++;
            whole = kept >> (4 * wanted);
            digits = wanted == 0 ? "" : (kept & ((1ul << (4 * wanted)) - 1)).ToString("x" + wanted, CultureInfo.InvariantCulture);
        }
        else
            digits = precision is int more ? digits.PadRight(more, '0') : digits.TrimEnd('0');
        return $"0x{whole}{(digits.Length > 0 ? "." : "")}{digits}p{(exponent < 0 ? "-" : "+")}{Math.Abs(exponent)}";
    }
}
