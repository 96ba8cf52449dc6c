using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>What lanes of a warp and threads of a block do together. Source: PTX ISA, "Parallel Synchronization and Communication Instructions".</summary>
internal sealed partial class FunctionDecoder
{
    private void Shfl()
    {
        bool sync = Take("sync");
        var i = Instruction.Create(Opcode.Shfl, PtxType.B32);
        i.Mode = (byte)(Take("up") ? ShuffleMode.Up : Take("down") ? ShuffleMode.Down : Take("bfly") ? ShuffleMode.Butterfly
            : Take("idx") ? ShuffleMode.Index : throw Refuse(".up, .down, .bfly or .idx is missing"));
        Want("b32");
        Operands(sync ? 5 : 4);
        var (value, predicate) = ResultAndPredicate(_p.Operands[0]);
        if (value is not null)
            i.D = Register(value, PtxType.B32, false, out i.DeclaredType);
        int a = Source(1, PtxType.B32), b = Source(2, PtxType.B32), c = Source(3, PtxType.B32);
        int mask = sync ? Source(4, PtxType.B32) : -1;
        int second = predicate is null ? -1 : Register(predicate, PtxType.Pred);
        BeginList(ref i);
        foreach (int slot in (ReadOnlySpan<int>)[a, b, c, mask, second])
            Add(ref i, slot);
        Emit(i);
    }

    /// <summary>d, d|p, _|p</summary>
    private static (PtxOperand? Value, PtxOperand? Predicate) ResultAndPredicate(PtxOperand operand)
    {
        var (first, second) = operand is PtxPair pair ? (pair.First, pair.Second) : (operand, null);
        return (NotSink(first), NotSink(second));

        static PtxOperand? NotSink(PtxOperand? o) => o is PtxName { IsSink: true } ? null : o;
    }

    private void Vote()
    {
        bool sync = Take("sync");
        var i = Instruction.Create(Opcode.Vote);
        var mode = Take("all") ? VoteMode.All : Take("any") ? VoteMode.Any : Take("uni") ? VoteMode.Uniform
            : Take("ballot") ? VoteMode.Ballot : throw Refuse(".all, .any, .uni or .ballot is missing");
        i.Mode = (byte)mode;
        i.Type = mode == VoteMode.Ballot ? PtxType.B32 : PtxType.Pred;
        Want(mode == VoteMode.Ballot ? "b32" : "pred");
        Operands(sync ? 3 : 2);
        Destination(ref i, 0, i.Type);
        i.A = Predicate(_p.Operands[1], out bool negated);
        if (negated)
            i.Flags |= InstructionFlags.NegatedC;
        i.B = sync ? Source(2, PtxType.B32) : -1;
        Emit(i);
    }

    private void Match()
    {
        bool all = Take("all");
        if (!all)
            Want("any");
        Want("sync");
        var type = TakeType();
        Allow(type is PtxType.B32 or PtxType.B64, type);
        var i = Instruction.Create(Opcode.Match, type);
        i.Mode = all ? (byte)1 : (byte)0;
        Operands(3);
        var (value, predicate) = ResultAndPredicate(_p.Operands[0]);
        if (predicate is not null && !all)
            throw Refuse("match.any has no predicate");
        if (value is not null)
            i.D = Register(value, PtxType.B32, false, out i.DeclaredType);
        i.A = Source(1, type);
        i.B = Source(2, PtxType.B32);
        if (predicate is not null)
        {
            int slot = Register(predicate, PtxType.Pred);
            BeginList(ref i);
            Add(ref i, slot);
        }
        Emit(i);
    }

    private void Activemask()
    {
        Want("b32");
        var i = Instruction.Create(Opcode.Activemask, PtxType.B32);
        Operands(1);
        Destination(ref i, 0, PtxType.B32);
        Emit(i);
    }

    private void Redux()
    {
        Want("sync");
        var operation = TakeAtomicOperation();
        var type = TakeType();
        bool bits = operation is AtomicOperation.And or AtomicOperation.Or or AtomicOperation.Xor;
        bool numbers = operation is AtomicOperation.Add or AtomicOperation.Minimum or AtomicOperation.Maximum;
        Allow((bits && type == PtxType.B32) || (numbers && type is PtxType.U32 or PtxType.S32), type);
        var i = Instruction.Create(Opcode.Redux, type);
        i.Mode = (byte)operation;
        Operands(3);
        Destination(ref i, 0, type);
        i.A = Source(1, type);
        i.B = Source(2, PtxType.B32);
        Emit(i);
    }

    private void Elect()
    {
        Want("sync");
        Operands(2);
        var (lane, predicate) = ResultAndPredicate(_p.Operands[0]);
        var i = Instruction.Create(Opcode.ElectSync, PtxType.B32);
        i.D = Register(predicate ?? throw Refuse("a predicate is missing"), PtxType.Pred);
        if (lane is not null)
            i.B = Register(lane, PtxType.B32);
        i.A = Source(1, PtxType.B32);
        Emit(i);
    }

