using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>Loads, stores, atomics and asynchronous copies. Source: PTX ISA, "Data Movement" and "Parallel Synchronization" instructions.</summary>
internal sealed partial class FunctionDecoder
{
    private static readonly string[] s_scopes = ["cta", "cluster", "gpu", "sys"];

    /// <summary>Hints that change no result.</summary>
    private static readonly string[] s_cacheHints =
    [
        "ca", "cg", "cs", "lu", "cv", "wb", "wt", "L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate",
        "L2::evict_normal", "L2::evict_first", "L2::evict_last", "L2::64B", "L2::128B", "L2::256B",
    ];

    private InstructionFlags TakeOrdering()
    {
        if (Take("volatile"))
            return InstructionFlags.Volatile;
        if (Take("weak"))
            return InstructionFlags.None;
        var flags = TakeAny("relaxed", "acquire", "release", "acq_rel", "mmio") ? InstructionFlags.Synchronizing : InstructionFlags.None;
        // mmio.relaxed
        TakeAny("relaxed");
        TakeAny(s_scopes);
        return flags;
    }

    private void TakeHints()
    {
        while (TakeAny(s_cacheHints))
        {
        }
    }

    private byte TakeVector() => Take("v2") ? (byte)2 : Take("v4") ? (byte)4 : (byte)1;

    private static bool IsStorable(PtxType type) => type.IsBits() || type.IsInteger() || type is PtxType.F32 or PtxType.F64;

    private void Ld()
    {
        var i = Instruction.Create(Opcode.Ld);
        i.Flags = TakeOrdering() | Flag("nc", InstructionFlags.NonCoherent);
        var space = TakeSpace();
        TakeHints();
        i.Vector = TakeVector();
        i.Type = TakeType();
        Allow(IsStorable(i.Type) && i.Type != PtxType.B128 && i.Type.Bytes() * i.Vector <= 16, i.Type);
        Operands(2);
        if (i.Vector == 1)
        {
            Destination(ref i, 0, i.Type, true);
        }
        else
        {
            BeginList(ref i);
            AddVector(ref i, _p.Operands[0], i.Vector, i.Type, true, true);
        }
        i.Space = SetAddress(ref i, _p.Operands[1], space);
        Emit(i);
    }

    private void St()
    {
        var i = Instruction.Create(Opcode.St);
        i.Flags = TakeOrdering();
        var space = TakeSpace();
        TakeHints();
        i.Vector = TakeVector();
        i.Type = TakeType();
        Allow(IsStorable(i.Type) && i.Type != PtxType.B128 && i.Type.Bytes() * i.Vector <= 16, i.Type);
        Operands(2);
        i.Space = SetAddress(ref i, _p.Operands[0], space);
        if (i.Space == StateSpace.Constant || (i.Space == StateSpace.Parameter && _frame is null))
            throw Refuse("this memory is only read");
        i.DeclaredType = StoredType(_p.Operands[1], i.Type);
        // Constants have the size of the registers that they are stored with.
        var type = i.DeclaredType.Bytes() == 8 && i.Type.Bytes() < 8 ? TypeNames.Bits(8) : i.Type;
        if (i.Vector == 1)
        {
            i.B = Source(1, i.Type, true);
        }
        else
        {
            BeginList(ref i);
            foreach (var element in Elements(_p.Operands[1], i.Vector))
                Add(ref i, Source(element, element is PtxImmediate ? type : i.Type, true));
        }
        Emit(i);
    }

    /// <summary>The type of the registers that are stored, which may be wider than what is stored; of constants the latter.</summary>
    private PtxType StoredType(PtxOperand operand, PtxType stored)
    {
        var found = PtxType.None;
        foreach (var element in operand is PtxVector vector ? vector.Elements : [operand])
        {
            if (element is PtxName name && _scope.TryFind(name.Name, _kernel.Registers, _p.Line, out var symbol) && symbol.Kind == SymbolKind.Register)
                found = OfOneSize(found, symbol.Type);
        }
        return found == PtxType.None ? stored : found;
    }

    private PtxType OfOneSize(PtxType first, PtxType second) =>
        first == PtxType.None || first.Bytes() == second.Bytes() || (first.Bytes() < 8 && second.Bytes() < 8) ? second
            : throw Refuse("the registers have different sizes");

    private AtomicOperation TakeAtomicOperation() =>
        Take("add") ? AtomicOperation.Add : Take("min") ? AtomicOperation.Minimum : Take("max") ? AtomicOperation.Maximum
            : Take("and") ? AtomicOperation.And : Take("or") ? AtomicOperation.Or : Take("xor") ? AtomicOperation.Xor
            : Take("exch") ? AtomicOperation.Exchange : Take("cas") ? AtomicOperation.CompareAndSwap
            : Take("inc") ? AtomicOperation.Increment : Take("dec") ? AtomicOperation.Decrement
            : throw Refuse("the operation is missing or not supported");

