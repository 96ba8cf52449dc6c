using System.Globalization;
using System.Numerics;
using System.Text;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Memory;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Functions that the CUDA run time provides to device code: printf and assert.</summary>
internal static unsafe class Builtins
{
    public static nint Select(in Instruction i) => (BuiltinFunction)i.Mode switch
    {
        BuiltinFunction.Printf => At(&Print),
        BuiltinFunction.AssertFail => At(&AssertFail),
        _ => 0,
    };

    private static byte* Local(Warp w, int lane, int offset) => w.Local + (long)lane * w.LocalStride + offset;

    private static void Print(Warp w, Instruction* i, uint mask)
    {
        int* list = w.Operands + i->List;
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            string format = Text(w, i, lane, *(ulong*)Local(w, lane, list[1]));
            string text = Format(w, i, lane, format, *(ulong*)Local(w, lane, list[2]), out int arguments);
            if (w.Block.Options.Output is { } output)
            {
                lock (output)
                    output(text);
            }
            if (list[0] >= 0)
                *(int*)Local(w, lane, list[0]) = arguments;
        }
    }

    /// <summary>__assertfail(message, file, line, function, size of a character).</summary>
    private static void AssertFail(Warp w, Instruction* i, uint mask)
    {
        int* list = w.Operands + i->List;
        int lane = BitOperations.TrailingZeroCount(mask);
        string message = Text(w, i, lane, *(ulong*)Local(w, lane, list[1])), file = Text(w, i, lane, *(ulong*)Local(w, lane, list[2]));
        string function = Text(w, i, lane, *(ulong*)Local(w, lane, list[4]));
        throw w.Fault(HazardKind.Assertion, i, mask, $"{file}:{*(uint*)Local(w, lane, list[3])}: {function}: assertion `{message}` failed");
    }

    private static byte* Locate(Warp w, Instruction* i, int lane, ulong address, int bytes)
    {
        w.Addresses[lane] = address;
        GenericSpace.Each(w, i, 1u << lane, bytes, false);
        return (byte*)w.Addresses[lane];
    }

    private static string Text(Warp w, Instruction* i, int lane, ulong address)
    {
        if (address == 0)
            return "(null)";
        var bytes = new List<byte>();
        for (byte value; (value = *Locate(w, i, lane, address++, 1)) != 0;)
            bytes.Add(value);
        return Encoding.UTF8.GetString([.. bytes]);
    }

    /// <summary>The arguments lie in a buffer like the members of a struct: 4 bytes for int, 8 for double, long long and pointers.</summary>
    private static string Format(Warp w, Instruction* i, int lane, string format, ulong buffer, out int arguments)
    {
        var text = new StringBuilder();
        int count = 0;
        ulong at = buffer;
        for (int k = 0; k < format.Length; k++)
        {
            if (format[k] != '%')
            {
                text.Append(format[k]);
                continue;
            }
            int start = k++;
            string flags = "";
            for (; k < format.Length && "-+ #0".Contains(format[k]); k++)
                flags += format[k];
            int? width = Number(), precision = null;
            if (k < format.Length && format[k] == '.')
            {
                k++;
                precision = Number() ?? 0;
            }
            int longs = 0;
            for (; k < format.Length && "hlLjzt".Contains(format[k]); k++)
                longs += format[k] switch { 'l' => 1, 'j' or 'z' or 't' => 2, _ => 0 };
            if (k >= format.Length)
            {
                text.Append(format.AsSpan(start));
                break;
            }
            char kind = format[k];
            if (kind == '%')
            {
                text.Append('%');
                continue;
            }
            count++;
            // On the 64-bit platforms where code is compiled for Linux, long has 8 bytes.
            bool wide = longs > 0;
            string value;
            switch (kind)
            {
                case 'd' or 'i':
                    long number = wide ? (long)Next(8) : (int)Next(4);
                    value = Digits(Int128.Abs(number).ToString(CultureInfo.InvariantCulture), precision);
                    value = (number < 0 ? "-" : flags.Contains('+') ? "+" : flags.Contains(' ') ? " " : "") + value;
                    break;
                case 'u':
                    value = Digits((wide ? Next(8) : Next(4)).ToString(CultureInfo.InvariantCulture), precision);
                    break;
                case 'x' or 'X':
                    ulong hex = wide ? Next(8) : Next(4);
                    value = Digits(hex.ToString(kind == 'x' ? "x" : "X", CultureInfo.InvariantCulture), precision);
                    if (flags.Contains('#') && hex != 0)
                        value = "0" + kind + value;
                    break;
                case 'o':
                    value = Digits(Convert.ToString((long)(wide ? Next(8) : Next(4)), 8), precision);
                    break;
                case 'p':
                    value = $"0x{Next(8):x}";
                    break;
                case 'c':
                    value = ((char)(byte)Next(4)).ToString();
                    break;
                case 's':
                    value = Text(w, i, lane, Next(8));
                    if (precision is int longest && longest < value.Length)
                        value = value[..longest];
                    break;
                case 'f' or 'F' or 'e' or 'E' or 'g' or 'G' or 'a' or 'A':
                    double real = BitConverter.UInt64BitsToDouble(Next(8));
                    value = PrintfNumbers.Format(real, kind, precision, flags);
                    break;
                default:
                    text.Append(format.AsSpan(start, k - start + 1));
                    continue;
            }
            text.Append(Pad(value, width, flags, kind));
            continue;

            int? Number()
            {
                if (k < format.Length && format[k] == '*')
                {
                    k++;
                    count++;
                    return (int)Next(4);
                }
                int from = k;
                while (k < format.Length && char.IsAsciiDigit(format[k]))
                    k++;
                return k == from ? null : int.Parse(format.AsSpan(from, k - from), CultureInfo.InvariantCulture);
            }

            ulong Next(int bytes)
            {
                at = (at + (ulong)bytes - 1) & ~((ulong)bytes - 1);
                byte* place = Locate(w, i, lane, at, bytes);
                at += (ulong)bytes;
                return bytes == 8 ? *(ulong*)place : *(uint*)place;
            }
        }
        arguments = count;
        return text.ToString();
    }

    private static string Digits(string digits, int? precision) => digits.PadLeft(precision ?? 0, '0');

    private static string Pad(string value, int? width, string flags, char kind)
    {
        if (width is not int wanted)
            return value;
        if (wanted < 0 || flags.Contains('-'))
            return value.PadRight(Math.Abs(wanted));
        if (!flags.Contains('0') || kind is 'c' or 's' || value.Length >= wanted || value.EndsWith("nf", StringComparison.OrdinalIgnoreCase) || value.EndsWith("an", StringComparison.OrdinalIgnoreCase))
            return value.PadLeft(wanted);
        int sign = value.Length > 0 && value[0] is '-' or '+' or ' ' ? 1 : 0;
        return value[..sign] + value[sign..].PadLeft(wanted - sign, '0');
    }
}
