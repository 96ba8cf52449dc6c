using System.Numerics;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// mbarrier: barriers that are objects of 64 bits in shared memory. Their contents are opaque in PTX; here bit 63 is the parity of the
/// current phase, then 21 bits of bytes still to come (signed), 20 bits of arrivals expected per phase, 20 of arrivals still missing.
/// </summary>
internal static unsafe class Mbarriers
{
    private const int Limit = (1 << 20) - 1;

    public static nint Select(in Instruction i) =>
        i.Space is StateSpace.Shared or StateSpace.Generic || i is { Opcode: Opcode.Mbarrier, Mode: (byte)MbarrierOperation.PendingCount } ? At(&Execute) : 0;

    private static void Execute(Warp w, Instruction* i, uint mask)
    {
        var operation = i->Opcode == Opcode.CpAsyncMbarrierArrive ? MbarrierOperation.Arrive : (MbarrierOperation)i->Mode;
        if (operation == MbarrierOperation.PendingCount)
        {
            for (; mask != 0; mask &= mask - 1)
            {
                int lane = BitOperations.TrailingZeroCount(mask);
                ((uint*)(w.R + i->D))[lane] = (uint)(((ulong*)(w.R + i->A))[lane] & Limit);
            }
            return;
        }
        if (i->Opcode == Opcode.CpAsyncMbarrierArrive)
            w.Copies.Finish(w, mask, _ => uint.MaxValue);
        AddressSpaces.Prepare(w, i, mask, 8);
        if (i->Space == StateSpace.Shared)
            SharedSpace.Each(w, i, mask, 8, true);
        else
            GenericSpace.Each(w, i, mask, 8, true);
        uint results = 0;
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ref ulong state = ref *(ulong*)w.Addresses[lane];
            ulong before = state;
            uint b = i->B < 0 ? 1 : ((uint*)(w.R + i->B))[lane];
            switch (operation)
            {
                case MbarrierOperation.Init:
                    if (b is 0 or > Limit)
                        throw w.Fault(HazardKind.InvalidOperand, i, 1u << lane, $"mbarrier.init with a count of {b}");
                    state = (ulong)b << 20 | b;
                    break;
                case MbarrierOperation.Invalidate:
                    state = ulong.MaxValue;
                    break;
                case MbarrierOperation.Arrive:
                case MbarrierOperation.ArriveNoComplete:
                    // cp.async.mbarrier.arrive without .noinc expects one more arrival and makes it.
                    if (i->Opcode == Opcode.CpAsyncMbarrierArrive && i->Mode == 0)
                        break;
                    Arrive(w, i, lane, ref state, b, 0, 0);
                    break;
                case MbarrierOperation.ArriveDrop:
                    Arrive(w, i, lane, ref state, b, b, 0);
                    break;
                case MbarrierOperation.ArriveExpectTx:
                    Arrive(w, i, lane, ref state, 1, 0, (int)b);
                    break;
                case MbarrierOperation.ExpectTx:
                    Arrive(w, i, lane, ref state, 0, 0, (int)b);
                    break;
                case MbarrierOperation.CompleteTx:
                    Arrive(w, i, lane, ref state, 0, 0, -(int)b);
                    break;
                case MbarrierOperation.TestWait:
                case MbarrierOperation.TryWait:
                    // The state from an arrival: its phase is over when the parity has changed.
                    if (((((ulong*)(w.R + i->B))[lane] ^ state) >> 63) != 0)
                        results |= 1u << lane;
                    break;
                default:
                    if ((state >> 63) != (b & 1))
                        results |= 1u << lane;
                    break;
            }
            if (i->D >= 0 && operation < MbarrierOperation.TestWait)
                ((ulong*)(w.R + i->D))[lane] = before;
        }
        bool waits = operation is MbarrierOperation.TestWait or MbarrierOperation.TryWait or MbarrierOperation.TestWaitParity or MbarrierOperation.TryWaitParity;
        w.Block.MbarrierUsed(w, mask, waits, results);
        if (waits)
        {
            Lanes.StorePredicate(w.R + i->D, results, mask);
            // Those that wait in a loop let the others arrive.
            if (results != mask)
                w.GiveWay();
        }
    }

    private static void Arrive(Warp w, Instruction* i, int lane, ref ulong state, uint count, uint drop, int bytes)
    {
        uint missing = (uint)(state & Limit), expected = (uint)(state >> 20) & Limit;
        int toCome = (int)((long)(state << 1) >> 43) + bytes;
        ulong phase = state >> 63;
        if (count > missing || drop > expected)
            throw w.Fault(HazardKind.InvalidOperand, i, 1u << lane, $"{count} arrivals at an mbarrier that waits for {missing} (of {expected})");
        missing -= count;
        expected -= drop;
        if (missing == 0 && toCome == 0)
            (missing, phase) = (expected, phase ^ 1);
        state = phase << 63 | ((ulong)(uint)toCome & 0x1FFFFF) << 42 | (ulong)expected << 20 | missing;
    }
}
