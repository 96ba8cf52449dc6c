using System.Numerics;
using System.Runtime.CompilerServices;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.PtxEmulator.Memory;

/// <summary>What is wrong with an access: at which lane, and for a race with which earlier access.</summary>
internal struct AccessProblem
{
    public int Lane;

    /// <summary>The first byte that was never written; for a race the start of the word.</summary>
    public ulong Address;

    /// <summary>The access that this one races with; no record: the bytes were never written.</summary>
    public AccessRecord Other;

    /// <summary>The instruction of the earlier access.</summary>
    public ushort Place;

    public readonly bool IsRace => Other.Tag != 0;
}

/// <summary>
/// The test of accesses against the shadow of the memory they go to. It follows FastTrack (Flanagan and Freund, PLDI 2009): accesses are
/// dated by a clock of their warp, and only the newest of a word are kept.
/// </summary>
internal static unsafe class AccessCheck
{
    /// <summary>Tests and records what some lanes of an access do; false where one is wrong.</summary>
    /// <param name="defined">Which bytes of the memory were written.</param>
    /// <param name="races">Its table for this launch or block.</param>
    /// <param name="tag">That of the launch.</param>
    /// <param name="start">The address of its first byte.</param>
    /// <param name="memory">Where that byte is on the host.</param>
    /// <param name="lanes">Lanes whose accesses lie in it.</param>
    public static bool Lanes(ByteBits defined, RaceTable races, ulong start, byte* memory, uint tag, in WarpAccess access, uint lanes, out AccessProblem problem)
    {
        problem = default;
        bool strong = access.IsSynchronizing || access.Kind == AccessKind.Atomic;
        bool reads = access.Kind != AccessKind.Write, writes = access.Kind != AccessKind.Read;
        var order = access.Order;
        uint allBefore = order.AllBefore;
        bool knowsOthers = order.KnowsOthers(access.FirstThread >> 5);
        ulong prefix = AccessRecord.Prefix(tag, (uint)access.Block, access.Time);
        int bytes = access.Bytes;
        lanes = GroupCheck.Remaining(defined, races, start, in access, lanes, AccessRecord.Of(prefix, access.FirstThread, 15, writes, strong), allBefore);
        for (uint left = lanes; left != 0; left &= left - 1)
        {
            int lane = BitOperations.TrailingZeroCount(left);
            long offset = (long)(access.Addresses[lane] - start);
            if (reads && !defined.AllSet(offset, bytes))
            {
                problem = new AccessProblem { Lane = lane, Address = start + (ulong)defined.FindClear(offset, bytes) };
                return false;
            }
            long last = (offset + bytes - 1) >> 2;
            int part = bytes >= 4 ? 15 : ((1 << bytes) - 1) << (int)(offset & 3);
            var now = AccessRecord.Of(prefix, access.FirstThread + lane, part, writes, strong);
            for (long word = offset >> 2; word <= last; word++)
            {
                if (writes ? WriteIsPlain(races, word, now, allBefore, access.Pc) : ReadIsPlain(races, word, now, allBefore, knowsOthers, access.Pc))
                    continue;
                bool fine = writes
                    ? Write(races, word, now, lane, memory, in access, offset, ref problem)
                    : Read(races, word, now, order, access.Pc, ref problem);
                if (!fine)
                {
                    problem.Lane = lane;
                    problem.Address = start + (ulong)Math.Max(offset, word * 4);
                    return false;
                }
            }
            if (writes)
                defined.Set(offset, bytes);
        }
        return true;
    }

    /// <summary>
    /// The usual case of a read, decided without asking the order: what was written was so before a barrier of the block or by this thread,
    /// and either this read is to be remembered in place of an old one or two others of the same time are already.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool ReadIsPlain(RaceTable races, long word, AccessRecord now, uint allBefore, bool knowsOthers, int pc)
    {
        if (!IsOld(races.Writes[word], now, allBefore))
            return false;
        ulong* slots = races.Reads + 2 * word;
        if (IsOld(slots[0], now, allBefore))
        {
            // Of the reads of parts of a word the slow way keeps the sum.
            if (now.Bytes != 15)
                return false;
            slots[0] = now.Bits;
            races.ReadPlaces[2 * word] = (ushort)pc;
            return true;
        }
        if (!Stays(slots[0], now.Bits, knowsOthers))
            return false;
        if (Stays(slots[1], now.Bits, knowsOthers))
            return true;
        if (now.Bytes != 15 || !IsOld(slots[1], now, allBefore))
            return false;
        slots[1] = now.Bits;
        races.ReadPlaces[2 * word + 1] = (ushort)pc;
        return true;
    }

    /// <summary>The usual case of a write: all that is remembered was before a barrier of the block or by this thread.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool WriteIsPlain(RaceTable races, long word, AccessRecord now, uint allBefore, int pc)
    {
        ulong* slots = races.Reads + 2 * word;
        if (now.Bytes != 15 || !IsOld(races.Writes[word], now, allBefore) || !IsOld(slots[0], now, allBefore) || !IsOld(slots[1], now, allBefore))
            return false;
        races.Writes[word] = now.Bits;
        races.WritePlaces[word] = (ushort)pc;
        return true;
    }

