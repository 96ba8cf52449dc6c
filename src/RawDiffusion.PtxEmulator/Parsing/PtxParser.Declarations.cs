using System.Numerics;

namespace RawDiffusion.PtxEmulator.Parsing;

/// <summary>Variables, parameters and registers.</summary>
internal sealed partial class PtxParser
{
    private static bool IsSpace(ReadOnlySpan<char> name) => name is "global" or "const" or "shared" or "local" or "param";

    /// <summary>.space [.align N] [.v2|.v4] .type name[extent]... [= value], ... ;</summary>
    private void Variables(PtxLinkage linkage, Action<PtxVariable> add)
    {
        var declaration = Declaration(linkage);
        do
            add(Variable(declaration, true));
        while (TryTake(','));
        Expect(';');
    }

    private readonly record struct DeclarationHead(PtxSpace Space, PtxLinkage Linkage, string Type, int ElementBytes, int Alignment);

    /// <summary>What stands in front of the names: space, alignment, type.</summary>
    private DeclarationHead Declaration(PtxLinkage linkage)
    {
        var space = _token.Kind == PtxTokenKind.Dotted ? Span switch
        {
            "global" => PtxSpace.Global,
            "const" => PtxSpace.Const,
            "shared" or "shared::cta" => PtxSpace.Shared,
            "local" => PtxSpace.Local,
            "param" => PtxSpace.Param,
            _ => throw Error($".{Shown(Span)} is no state space"),
        } : throw Error($"a state space is wanted in place of {Found()}");
        Take();
        int alignment = 0, lanes = 1;
        string? type = null;
        while (_token.Kind == PtxTokenKind.Dotted)
        {
            int bytes = PtxTypeNames.Bytes(Span);
            switch (Span)
            {
                case "align":
                    Take();
                    alignment = Alignment();
                    break;
                case "v2" or "v4":
                    lanes = Span[1] - '0';
                    Take();
                    break;
                // What a pointer parameter points to, for the optimiser: .ptr .global .align 16
                case "ptr":
                    Take();
                    if (_token.Kind == PtxTokenKind.Dotted && Span is "global" or "const" or "shared" or "local" or "generic")
                        Take();
                    if (TryDirective("align"))
                        Alignment();
                    break;
                case "attribute":
                    throw Error("variable attributes (managed, unified) are not supported");
                default:
                    if (bytes <= 0 || type is not null)
                        throw Error($".{Shown(Span)} is no type of a variable");
                    type = Span.ToString();
                    Take();
                    break;
            }
        }
        if (type is null)
            throw Error("a type is missing");
        int element = PtxTypeNames.Bytes(type) * lanes;
        return new DeclarationHead(space, linkage, type, element, alignment == 0 ? element : alignment);
    }

    private int Alignment()
    {
        long value = Integer();
        return value is > 0 and <= 1 << 16 && long.IsPow2(value) ? (int)value : throw Error($"an alignment is a power of two, not {value}");
    }

    private PtxVariable Variable(DeclarationHead head, bool initialised)
    {
        int line = _token.Line;
        string name = Name("the name of a variable");
        if (Is('<'))
            throw Error("families of variables are not supported");
        var extents = new List<long>();
        bool open = false;
        while (TryTake('['))
        {
            if (Is(']') && extents.Count == 0)
                open = true;
            else
                extents.Add(Integer());
            Expect(']');
            if (extents.Count > 8)
                throw Error("too many extents");
        }
        // The count for the values of nested braces: an open first extent has as many as it needs.
        long count = 1;
        foreach (long extent in extents)
        {
            if (extent <= 0 && !(extent == 0 && extents.Count == 1 && !open))
                throw Error($"an array cannot have {extent} elements");
            if (extent > 0 && count > int.MaxValue / extent)
                throw Error("an array has more than 2^31 elements");
            count *= extent;
        }
        long inner = count;
        if (open)
        {
            extents.Insert(0, 0);
            count = 0;
        }
        var values = new List<PtxInitializer>();
        if (initialised && TryTake('='))
        {
            if (head.Space is not (PtxSpace.Global or PtxSpace.Const))
                throw Error("only variables in .global and .const have initial values");
            long end = extents.Count == 0 && !Is('{') ? Single(values, 0) : Values(values, extents, 0, 0, head.ElementBytes / PtxTypeNames.Bytes(head.Type));
            if (open)
                count = (end + inner - 1) / inner * inner;
            else if (end > count)
                throw Error("more initial values than elements");
        }
        if (count * head.ElementBytes > int.MaxValue)
            throw Error("a variable of more than 2 GiB");
        return new PtxVariable
        {
            Name = name,
            Line = line,
            Space = head.Space,
            Linkage = head.Linkage,
            Type = head.Type,
            ElementBytes = head.ElementBytes,
            Alignment = head.Alignment,
            Count = count,
            IsOpen = open && values.Count == 0,
            Initializers = values,
        };
    }

