using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace RawDiffusion.Cuda;

/// <summary>NVRTC refused a source. The message is its log: file, line, the line's text and what is wrong with it.</summary>
public sealed partial class KernelCompilationException(KernelSource source, KernelTarget target, string reason, string log)
    : Exception($"{source.Name} does not compile for {target}: {reason}{(log.Length == 0 ? "" : "\n" + WithText(source, log))}")
{
    /// <summary>The source's name.</summary>
    public string Name { get; } = source.Name;

    public KernelTarget Target { get; } = target;

    /// <summary>All that the compiler said.</summary>
    public string Log { get; } = log;

    /// <summary>NVRTC 12 shows the line that it complains about, 11.8 only its number: the text is put after it where it does not follow.</summary>
    private static string WithText(KernelSource source, string log)
    {
        string[] lines = log.Split('\n');
        var shown = new StringBuilder();
        for (int i = 0; i < lines.Length; i++)
        {
            shown.Append(lines[i]).Append('\n');
            if (Place().Match(lines[i]) is not { Success: true } place)
                continue;
            string file = place.Groups[1].Value;
            string? text = file == source.Name ? source.Text : source.Headers.GetValueOrDefault(file);
            int number = int.Parse(place.Groups[2].Value, CultureInfo.InvariantCulture);
            string? line = text?.Split('\n').ElementAtOrDefault(number - 1)?.TrimEnd();
            if (!string.IsNullOrEmpty(line) && (i + 1 == lines.Length || lines[i + 1].Trim() != line.Trim()))
                shown.Append("    ").Append(line.TrimStart()).Append('\n');
        }
        return shown.ToString().TrimEnd('\n');
    }

    [GeneratedRegex(@"^([^(]+)\((\d+)\): ")]
    private static partial Regex Place();
}
