namespace RawDiffusion.Verification;

/// <summary>Which of the names that there are somebody may have meant.</summary>
public static class NearestName
{
    /// <summary>
    /// The candidate that the fewest insertions, deletions, replacements and swaps of neighbouring letters lead to (Damerau 1964), or one that
    /// begins with the name; null where none is near: more than a third of the letters would have to change.
    /// </summary>
    public static string? Of(string name, IEnumerable<string> candidates)
    {
        string? nearest = null;
        int fewest = Math.Max(1, name.Length / 3) + 1;
        foreach (string candidate in candidates)
        {
            int changes = name.Length > 1 && candidate.StartsWith(name, StringComparison.OrdinalIgnoreCase) ? 1 : Distance(name.ToLowerInvariant(), candidate.ToLowerInvariant());
            if (changes < fewest)
                (nearest, fewest) = (candidate, changes);
        }
        return nearest;
    }

    /// <summary><c>did you mean matmul? </c>, to stand before a list of all; nothing where no candidate is near.</summary>
    public static string Hint(string name, IEnumerable<string> candidates) => Of(name, candidates) is { } nearest ? $"did you mean {nearest}? " : "";

    // rows[i, j]: of the first i letters of a and the first j of b.
    private static int Distance(string a, string b)
    {
        var rows = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
        {
            for (int j = 0; j <= b.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    rows[i, j] = i + j;
                    continue;
                }
                int fewest = Math.Min(rows[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1), Math.Min(rows[i - 1, j], rows[i, j - 1]) + 1);
                bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                rows[i, j] = swapped ? Math.Min(fewest, rows[i - 2, j - 2] + 1) : fewest;
            }
        }
        return rows[a.Length, b.Length];
    }
}