    /// <summary>Values in braces, one level for each extent; returns the index behind the last.</summary>
    private long Values(List<PtxInitializer> values, List<long> extents, int level, long index, int lanes)
    {
        Enter();
        Expect('{');
        long inner = lanes;
        for (int i = level + 1; i < extents.Count; i++)
            inner *= extents[i];
        long whole = level < extents.Count ? extents[level] == 0 ? long.MaxValue : inner * extents[level] : lanes;
        long start = index;
        if (!Is('}'))
        {
            do
            {
                if (index - start >= whole)
                    throw Error("more initial values than elements");
                if (Is('{'))
                {
                    if (level >= extents.Count)
                        throw Error("braces where a value is wanted");
                    long at = index;
                    Values(values, extents, level + 1, at, lanes);
                    index = at + inner;
                }
                else
                {
                    index = Single(values, index);
                }
            }
            while (TryTake(','));
        }
        Expect('}');
        Leave();
        return (index + lanes - 1) / lanes;
    }

    private long Single(List<PtxInitializer> values, long index)
    {
        int line = _token.Line;
        ulong mask = 0;
        if (StartsImmediate || Is('(') || Is('!'))
        {
            var immediate = Immediate();
            if (!Is('('))
            {
                values.Add(new PtxInitializer(index, immediate, 0, false, line));
                return index + 1;
            }
            // 0xFF00(symbol): one byte of an address.
            mask = immediate.Bits;
            int shift = BitOperations.TrailingZeroCount(mask);
            if (immediate.Kind != PtxImmediateKind.Integer || shift % 8 != 0 || shift == 64 || mask >> shift != 0xFF)
                throw Error("the mask of an address selects one byte");
            Expect('(');
        }
        var (address, generic) = InitialAddress();
        if (mask != 0)
            Expect(')');
        values.Add(new PtxInitializer(index, address, mask, generic, line));
        return index + 1;
    }

    /// <summary>symbol, symbol+4, generic(symbol)+4, generic(symbol+4)</summary>
    private (PtxSymbolOffset Address, bool IsGeneric) InitialAddress()
    {
        string name = Name("an initial value");
        long offset = 0;
        bool generic = name == "generic" && TryTake('(');
        if (generic)
        {
            name = Name("a variable");
            offset = Distance();
            Expect(')');
        }
        return (new PtxSymbolOffset(name, offset + Distance()), generic);
    }

    /// <summary>+4, -4, +-4, or nothing.</summary>
    private long Distance() => Is('+') || Is('-') ? Rest(0, 4) : 0;

    /// <summary>.reg .type name, name&lt;count&gt;, ... ;</summary>
    private void Registers(List<PtxStatement> statements)
    {
        int line = _token.Line;
        Take();
        if (_token.Kind == PtxTokenKind.Dotted && Span is "v2" or "v4")
            throw Error("vector registers are not supported");
        if (_token.Kind != PtxTokenKind.Dotted || PtxTypeNames.Bytes(Span) < 0)
            throw Error($"the type of a register is wanted in place of {Found()}");
        string type = Interned();
        Take();
        do
        {
            string name = Name("the name of a register");
            int count = -1;
            if (TryTake('<'))
            {
                long number = Integer();
                if (number is < 0 or > MostRegisters)
                    throw Error($"{number} registers; the most are {MostRegisters}");
                count = (int)number;
                Expect('>');
            }
            statements.Add(new PtxRegisters(line, type, name, count));
        }
        while (TryTake(','));
        Expect(';');
    }
}
