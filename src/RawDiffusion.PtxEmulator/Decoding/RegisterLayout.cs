using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>Gives out the slots of a warp's register file: registers, predicates, constants and special registers of a kernel and its functions.</summary>
internal sealed class RegisterLayout
{
    private const int LineBytes = 64, PredicateBytes = 4;

    /// <summary>A warp's register file may have this many bytes: 2^18 registers of 32 bits.</summary>
    private const int MostBytes = 1 << 25;

    /// <summary>Declared registers have numbers from here on until <see cref="RegisterAllocation"/> gives them slots.</summary>
    private const int FirstVirtual = 1 << 28;

    private readonly Dictionary<(PtxType, ulong, int), int> _constants = [];
    private readonly Dictionary<SpecialRegister, int> _specials = [];
    private int _next;
    private int _nextPredicate, _predicatesEnd;
    private readonly List<PtxType> _declared = [];

    public int Bytes => _next;

    public int DeclaredRegisters { get; private set; }

    public ConstantSlot[] Constants => [.. _constants.Select(c => new ConstantSlot(c.Value, c.Key.Item1, c.Key.Item2, c.Key.Item3))];

    public SpecialSlot[] Specials => [.. _specials.Select(s => new SpecialSlot(s.Value, s.Key))];

    public static bool IsVirtual(int slot) => slot >= FirstVirtual;

    public PtxType TypeOf(int register) => _declared[register - FirstVirtual];

    /// <summary>A register that the text declares: a predicate gets its slot, another a number.</summary>
    public int Register(PtxType type, int line)
    {
        if (type == PtxType.Pred)
            return Slot(type, line);
        DeclaredRegisters += type.Bytes() == 8 ? 2 : 1;
        return Temporary(type, line);
    }

    /// <summary>A register, not a predicate, that the text does not declare.</summary>
    public int Temporary(PtxType type, int line)
    {
        if (_declared.Count >= MostBytes / 128)
            throw new PtxException(line, "the kernel uses too many registers", "");
        _declared.Add(type);
        return FirstVirtual + _declared.Count - 1;
    }

    public int Slot(PtxType type, int line)
    {
        if (_next > MostBytes)
            throw new PtxException(line, $"the kernel uses more than {MostBytes} bytes of registers per warp", "");
        if (type == PtxType.Pred)
        {
            if (_nextPredicate == _predicatesEnd)
            {
                _nextPredicate = Take(LineBytes);
                _predicatesEnd = _next;
            }
            _nextPredicate += PredicateBytes;
            return _nextPredicate - PredicateBytes;
        }
        return Take(type.Bytes() == 8 ? 256 : 128);
    }

    /// <summary>The slot with one value in all lanes. Only the size of the type counts, and whether it is a predicate.</summary>
    public int Constant(PtxType type, ulong value, int line, int global = -1)
    {
        type = type == PtxType.Pred ? type : type.Bytes() == 8 ? PtxType.B64 : PtxType.B32;
        if (!_constants.TryGetValue((type, value, global), out int slot))
            _constants[(type, value, global)] = slot = Slot(type, line);
        return slot;
    }

    public int Special(SpecialRegister register, int line)
    {
        if (!_specials.TryGetValue(register, out int slot))
            _specials[register] = slot = Slot(PtxType.U32, line);
        return slot;
    }

    private int Take(int bytes)
    {
        // Registers of one width in front of a line of predicates keep their alignment to 64 bytes.
        int slot = _next;
        _next += bytes;
        return slot;
    }
}
