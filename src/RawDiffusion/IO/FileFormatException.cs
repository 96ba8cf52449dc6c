namespace RawDiffusion.IO;

/// <summary>
/// A file that is not what it should be: damaged, cut short, or of another kind. The message is one line, "path: reason".
/// Control characters in it become '?', so that a hostile file can neither break the line nor speak to the terminal.
/// </summary>
public sealed class FileFormatException(string path, string reason, Exception? inner = null)
    : IOException(OneLine($"{path}: {reason}"), inner)
{
    private const int LongestQuote = 80;

    public string Path { get; } = path;

    /// <summary>Text that came from a file, in quotes, cut where it is long.</summary>
    public static string Quote(string text) => text.Length > LongestQuote ? $"'{text[..LongestQuote]}...'" : $"'{text}'";

    /// <summary>What a JSON parser has against a text, without the long piece of it that its message may hold.</summary>
    public static string Describe(System.Text.Json.JsonException e)
    {
        const int head = 100, tail = 80;
        string text = e.Message;
        return text.Length <= head + tail ? text : $"{text[..head]}...{text[^tail..]}";
    }

    /// <summary>A text with '?' in place of line ends and other control characters.</summary>
    public static string OneLine(string message) =>
        string.Create(message.Length, message, static (span, text) =>
        {
            for (int i = 0; i < span.Length; i++)
                span[i] = char.IsControl(text[i]) || text[i] is '\u2028' or '\u2029' ? '?' : text[i];
        });
}
