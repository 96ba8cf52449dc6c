using System.Globalization;

namespace RawDiffusion.Verification.Bench;

/// <summary>Reads the text of a shape from left to right: <c>128x32x32x128k3</c>. K and M behind a number mean 2^10 and 2^20.</summary>
/// <param name="text">The whole of it.</param>
public sealed class ShapeText(string text)
{
    private int _at;

    /// <summary>A number from 1 on.</summary>
    /// <exception cref="FormatException">There is none.</exception>
    public int Number()
    {
        int start = _at;
        while (_at < text.Length && char.IsAsciiDigit(text[_at]))
            _at++;
        if (start == _at)
            throw new FormatException($"a number is missing {Place(start)}");
        if (!long.TryParse(text.AsSpan(start, _at - start), NumberStyles.None, CultureInfo.InvariantCulture, out long value))
            throw new FormatException($"the number {Place(start)} is too large");
        value = Optional("K") ? value << 10 : Optional("M") ? value << 20 : value;
        return value is >= 1 and <= int.MaxValue ? (int)value : throw new FormatException($"the number {Place(start)} must be from 1 to 2^31 - 1");
    }

    /// <summary>A number behind an <c>x</c>.</summary>
    public int By() => After("x");

    /// <summary>A number behind a word.</summary>
    /// <exception cref="FormatException">The word, or the number, is not there.</exception>
    public int After(string word) => Optional(word) ? Number() : throw new FormatException($"'{word}' and a number are missing {Place(_at)}");

    /// <summary>A number behind a word, or another one where the word is not there.</summary>
    public int After(string word, int otherwise) => Optional(word) ? Number() : otherwise;

    /// <summary>Whether a word comes next; passes it.</summary>
    public bool Optional(string word)
    {
        if (!text.AsSpan(_at).StartsWith(word, StringComparison.Ordinal))
            return false;
        _at += word.Length;
        return true;
    }

    /// <summary>One of several words.</summary>
    /// <exception cref="FormatException">None of them is there.</exception>
    public string OneOf(params ReadOnlySpan<string> words)
    {
        foreach (string word in words)
        {
            if (Optional(word))
                return word;
        }
        throw new FormatException($"one of {string.Join(", ", words.ToArray())} is missing {Place(_at)}");
    }

    /// <exception cref="FormatException">Something is left.</exception>
    public void End()
    {
        if (_at < text.Length)
            throw new FormatException($"'{text[_at..]}' is left over");
    }

    private string Place(int at) => at == 0 ? "at the beginning" : $"after '{text[..at]}'";
}