    private void Bar()
    {
        if (Take("warp"))
        {
            Want("sync");
            var warp = Instruction.Create(Opcode.WarpSync);
            Operands(1);
            warp.A = Source(0, PtxType.B32);
            Emit(warp);
            return;
        }
        Take("cta");
        var i = Instruction.Create(Opcode.Bar);
        i.Flags = Take("aligned") || _p.Opcode == "bar" ? InstructionFlags.Aligned : InstructionFlags.None;
        if (Take("red"))
        {
            BarRed(ref i);
            return;
        }
        bool arrive = Take("arrive");
        if (!arrive)
            Want("sync");
        i.Mode = (byte)(arrive ? BarrierMode.Arrive : BarrierMode.Sync);
        Operands(arrive ? 2 : 1, 2);
        i.A = Source(0, PtxType.U32);
        if (Count == 2)
            i.B = Source(1, PtxType.U32);
        Emit(i);
    }

    /// <summary>bar.red.op.type d, a[, b], [!]c</summary>
    private void BarRed(ref Instruction i)
    {
        var mode = Take("popc") ? BarrierMode.ReducePopc : Take("and") ? BarrierMode.ReduceAnd : Take("or") ? BarrierMode.ReduceOr
            : throw Refuse(".popc, .and or .or is missing");
        i.Mode = (byte)mode;
        i.Type = mode == BarrierMode.ReducePopc ? PtxType.U32 : PtxType.Pred;
        Want(mode == BarrierMode.ReducePopc ? "u32" : "pred");
        Operands(3, 4);
        Destination(ref i, 0, i.Type);
        i.A = Source(1, PtxType.U32);
        if (Count == 4)
            i.B = Source(2, PtxType.U32);
        PredicateC(ref i, _p.Operands[^1]);
        Emit(i);
    }

    private void Mbarrier()
    {
        var operation = Take("init") ? MbarrierOperation.Init : Take("inval") ? MbarrierOperation.Invalidate
            : Take("arrive") ? Take("noComplete") ? MbarrierOperation.ArriveNoComplete
                : Take("expect_tx") ? MbarrierOperation.ArriveExpectTx : MbarrierOperation.Arrive
            : Take("arrive_drop") ? MbarrierOperation.ArriveDrop : Take("expect_tx") ? MbarrierOperation.ExpectTx
            : Take("complete_tx") ? MbarrierOperation.CompleteTx
            : Take("test_wait") ? Take("parity") ? MbarrierOperation.TestWaitParity : MbarrierOperation.TestWait
            : Take("try_wait") ? Take("parity") ? MbarrierOperation.TryWaitParity : MbarrierOperation.TryWait
            : Take("pending_count") ? MbarrierOperation.PendingCount
            : throw Refuse("this operation on a barrier in memory is not supported");
        TakeOrdering();
        var space = TakeSpace();
        Want("b64");
        var i = Instruction.Create(Opcode.Mbarrier, PtxType.B64);
        i.Mode = (byte)operation;
        switch (operation)
        {
            case MbarrierOperation.Init or MbarrierOperation.ExpectTx or MbarrierOperation.CompleteTx:
                Operands(2);
                AddressAt(ref i, 0);
                i.B = Source(1, PtxType.U32);
                break;
            case MbarrierOperation.Invalidate:
                Operands(1);
                AddressAt(ref i, 0);
                break;
            case MbarrierOperation.Arrive or MbarrierOperation.ArriveDrop or MbarrierOperation.ArriveNoComplete or MbarrierOperation.ArriveExpectTx:
                Operands(operation is MbarrierOperation.Arrive or MbarrierOperation.ArriveDrop ? 2 : 3, 3);
                if (_p.Operands[0] is not PtxName { IsSink: true })
                    Destination(ref i, 0, PtxType.B64);
                AddressAt(ref i, 1);
                if (Count == 3)
                    i.B = Source(2, PtxType.U32);
                break;
            case MbarrierOperation.PendingCount:
                Operands(2);
                Destination(ref i, 0, PtxType.U32);
                i.B = Source(1, PtxType.B64);
                break;
            default:
                // The fourth operand of try_wait is a hint how long to wait.
                Operands(3, operation is MbarrierOperation.TryWait or MbarrierOperation.TryWaitParity ? 4 : 3);
                Destination(ref i, 0, PtxType.Pred);
                AddressAt(ref i, 1);
                i.B = Source(2, operation is MbarrierOperation.TestWait or MbarrierOperation.TryWait ? PtxType.B64 : PtxType.U32);
                break;
        }
        Emit(i);

        void AddressAt(ref Instruction instruction, int operand)
        {
            if (space is not (StateSpace.Shared or StateSpace.Generic))
                throw Refuse("such a barrier is in shared memory");
            instruction.Space = SetAddress(ref instruction, _p.Operands[operand], space);
        }
    }
}