    private static bool IsAtomic(AtomicOperation operation, PtxType type) => operation switch
    {
        AtomicOperation.Add => IsWord(type) || type is PtxType.F32 or PtxType.F64 || IsHalf(type),
        AtomicOperation.Minimum or AtomicOperation.Maximum => IsWord(type),
        AtomicOperation.Increment or AtomicOperation.Decrement => type == PtxType.U32,
        AtomicOperation.CompareAndSwap => type is PtxType.B16 or PtxType.B32 or PtxType.B64 or PtxType.U32 or PtxType.S32 or PtxType.U64 or PtxType.S64,
        _ => type is PtxType.B32 or PtxType.B64 or PtxType.U32 or PtxType.S32 or PtxType.U64 or PtxType.S64,
    };

    /// <summary>atom, and red, which has no result.</summary>
    private void Atom(bool hasResult)
    {
        var i = Instruction.Create(Opcode.Atom);
        i.Flags = TakeOrdering();
        var space = TakeSpace();
        var operation = TakeAtomicOperation();
        i.Mode = (byte)operation;
        Take("noftz");
        TakeHints();
        i.Type = TakeType();
        Allow(IsAtomic(operation, i.Type), i.Type);
        if (space is not (StateSpace.Generic or StateSpace.Global or StateSpace.Shared))
            throw Refuse("atomics work on global and shared memory");
        bool swap = operation == AtomicOperation.CompareAndSwap;
        if (!hasResult && (swap || operation == AtomicOperation.Exchange))
            throw Refuse("red has no such operation");
        int first = hasResult ? 1 : 0;
        Operands(first + (swap ? 3 : 2));
        if (hasResult && _p.Operands[0] is not PtxName { IsSink: true })
            Destination(ref i, 0, i.Type);
        i.Space = SetAddress(ref i, _p.Operands[first], space);
        i.B = Source(first + 1, i.Type);
        if (swap)
            i.C = Source(first + 2, i.Type);
        Emit(i);
    }

    private void CpAsync()
    {
        Want("async");
        if (Take("commit_group"))
        {
            NoOperands(Opcode.CpAsyncCommit);
            return;
        }
        if (Take("wait_all"))
        {
            NoOperands(Opcode.CpAsyncWaitAll);
            return;
        }
        if (Take("wait_group"))
        {
            var wait = Instruction.Create(Opcode.CpAsyncWait);
            Operands(1);
            wait.Offset = ConstantOperand(0, "the number of groups", 0, int.MaxValue);
            Emit(wait);
            return;
        }
        if (Take("mbarrier"))
        {
            Want("arrive");
            var arrive = Instruction.Create(Opcode.CpAsyncMbarrierArrive, PtxType.B64);
            arrive.Mode = Take("noinc") ? (byte)1 : (byte)0;
            var space = TakeSpace();
            Want("b64");
            Operands(1);
            arrive.Space = SetAddress(ref arrive, _p.Operands[0], space);
            Emit(arrive);
            return;
        }
        if (!TakeAny("ca", "cg") || !TakeAny("shared", "shared::cta"))
            throw Refuse("this asynchronous copy is not supported");
        Want("global");
        TakeHints();
        Operands(3, 4);
        var i = Instruction.Create(Opcode.CpAsync, PtxType.B8);
        var source = Instruction.Create(Opcode.CpAsync);
        SetAddress(ref source, _p.Operands[1], StateSpace.Global);
        i.B = source.A >= 0 ? source.A : _kernel.Registers.Constant(PtxType.U64, 0, _p.Line);
        i.Target = source.Offset;
        i.Space = SetAddress(ref i, _p.Operands[0], StateSpace.Shared);
        int bytes = ConstantOperand(2, "the number of bytes", 4, 16);
        i.Vector = bytes is 4 or 8 or 16 ? (byte)bytes : throw Refuse("4, 8 or 16 bytes are copied");
        if (Count == 4)
            i.C = Source(3, PtxType.U32);
        Emit(i);
    }

    private int ConstantOperand(int operand, string what, long least, long most) =>
        _p.Operands[operand] is PtxImmediate { Kind: PtxImmediateKind.Integer } value && (long)value.Bits >= least && (long)value.Bits <= most
            ? (int)value.Bits : throw Refuse($"{what} is a constant from {least} to {most}");

    private void Membar()
    {
        while (TakeAny("cta", "cluster", "gpu", "gl", "sys", "sc", "acq_rel", "acquire", "release", "proxy", "async", "alias", "mbarrier_init",
            "async.global", "async.shared::cta", "global", "shared::cta"))
        {
        }
        NoOperands(Opcode.Membar);
    }

    private void Prefetch()
    {
        var i = Instruction.Create(Opcode.Prefetch, PtxType.U64);
        var space = TakeSpace();
        if (!TakeAny("L1", "L2"))
            TakeHints();
        Operands(1, 2);
        i.Space = SetAddress(ref i, _p.Operands[0], space);
        Emit(i);
    }

    private void NoOperands(Opcode opcode)
    {
        Operands(0);
        Emit(Instruction.Create(opcode));
    }
}
