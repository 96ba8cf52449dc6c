using System.Text;

namespace RawDiffusion.Cli.Kernels;

/// <summary>Takes one kernel out of the PTX of a file.</summary>
internal static class PtxText
{
    /// <summary>The head (version, target), what the module declares outside kernels, and the kernel.</summary>
    /// <exception cref="ArgumentException">The kernel is not in the text.</exception>
    public static string OfKernel(string ptx, string kernel)
    {
        var kept = new StringBuilder();
        bool found = false, keep = true;
        // Everything of a kernel or function stands between its heading and a closing brace at the beginning of a line.
        foreach (string line in ptx.ReplaceLineEndings("\n").TrimEnd('\n').Split('\n'))
        {
            if (line.Contains(".entry ", StringComparison.Ordinal))
            {
                keep = NameAfter(line, ".entry ") == kernel;
                found |= keep;
            }
            if (keep && !line.Contains("// .globl", StringComparison.Ordinal))
                kept.Append(line).Append('\n');
            if (line == "}")
                keep = true;
        }
        return found ? kept.ToString().TrimEnd('\n') : throw new ArgumentException($"the PTX holds no kernel '{kernel}'");
    }

    private static string NameAfter(string line, string word)
    {
        string rest = line[(line.IndexOf(word, StringComparison.Ordinal) + word.Length)..];
        int end = rest.AsSpan().IndexOfAny("( \t");
        return end < 0 ? rest : rest[..end];
    }
}
