using System.Text.RegularExpressions;

namespace RawDiffusion.Cuda;

/// <summary>CUDA C++ and what it includes. NVRTC brings no headers: each one that is included is found among these by its name.</summary>
/// <param name="Name">The file name, which messages and line information carry: <c>groupnorm.cu</c>.</param>
/// <param name="Headers">Texts by the name they are included by.</param>
public sealed partial record KernelSource(string Name, string Text, IReadOnlyDictionary<string, string> Headers)
{
    public KernelSource(string name, string text) : this(name, text, new Dictionary<string, string>())
    {
    }

    /// <summary>The names of the headers that are included, also by headers, in alphabetical order. Names without a text are left to the compiler's error.</summary>
    public IReadOnlyList<string> Included()
    {
        var found = new SortedSet<string>(StringComparer.Ordinal);
        var texts = new Stack<string>([Text]);
        while (texts.TryPop(out string? text))
        {
            foreach (Match match in Include().Matches(text))
            {
                string name = match.Groups[1].Value;
                if (Headers.TryGetValue(name, out string? header) && found.Add(name))
                    texts.Push(header);
            }
        }
        return [.. found];
    }

    [GeneratedRegex("""^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]""", RegexOptions.Multiline)]
    private static partial Regex Include();
}
