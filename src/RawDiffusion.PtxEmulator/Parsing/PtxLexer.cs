using System.Buffers;

namespace RawDiffusion.PtxEmulator.Parsing;

/// <summary>Cuts PTX text into tokens. Source of the rules: PTX ISA, chapter 4.</summary>
internal sealed class PtxLexer(string text)
{
    private static readonly SearchValues<char> s_followers =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$");

    private static readonly SearchValues<char> s_hex = SearchValues.Create("0123456789abcdefABCDEF");

    private int _at;
    private int _line = 1;

    public string Text => text;

    public PtxToken Next()
    {
        SkipSpace();
        if (_at >= text.Length)
            return new PtxToken(PtxTokenKind.End, text.Length, 0, _line);
        char c = text[_at];
        if (char.IsAsciiDigit(c))
            return Number();
        if (char.IsAsciiLetter(c) || c is '_' or '$' or '%')
            return Name(c);
        return c switch
        {
            '.' => Dotted(),
            '"' => Quoted(),
            '<' or '>' when _at + 1 < text.Length && text[_at + 1] == c => Token(PtxTokenKind.Punctuation, _at, 2),
            ',' or ';' or ':' or '{' or '}' or '(' or ')' or '[' or ']' or '<' or '>' or '@' or '!' or '|' or '+' or '-' or '=' or '*' or '/'
                or '~' or '&' or '^' => Token(PtxTokenKind.Punctuation, _at, 1),
            _ => throw Error(char.IsControl(c) || c > '~' ? $"the character U+{(int)c:X4} has no place here" : $"the character '{c}' has no place here"),
        };
    }

    /// <summary>Passes over what is left of the current line.</summary>
    public void SkipLine()
    {
        int end = text.IndexOf('\n', _at);
        _at = end < 0 ? text.Length : end;
    }

    /// <summary>The line around a place, for messages.</summary>
    public ReadOnlySpan<char> LineAround(int at)
    {
        at = Math.Min(at, text.Length);
        int start = at == 0 ? 0 : text.LastIndexOf('\n', at - 1) + 1;
        int end = text.IndexOf('\n', at);
        return text.AsSpan(start, (end < 0 ? text.Length : end) - start);
    }

    private void SkipSpace()
    {
        while (_at < text.Length)
        {
            switch (text[_at])
            {
                case '\n':
                    _line++;
                    _at++;
                    break;
                case ' ' or '\t' or '\r' or '\f' or '\v':
                    _at++;
                    break;
                case '/' when _at + 1 < text.Length && text[_at + 1] == '/':
                    SkipLine();
                    break;
                case '/' when _at + 1 < text.Length && text[_at + 1] == '*':
                    int end = text.IndexOf("*/", _at + 2, StringComparison.Ordinal);
                    if (end < 0)
                        throw Error("this comment does not end");
                    _line += text.AsSpan(_at, end - _at).Count('\n');
                    _at = end + 2;
                    break;
                default:
                    return;
            }
        }
    }

    private PtxToken Name(char first)
    {
        int length = 1 + Followers(_at + 1);
        if (length == 1 && first is '%' or '$')
            throw Error($"the character '{first}' has no place here");
        return Token(PtxTokenKind.Name, _at, length);
    }

    private PtxToken Dotted()
    {
        int length = Followers(_at + 1);
        if (length == 0)
            throw Error("a full stop is followed by no name");
        // .shared::cta, .L2::128B, .mbarrier::complete_tx::bytes
        while (_at + 1 + length + 2 < text.Length && text[_at + 1 + length] == ':' && text[_at + 2 + length] == ':')
        {
            int part = Followers(_at + 3 + length);
            if (part == 0)
                break;
            length += 2 + part;
        }
        _at++;
        return Token(PtxTokenKind.Dotted, _at, length);
    }

    private PtxToken Quoted()
    {
        int end = text.AsSpan(_at + 1).IndexOfAny('"', '\n');
        if (end < 0 || text[_at + 1 + end] == '\n')
            throw Error("a text in quotes does not end on its line");
        _at++;
        var token = Token(PtxTokenKind.String, _at, end);
        _at++;
        return token;
    }

    private PtxToken Number()
    {
        int start = _at;
        char second = start + 1 < text.Length ? text[start + 1] : '\0';
        if (text[start] == '0' && second is 'f' or 'F' or 'd' or 'D')
        {
            int digits = Run(start + 2, s_hex);
            int wanted = second is 'f' or 'F' ? 8 : 16;
            if (digits != wanted || Followers(start + 2 + digits) > 0)
                throw Error($"0{second} wants {wanted} hexadecimal digits");
            return Token(wanted == 8 ? PtxTokenKind.Float32 : PtxTokenKind.Float64, start, 2 + digits);
        }
        int length = Followers(start);
        if (second is 'x' or 'X' or 'b' or 'B' || start + length >= text.Length || text[start + length] is not '.')
            return Exponent(start, length) ?? Token(PtxTokenKind.Integer, start, length);
        length++;
        length += Followers(start + length);
        return Exponent(start, length) ?? Token(PtxTokenKind.Decimal, start, length);
    }

    /// <summary>1.5e-3: the sign ends the run of letters and digits.</summary>
    private PtxToken? Exponent(int start, int length)
    {
        int end = start + length;
        bool signed = end < text.Length && text[end] is '+' or '-' && text[end - 1] is 'e' or 'E';
        if (!signed || text.AsSpan(start, length).StartsWith("0x", StringComparison.OrdinalIgnoreCase))
            return null;
        return Token(PtxTokenKind.Decimal, start, length + 1 + Followers(end + 1));
    }

    private int Followers(int start) => Run(start, s_followers);

    private int Run(int start, SearchValues<char> values)
    {
        if (start >= text.Length)
            return 0;
        int length = text.AsSpan(start).IndexOfAnyExcept(values);
        return length < 0 ? text.Length - start : length;
    }

    private PtxToken Token(PtxTokenKind kind, int start, int length)
    {
        _at = start + length;
        return new PtxToken(kind, start, length, _line);
    }

    private PtxException Error(string problem) => new(_line, problem, LineAround(_at));
}
