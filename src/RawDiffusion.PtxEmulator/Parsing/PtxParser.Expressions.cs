using System.Globalization;

namespace RawDiffusion.PtxEmulator.Parsing;

/// <summary>Constant expressions: 64-bit integers as in C, and literal floats. Source: PTX ISA, section "Constants".</summary>
internal sealed partial class PtxParser
{
    private static readonly string[][] s_operators = [["|"], ["^"], ["&"], ["<<", ">>"], ["+", "-"], ["*", "/"]];

    /// <summary>An integer constant expression.</summary>
    private long Integer() => Binary(0);

    private bool IsNumber => _token.Kind is PtxTokenKind.Integer or PtxTokenKind.Decimal or PtxTokenKind.Float32 or PtxTokenKind.Float64;

    /// <summary>Whether a number begins here: a literal or the sign in front of one.</summary>
    private bool StartsImmediate => IsNumber || Is('-') || Is('~') || Is('+');

    private PtxImmediate Immediate()
    {
        bool negative = false;
        if (Is('-') || Is('+'))
        {
            // The sign of a float; of an integer it belongs to the expression.
            var sign = _token;
            Take();
            if (_token.Kind is PtxTokenKind.Decimal or PtxTokenKind.Float32 or PtxTokenKind.Float64)
            {
                negative = _lexer.Text[sign.Start] == '-';
            }
            else
            {
                long operand = Unary();
                return new PtxImmediate(PtxImmediateKind.Integer, (ulong)Rest(_lexer.Text[sign.Start] == '-' ? -operand : operand, 0));
            }
        }
        var digits = Span;
        PtxImmediate value;
        switch (_token.Kind)
        {
            case PtxTokenKind.Float32:
                uint single = uint.Parse(digits[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
                value = new PtxImmediate(PtxImmediateKind.Float32, negative ? single ^ 0x8000_0000 : single);
                break;
            case PtxTokenKind.Float64:
                ulong bits = ulong.Parse(digits[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
                value = new PtxImmediate(PtxImmediateKind.Float64, negative ? bits ^ (1ul << 63) : bits);
                break;
            case PtxTokenKind.Decimal:
                if (!double.TryParse(digits, NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out double number))
                    throw Error($"'{Shown(digits)}' is no number");
                value = new PtxImmediate(PtxImmediateKind.Float64, BitConverter.DoubleToUInt64Bits(negative ? -number : number));
                break;
            default:
                return new PtxImmediate(PtxImmediateKind.Integer, (ulong)Integer());
        }
        Take();
        return value;
    }

    /// <summary>Operators of one strength, from the left; index 0 binds least.</summary>
    private long Binary(int strength)
    {
        if (strength == s_operators.Length)
            return Unary();
        return Rest(Binary(strength + 1), strength);
    }

    /// <summary>What follows the left operand.</summary>
    private long Rest(long left, int strength)
    {
        if (strength == s_operators.Length)
            return left;
        left = Rest(left, strength + 1);
        while (_token.Kind == PtxTokenKind.Punctuation && Operator(strength) is { } symbol)
        {
            Take();
            long right = Binary(strength + 1);
            left = symbol switch
            {
                "|" => left | right,
                "^" => left ^ right,
                "&" => left & right,
                "<<" => right is >= 0 and < 64 ? left << (int)right : 0,
                ">>" => right is >= 0 and < 64 ? left >> (int)right : 0,
                "+" => left + right,
                "-" => left - right,
                "*" => left * right,
                _ => right == 0 ? throw Error("division by zero") : right == -1 ? -left : left / right,
            };
        }
        return left;
    }

    private string? Operator(int strength)
    {
        foreach (string symbol in s_operators[strength])
        {
            if (Span.SequenceEqual(symbol))
                return symbol;
        }
        return null;
    }

    private long Unary()
    {
        Enter();
        long value;
        if (TryTake('-'))
            value = -Unary();
        else if (TryTake('+'))
            value = Unary();
        else if (TryTake('~'))
            value = ~Unary();
        else if (TryTake('!'))
            value = Unary() == 0 ? 1 : 0;
        else if (TryTake('('))
        {
            value = Integer();
            Expect(')');
        }
        else
            value = Literal();
        Leave();
        return value;
    }

    private long Literal()
    {
        if (_token.Kind == PtxTokenKind.Name && Span is "WARP_SZ")
        {
            Take();
            return 32;
        }
        if (_token.Kind != PtxTokenKind.Integer)
            throw Error($"a whole number is wanted in place of {Found()}");
        var digits = Span;
        if (digits[^1] == 'U')
            digits = digits[..^1];
        ulong value;
        bool read = digits switch
        {
            ['0', 'x' or 'X', .. var hex] => ulong.TryParse(hex, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value),
            ['0', 'b' or 'B', .. var binary] => ulong.TryParse(binary, NumberStyles.AllowBinarySpecifier, CultureInfo.InvariantCulture, out value),
            ['0', .. var octal] => Octal(octal, out value),
            _ => ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out value),
        };
        if (!read)
            throw Error($"'{Shown(Span)}' is no number of 64 bits");
        Take();
        return (long)value;
    }

    private static bool Octal(ReadOnlySpan<char> digits, out ulong value)
    {
        value = 0;
        foreach (char c in digits)
        {
            if (c is < '0' or > '7' || value >> 61 != 0)
                return false;
            value = (value << 3) | (uint)(c - '0');
        }
        return true;
    }
}
