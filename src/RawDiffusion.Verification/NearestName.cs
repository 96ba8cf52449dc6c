namespace RawDiffusion.Verification;

/// <summary>Which of the names that there are somebody may have meant.</summary>
public static class NearestName
{
    /// <summary>
    /// The candidate that the fewest insertions, deletions and replacements of a letter lead to (Levenshtein 1966), or one that begins with
    /// the name; null where none is near: more than a third of the letters would have to change.
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

    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }
        return row[b.Length];
    }
}
