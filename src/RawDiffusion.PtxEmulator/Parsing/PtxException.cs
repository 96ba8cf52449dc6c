using System.Text;

namespace RawDiffusion.PtxEmulator.Parsing;

/// <summary>PTX that is malformed, or that uses what the emulator does not execute. The message begins with the line and ends with its text.</summary>
public sealed class PtxException : Exception
{
    private const int LongestText = 160, LongestProblem = 240;

    /// <param name="line">Counted from 1.</param>
    /// <param name="problem">What is wrong, without a full stop.</param>
    /// <param name="text">The offending instruction or line; shortened where it is long.</param>
    public PtxException(int line, string problem, ReadOnlySpan<char> text) : base(Compose(line, problem, text)) => Line = line;

    /// <summary>The line of the PTX text, counted from 1.</summary>
    public int Line { get; }

    private static string Compose(int line, string problem, ReadOnlySpan<char> text)
    {
        var message = new StringBuilder($"PTX line {line}: ");
        Append(message, problem, LongestProblem);
        text = text.Trim();
        if (!text.IsEmpty)
        {
            message.Append(": ");
            Append(message, text, LongestText);
        }
        return message.ToString();
    }

    /// <summary>One line without control characters: runs of white space become one space.</summary>
    private static void Append(StringBuilder message, ReadOnlySpan<char> text, int longest)
    {
        bool space = false;
        int length = 0;
        foreach (char c in text)
        {
            if (char.IsWhiteSpace(c))
            {
                space = length > 0;
                continue;
            }
            if (length >= longest)
            {
                message.Append(" ...");
                return;
            }
            if (space)
                message.Append(' ');
            length += space ? 2 : 1;
            space = false;
            message.Append(char.IsControl(c) || char.IsSurrogate(c) ? '?' : c);
        }
    }
}
