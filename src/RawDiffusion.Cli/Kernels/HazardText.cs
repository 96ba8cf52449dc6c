using System.Text;
using System.Text.RegularExpressions;
using RawDiffusion.PtxEmulator.Checks;

namespace RawDiffusion.Cli.Kernels;

/// <summary>A report of the emulator with the text of the lines that it names.</summary>
internal static partial class HazardText
{
    /// <param name="source">The text of a file by its name; null where it is not known.</param>
    public static string Of(HazardReport report, Func<string, string?> source)
    {
        var text = new StringBuilder();
        foreach (string line in report.ToString().TrimEnd('\n').Split('\n'))
        {
            text.Append(line).Append('\n');
            // "    a.cuh:3, inlined at b.cu:17": the innermost place first.
            foreach (Match place in Places().IsMatch(line) ? Place().Matches(line) : Enumerable.Empty<Match>())
            {
                if (source(place.Groups[1].Value)?.Split('\n').ElementAtOrDefault(int.Parse(place.Groups[2].ValueSpan) - 1)?.Trim() is { Length: > 0 } quoted)
                    text.Append($"      {quoted}\n");
            }
        }
        return text.ToString().TrimEnd('\n');
    }

    [GeneratedRegex(@"^\s+[^\s:]+:\d+(, inlined at [^\s:]+:\d+)*$")]
    private static partial Regex Places();

    [GeneratedRegex(@"([^\s:]+):(\d+)")]
    private static partial Regex Place();
}
