namespace RawDiffusion.Nn;

/// <summary>Collects everything that is wrong with a set of named tensors, so that one message says it all.</summary>
internal sealed class StateDictReport(string owner)
{
    private const int NamesShown = 5;

    private readonly List<string> _missing = [], _unexpected = [], _misfits = [];

    public void Missing(string name) => _missing.Add(name);

    public void Unexpected(string name) => _unexpected.Add(name);

    public void Misfit(string description) => _misfits.Add(description);

    /// <exception cref="ArgumentException">A shape or type does not fit or, when strict, a name is missing or unknown.</exception>
    public void ThrowIfAny(bool strict)
    {
        var parts = new List<string>();
        if (strict)
            AddPart(parts, "missing", _missing, ", ");
        if (strict)
            AddPart(parts, "unexpected", _unexpected, ", ");
        AddPart(parts, "wrong shape or type", _misfits, "; ");
        if (parts.Count > 0)
            throw new ArgumentException($"The state does not fit {owner}: {string.Join("; ", parts)}.");
    }

    private static void AddPart(List<string> parts, string what, List<string> items, string separator)
    {
        if (items.Count == 0)
            return;
        string more = items.Count > NamesShown ? $" and {items.Count - NamesShown} more" : "";
        parts.Add($"{what} ({items.Count}): {string.Join(separator, items.Take(NamesShown))}{more}");
    }
}
