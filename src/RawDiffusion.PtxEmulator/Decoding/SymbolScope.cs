using System.Globalization;

namespace RawDiffusion.PtxEmulator.Decoding;

internal enum SymbolKind { Register, Global, Shared, Local, KernelParameter, Function }

/// <param name="Value">The slot of a register; the offset of a variable in its space; the index of a global one.</param>
/// <param name="Bytes">Of a variable.</param>
internal readonly record struct Symbol(SymbolKind Kind, PtxType Type, int Value, StateSpace Space = StateSpace.Generic, long Bytes = 0);

/// <summary>A place to branch to.</summary>
internal sealed class Label(string name)
{
    public string Name => name;

    /// <summary>Index of the instruction; -1 before it is reached.</summary>
    public int Pc { get; set; } = -1;
}

/// <summary>The names of one block in braces; those of the blocks around it are seen through it.</summary>
internal sealed class SymbolScope(SymbolScope? outer)
{
    private readonly Dictionary<string, Symbol> _symbols = [];
    private readonly Dictionary<string, (PtxType Type, int Count)> _families = [];
    private readonly Dictionary<string, Label> _labels = [];
    private readonly Dictionary<string, IReadOnlyList<string>> _targets = [];

    public SymbolScope? Outer => outer;

    public bool TryAdd(string name, Symbol symbol) => _symbols.TryAdd(name, symbol);

    public bool TryAddFamily(string prefix, PtxType type, int count) => _families.TryAdd(prefix, (type, count));

    public bool TryAddLabel(string name) => _labels.TryAdd(name, new Label(name));

    public bool TryAddTargets(string name, IReadOnlyList<string> targets) => _targets.TryAdd(name, targets);

    public Label? FindLabel(string name)
    {
        for (var scope = this; scope is not null; scope = scope.Outer)
        {
            if (scope._labels.TryGetValue(name, out var label))
                return label;
        }
        return null;
    }

    public IReadOnlyList<string>? FindTargets(string name)
    {
        for (var scope = this; scope is not null; scope = scope.Outer)
        {
            if (scope._targets.TryGetValue(name, out var targets))
                return targets;
        }
        return null;
    }

    /// <summary>A register of a family (%r0 to %r9 of %r&lt;10&gt;) gets its slot when it is first named.</summary>
    public bool TryFind(string name, RegisterLayout registers, int line, out Symbol symbol)
    {
        for (var scope = this; scope is not null; scope = scope.Outer)
        {
            if (scope._symbols.TryGetValue(name, out symbol))
                return true;
            if (scope._families.Count > 0 && scope.FindFamily(name) is { } type)
            {
                symbol = new Symbol(SymbolKind.Register, type, registers.Register(type, line));
                scope._symbols[name] = symbol;
                return true;
            }
        }
        symbol = default;
        return false;
    }

    private PtxType? FindFamily(string name)
    {
        int digits = name.Length;
        while (digits > 0 && char.IsAsciiDigit(name[digits - 1]))
            digits--;
        // A prefix may end in digits itself: try every place where the number can begin. It has at most seven digits.
        for (int at = Math.Max(digits, name.Length - 7); at < name.Length; at++)
        {
            bool plain = name[at] != '0' || at == name.Length - 1;
            if (plain && at > 0 && _families.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(name.AsSpan(0, at), out var family)
                && int.TryParse(name.AsSpan(at), NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number < family.Count)
                return family.Type;
        }
        return null;
    }
}
