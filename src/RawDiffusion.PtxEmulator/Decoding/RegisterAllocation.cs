using System.Runtime.InteropServices;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>
/// Lets registers that are never alive together share a place. Compilers write PTX with a new register for every value, hundreds in an
/// unrolled loop; packed, a warp's registers stay in the processor's first cache. Source: M. Poletto, V. Sarkar, Linear Scan Register
/// Allocation.
/// </summary>
/// <remarks>
/// Lanes that part take different ways through the code, but each writes only its own element of a place, so what is true of one thread
/// is true of all. Operands and results of one instruction never share a place.
/// </remarks>
internal sealed class RegisterAllocation
{
    /// <summary>Blocks times registers, from which on nothing is shared: the sets of the analysis would be too large.</summary>
    private const long MostBits = 1L << 26;

    private readonly List<Instruction> _code;
    private readonly List<int> _operands;
    private readonly RegisterLayout _layout;
    private readonly int _line;
    private readonly List<(int Register, bool IsDefinition)> _named = [];

    private RegisterAllocation(List<Instruction> code, List<int> operands, RegisterLayout layout, int line)
    {
        _code = code;
        _operands = operands;
        _layout = layout;
        _line = line;
    }

    /// <summary>Gives the registers that code[start..end), one function, names their slots.</summary>
    /// <param name="line">Of the function, for errors.</param>
    public static void Allocate(List<Instruction> code, int start, int end, List<int> operands, RegisterLayout layout, int line) =>
        new RegisterAllocation(code, operands, layout, line).Allocate(start, end);

    private void Allocate(int start, int end)
    {
        var graph = FlowGraph.Build(CollectionsMarshal.AsSpan(_code), start, end, _operands);
        var registers = Number(start, end);
        var (first, last) = (long)graph.Count * registers.Count <= MostBits ? Intervals(graph, registers)
            : (new int[registers.Count], [.. Enumerable.Repeat(int.MaxValue, registers.Count)]);
        int[] slots = Scan(registers, first, last);
        var code = CollectionsMarshal.AsSpan(_code);
        var operands = CollectionsMarshal.AsSpan(_operands);
        for (int pc = start; pc < end; pc++)
        {
            ref var i = ref code[pc];
            Place(ref i.D);
            Place(ref i.A);
            Place(ref i.B);
            Place(ref i.C);
            for (int k = 0; k < i.ListCount; k++)
                Place(ref operands[i.List + k]);
        }

        void Place(ref int slot)
        {
            if (RegisterLayout.IsVirtual(slot))
                slot = slots[registers[slot]];
        }
    }

    /// <summary>The registers of the function, numbered from 0.</summary>
    private Dictionary<int, int> Number(int start, int end)
    {
        var registers = new Dictionary<int, int>();
        for (int pc = start; pc < end; pc++)
        {
            Name(pc);
            foreach (var (register, _) in _named)
                registers.TryAdd(register, registers.Count);
        }
        return registers;
    }

    /// <summary>Lists the registers that an instruction reads or writes.</summary>
    private void Name(int pc)
    {
        _named.Clear();
        var i = _code[pc];
        Add(i.D, true);
        Add(i.A, false);
        Add(i.B, i.Opcode == Opcode.ElectSync);
        Add(i.C, false);
        int definitions = i.Opcode switch
        {
            Opcode.Ld or Opcode.MovUnpack or Opcode.Ldmatrix => i.ListCount,
            Opcode.Mma => i.Type is PtxType.F16 or PtxType.F64 ? 2 : 4,
            _ => 0,
        };
        for (int k = 0; k < i.ListCount; k++)
            Add(_operands[i.List + k], k < definitions);

        void Add(int slot, bool isDefinition)
        {
            if (RegisterLayout.IsVirtual(slot))
                _named.Add((slot, isDefinition));
        }
    }

    /// <summary>Between which instructions each register is alive, by the usual equations over the blocks.</summary>
    private (int[] First, int[] Last) Intervals(FlowGraph graph, Dictionary<int, int> registers)
    {
        int count = graph.Count, words = (registers.Count + 63) / 64;
        ulong[][] used = Sets(), defined = Sets(), into = Sets(), outOf = Sets();
        int[] first = new int[registers.Count], last = new int[registers.Count];
        Array.Fill(first, int.MaxValue);
        Array.Fill(last, -1);
        for (int b = 0; b < count; b++)
        {
            for (int pc = graph.Starts[b]; pc < graph.Starts[b + 1]; pc++)
            {
                Name(pc);
                foreach (var (register, isDefinition) in _named)
                {
                    int r = registers[register];
                    Extend(r, pc);
                    if (!isDefinition && (defined[b][r >> 6] >> r & 1) == 0)
                        used[b][r >> 6] |= 1ul << r;
                }
                // Under a guard the old value may stay.
                foreach (var (register, isDefinition) in _named)
                {
                    int r = registers[register];
                    if (isDefinition && _code[pc].Guard < 0)
                        defined[b][r >> 6] |= 1ul << r;
                    else if (isDefinition && (defined[b][r >> 6] >> r & 1) == 0)
                        used[b][r >> 6] |= 1ul << r;
                }
            }
        }
        bool changed = true;
        while (changed)
        {
            changed = false;
            for (int b = count - 1; b >= 0; b--)
            {
                for (int w = 0; w < words; w++)
                {
                    ulong leaving = 0;
                    foreach (int s in graph.Successors[b])
                        leaving |= s < count ? into[s][w] : 0;
                    outOf[b][w] = leaving;
                    ulong entering = used[b][w] | (leaving & ~defined[b][w]);
                    changed |= entering != into[b][w];
                    into[b][w] = entering;
                }
            }
        }
        for (int b = 0; b < count; b++)
        {
            for (int r = 0; r < first.Length; r++)
            {
                if ((into[b][r >> 6] >> r & 1) != 0)
                    Extend(r, graph.Starts[b]);
                if ((outOf[b][r >> 6] >> r & 1) != 0)
                    Extend(r, graph.Starts[b + 1] - 1);
            }
        }
        return (first, last);

        ulong[][] Sets() => [.. Enumerable.Range(0, count).Select(_ => new ulong[words])];

        void Extend(int r, int pc)
        {
            first[r] = Math.Min(first[r], pc);
            last[r] = Math.Max(last[r], pc);
        }
    }

    /// <summary>In the order in which they begin, each takes a slot of its size whose register has ended, or a new one.</summary>
    private int[] Scan(Dictionary<int, int> registers, int[] first, int[] last)
    {
        int[] slots = new int[registers.Count];
        var types = new PtxType[registers.Count];
        foreach (var (register, r) in registers)
            types[r] = _layout.TypeOf(register);
        var free = new[] { new Stack<int>(), new Stack<int>() };
        var active = new PriorityQueue<int, int>();
        foreach (int r in Enumerable.Range(0, slots.Length).OrderBy(r => first[r]))
        {
            while (active.TryPeek(out int ended, out int end) && end < first[r])
            {
                active.Dequeue();
                free[Class(ended)].Push(slots[ended]);
            }
            slots[r] = free[Class(r)].TryPop(out int slot) ? slot : _layout.Slot(types[r], _line);
            active.Enqueue(r, last[r]);
        }
        return slots;

        int Class(int r) => types[r].Bytes() == 8 ? 1 : 0;
    }
}