    /// <summary>Whether a record is of this block since its last barrier, or of another block where nothing is known of such.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Stays(ulong record, ulong now, bool knowsOthers)
    {
        ulong difference = record ^ now;
        return (difference & AccessRecord.EpochMask) == 0 || (!knowsOthers && difference >> 56 == 0 && difference >> 34 != 0);
    }

    /// <summary>Whether a record is of another launch, of this thread, or of this block before a barrier of all its threads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsOld(ulong record, AccessRecord now, uint allBefore)
    {
        ulong difference = record ^ now.Bits;
        return difference >> 56 != 0 || difference >> 24 == 0
            || (difference >> 34 == 0 && BlockOrder.Earlier(new AccessRecord(record).Time, allBefore));
    }

    private static bool Read(RaceTable races, long word, AccessRecord now, BlockOrder order, int pc, ref AccessProblem problem)
    {
        var written = new AccessRecord(races.Writes[word]);
        if (written.Tag == now.Tag && Conflict(written, now, order))
        {
            (problem.Other, problem.Place) = (written, races.WritePlaces[word]);
            return false;
        }
        ulong* slots = races.Reads + 2 * word;
        if (slots[0] == now.Bits || slots[1] == now.Bits)
            return true;
        int slot = Replaceable(new AccessRecord(slots[0]), now, order) ? 0 : Replaceable(new AccessRecord(slots[1]), now, order) ? 1 : -1;
        if (slot >= 0)
        {
            var old = new AccessRecord(slots[slot]);
            // Reads of the parts of a word by one thread add up.
            slots[slot] = old.SameThread(now) && old.Time == now.Time && old.Strong == now.Strong ? now.Bits | (uint)old.Bytes : now.Bits;
            races.ReadPlaces[2 * word + slot] = (ushort)pc;
        }
        return true;
    }

    private static bool Write(RaceTable races, long word, AccessRecord now, int lane, byte* memory, in WarpAccess access, long offset, ref AccessProblem problem)
    {
        var order = access.Order;
        var written = new AccessRecord(races.Writes[word]);
        if (written.Tag == now.Tag && Conflict(written, now, order)
            && !(access.Kind == AccessKind.Write && !written.Strong && SameValue(memory, in access, lane, offset, written)))
        {
            (problem.Other, problem.Place) = (written, races.WritePlaces[word]);
            return false;
        }
        for (int slot = 0; slot < 2; slot++)
        {
            var read = new AccessRecord(races.Reads[2 * word + slot]);
            if (read.Tag == now.Tag && Conflict(read, now, order))
            {
                (problem.Other, problem.Place) = (read, races.ReadPlaces[2 * word + slot]);
                return false;
            }
        }
        bool same = written.SameThread(now) && written.Time == now.Time && written.Strong == now.Strong;
        races.Writes[word] = same ? now.Bits | (uint)written.Bytes : now.Bits;
        races.WritePlaces[word] = (ushort)access.Pc;
        return true;
    }

    /// <summary>Whether an earlier access, one of the two a write, is of another thread, on a common byte, and not ordered before this one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Conflict(AccessRecord earlier, AccessRecord now, BlockOrder order) =>
        !earlier.SameThread(now) && (earlier.Bytes & now.Bytes) != 0 && !(earlier.Strong && now.Strong) && !IsBefore(earlier, now, order);

    private static bool Replaceable(AccessRecord earlier, AccessRecord now, BlockOrder order) =>
        earlier.Tag != now.Tag || earlier.SameThread(now) || IsBefore(earlier, now, order);

    private static bool IsBefore(AccessRecord earlier, AccessRecord now, BlockOrder order) => earlier.Block == now.Block
        ? order.IsBefore(earlier.Thread, earlier.Time, now.Thread)
        : order.IsBefore(earlier.Block, earlier.Thread, earlier.Time, now.Thread);

    /// <summary>Whether a write leaves what an unordered earlier one wrote; of two lanes in one instruction, whether they write the same.</summary>
    private static bool SameValue(byte* memory, in WarpAccess access, int lane, long offset, AccessRecord earlier)
    {
        if (access.Values is null)
            return false;
        var mine = new ReadOnlySpan<byte>(access.Values + lane * access.Bytes, access.Bytes);
        int other = earlier.Thread & 31;
        bool together = earlier.Thread - other == access.FirstThread && earlier.Block == ((uint)access.Block & AccessRecord.BlockMask)
            && (access.Mask >> other & 1) != 0 && access.Addresses[other] == access.Addresses[lane];
        return mine.SequenceEqual(new ReadOnlySpan<byte>(together && other < lane ? access.Values + other * access.Bytes : memory + offset, access.Bytes));
    }
}
