using System.Text.RegularExpressions;

namespace RawDiffusion.Tests;

/// <summary>A kernel file with one deliberate mistake in it.</summary>
/// <param name="File">The file of <c>kernels/</c>, perhaps a header.</param>
/// <param name="Line">From 1.</param>
/// <param name="Kind">The sort of mistake.</param>
/// <param name="Before">The line as it is.</param>
/// <param name="After">The line with the mistake.</param>
/// <param name="Text">The whole file with the mistake.</param>
internal sealed partial record Mutant(string File, int Line, string Kind, string Before, string After, string Text)
{
    private static readonly (string Kind, Regex Pattern, string Replacement)[] s_mistakes =
    [
        ("dropped barrier", new(@"__sync(threads|warp)\([^()]*\);"), ";"),
        ("wrong mask", new("0xffffffffu?"), "0x0000ffffu"),
        ("wrong mask", new("0xffffffffu?"), "0xfffffffeu"),
        ("wrong mask", new(@"distance = 16\b"), "distance = 8"),
        ("off by one", new(@"(?<=[\w)\]]) < (?=[\w(])"), " <= "),
        ("off by one", new(@"(?<=[\w)\]]) >= (?=[\w(])"), " > "),
        ("off by one", new(@"(?<=[\w)\]]) > (?=[\w(])"), " >= "),
        ("off by one", new(@"(?<=[\w)\]]) \+ 1\b(?!\.)"), " + 2"),
        ("off by one", new(@"(?<=[\w)\]]) - 1\b(?!\.|\) /)"), ""),
        ("off by one", new(@"(?<=for \((?:int|unsigned|long long) \w+ = )0;"), "1;"),
        ("swapped index", new(@"\bblockIdx\.x\b"), "blockIdx.y"),
        ("swapped index", new(@"\bthreadIdx\.x\b"), "threadIdx.y"),
        ("swapped index", new(@"\[([\w +*]+)\]\[([\w +*]+)\](?! =? *\{)"), "[$2][$1]"),
        ("swapped index", new(@"(?<=[\w)\]]) % (?=[\w(])"), " / "),
        ("swapped index", new(@"(?<=[\w)\]]) / (?=[\w(])"), " % "),
        ("missing bounds test", new(@"(?<!else )\bif \([^;{]*[<>][^;{]*\)$"), "if (true)"),
        ("missing bounds test", new(@"\b[\w.]+ < [\w.]+ && "), ""),
        ("missing bounds test", new(@" && [\w.]+ < [\w.]+"), ""),
        ("missing bounds test", new(@"(?<=[(=,] ?)[\w. +]+ < [\w. ]+ \? "), "true ? "),
        ("missing bounds test", new(@"\b[\w.]+ < 0 \|\| "), ""),
        ("stale shared read", new(@"^(\s*)(scratch|values|tile|shared\w*|stage\w*|scores|sums)(\[[^=]*\])+ = .*;$"), "$1;"),
        ("stale shared read", new(@"^(\s*)stage_[ab]\.fill\(.*\);$"), "$1if (depth == depth_begin) $0"),
    ];

    /// <summary>Every mistake at every place of a file, one at a time. Comments, directives and macros are left alone.</summary>
    public static IEnumerable<Mutant> Of(string file, string text)
    {
        string[] lines = text.Split('\n');
        for (int i = 0; i < lines.Length; i++)
        {
            string line = lines[i];
            int comment = line.IndexOf("//", StringComparison.Ordinal);
            string code = comment < 0 ? line : line[..comment];
            // Comparisons of values, not of indices, are no matter of one more or less.
            if (code.TrimStart().StartsWith('#') || code.EndsWith('\\') || Excluded().IsMatch(code))
                continue;
            foreach (var (kind, pattern, replacement) in s_mistakes)
            {
                foreach (Match match in pattern.Matches(code))
                {
                    string changed = code[..match.Index] + match.Result(replacement) + code[(match.Index + match.Length)..];
                    if (changed == code)
                        continue;
                    string[] all = [.. lines];
                    all[i] = changed;
                    yield return new Mutant(file, i + 1, kind, code.Trim(), changed.Trim(), string.Join('\n', all));
                }
            }
        }
    }

    public override string ToString() => $"{File}:{Line}: {Kind}: `{Before}` -> `{After}`";

    [GeneratedRegex(@"^\s*(template|constexpr|static constexpr|using|struct)\b|static_assert|\bjoin\(|\bthreshold\b")]
    private static partial Regex Excluded();
}
