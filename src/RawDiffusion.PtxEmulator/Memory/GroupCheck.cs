using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.PtxEmulator.Memory;

/// <summary>
/// The test of <see cref="AccessCheck"/> for eight lanes at once that access words side by side, in the usual case that nothing unordered
/// was there before; and the reduction of lanes that all read the same place to two.
/// </summary>
internal static unsafe class GroupCheck
{
    private const int ThreadShift = 24, BlockShift = 34, TagShift = 56;

    /// <summary>Tests and records the groups that it can; returns the lanes that are left to be looked at one by one.</summary>
    /// <param name="now">The record of lane 0 for a whole word.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static uint Remaining(ByteBits defined, RaceTable races, ulong start, in WarpAccess access, uint lanes, AccessRecord now, uint allBefore)
    {
        if (access.Bytes < 4 || access.Kind == AccessKind.Atomic)
            return lanes;
        bool writes = access.Kind == AccessKind.Write;
        int wordsEach = access.Bytes >> 2;
        var step = Vector512.Create(0ul, 1, 2, 3, 4, 5, 6, 7) * (ulong)access.Bytes;
        uint left = lanes;
        // The places that the last group of each kind read; of groups side by side, where it found nothing to record.
        bool knowsOthers = access.Order.KnowsOthers(access.FirstThread >> 5);
        ulong looked = ulong.MaxValue, nothing = ulong.MaxValue;
        for (int group = 0; group < 32; group += 8)
        {
            uint active = lanes >> group & 0xFF;
            if (active != 0xFF)
            {
                if (!writes && BitOperations.PopCount(active) > 2)
                    left &= ~(Superfluous(access.Addresses + group, active) << group);
                continue;
            }
            ulong first = access.Addresses[group];
            Vector512<ulong> distance = Vector512.Load(access.Addresses + group) - Vector512.Create(first);
            if (distance == Vector512<ulong>.Zero)
            {
                // Whatever thread writes there later, one of two readers is another. The next group often reads the same.
                if (!writes)
                {
                    bool known = first == looked || ReadByTwo(defined, races, (long)(first - start), access.Bytes, now.Bits + ((ulong)(uint)group << ThreadShift), allBefore, knowsOthers, access.Pc);
                    left &= ~((known ? 0xFFu : 0xFCu) << group);
                }
                looked = first;
                continue;
            }
            if (distance == step && first == nothing)
            {
                left &= ~(0xFFu << group);
                continue;
            }
            if (distance != step)
                continue;
            long offset = (long)(first - start);
            if (!writes && !IsDefined(defined, offset, 8 * access.Bytes))
                continue;
            bool done = true, changed = writes;
            ulong record = now.Bits + ((ulong)(uint)group << ThreadShift);
            for (int part = 0; part < wordsEach && done; part++)
            {
                // Eight words; with several words to a lane the same thread has neighbours.
                Vector512<ulong> records = Vector512.Create(record) + Threads(part, wordsEach);
                long word = (offset >> 2) + 8 * part;
                done = writes ? Write(races, word, records, allBefore, access.Pc) : Read(races, word, records, allBefore, knowsOthers, access.Pc, ref changed);
            }
            // Recording a part again does no harm.
            if (!done)
                continue;
            if (writes)
                Define(defined, offset, 8 * access.Bytes);
            if (!changed)
                nothing = first;
            left &= ~(0xFFu << group);
        }
        return left;
    }

    /// <summary>Of some lanes of a group that all read one place: those beyond the first two; else none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Superfluous(ulong* addresses, uint part)
    {
        var first = Vector512.Create(addresses[BitOperations.TrailingZeroCount(part)]);
        uint same = (uint)Vector512.ExtractMostSignificantBits(Vector512.Equals(Vector512.Load(addresses), first));
        uint withoutOne = part & (part - 1);
        return (part & ~same) == 0 ? withoutOne & (withoutOne - 1) : 0;
    }

    /// <summary>Two lanes, the first with the record <paramref name="now"/>, read the same words, in which nothing unordered was before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool ReadByTwo(ByteBits defined, RaceTable races, long offset, int bytes, ulong now, uint allBefore, bool knowsOthers, int pc)
    {
        if (!defined.AllSet(offset, bytes))
            return false;
        for (long word = offset >> 2; word <= (offset + bytes - 1) >> 2; word++)
        {
            ulong* slots = races.Reads + 2 * word;
            if (!AccessCheck.IsOld(races.Writes[word], new AccessRecord(now), allBefore))
                return false;
            if (AccessCheck.Stays(slots[0], now, knowsOthers) && AccessCheck.Stays(slots[1], now, knowsOthers))
                continue;
            if (!AccessCheck.IsOld(slots[0], new AccessRecord(now), allBefore) || !AccessCheck.IsOld(slots[1], new AccessRecord(now), allBefore))
                return false;
            slots[0] = now;
            slots[1] = now + (1ul << ThreadShift);
            ushort* places = races.ReadPlaces + 2 * word;
            places[0] = places[1] = (ushort)pc;
        }
        return true;
    }

    /// <summary>The lane of each of eight words of a group, in the place that threads have in a record.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Threads(int part, int wordsEach)
    {
        var word = Vector512.Create(0ul, 1, 2, 3, 4, 5, 6, 7) + Vector512.Create((ulong)(8 * part));
        int shift = BitOperations.Log2((uint)wordsEach);
        return Vector512.ShiftLeft(Vector512.ShiftRightLogical(word, shift), ThreadShift);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Read(RaceTable races, long word, Vector512<ulong> now, uint allBefore, bool knowsOthers, int pc, ref bool changed)
    {
        if (Old(Vector512.Load(races.Writes + word), now, allBefore) != Vector512<ulong>.AllBitsSet)
            return false;
        ulong* slots = races.Reads + 2 * word;
        Vector512<ulong> low = Vector512.Load(slots), high = Vector512.Load(slots + 8);
        // Each word has two records side by side: take them apart.
        Vector512<ulong> slot0 = Deinterleave(low, high, 0), slot1 = Deinterleave(low, high, 1);
        Vector512<ulong> old0 = Old(slot0, now, allBefore), old1 = Old(slot1, now, allBefore);
        Vector512<ulong> same0 = Stays(slot0, now, knowsOthers), same1 = Stays(slot1, now, knowsOthers);
        if ((old0 | (same0 & (same1 | old1))) != Vector512<ulong>.AllBitsSet)
            return false;
        // Those that stay are of threads that nothing orders before this one. The first reader since the last barrier takes the first record, the second the other; further ones need none.
        Vector512<ulong> take1 = Vector512.AndNot(old1, old0 | same1);
        if ((old0 | take1) == Vector512<ulong>.Zero)
            return true;
        changed = true;
        slot0 = Vector512.ConditionalSelect(old0, now, slot0);
        slot1 = Vector512.ConditionalSelect(take1, now, slot1);
        Interleave(slot0, slot1, slots);
        uint places0 = (uint)Vector512.ExtractMostSignificantBits(old0), places1 = (uint)Vector512.ExtractMostSignificantBits(take1);
        ushort* places = races.ReadPlaces + 2 * word;
        for (; places0 != 0; places0 &= places0 - 1)
            places[2 * BitOperations.TrailingZeroCount(places0)] = (ushort)pc;
        for (; places1 != 0; places1 &= places1 - 1)
            places[2 * BitOperations.TrailingZeroCount(places1) + 1] = (ushort)pc;
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Write(RaceTable races, long word, Vector512<ulong> now, uint allBefore, int pc)
    {
        ulong* slots = races.Reads + 2 * word;
        Vector512<ulong> low = Vector512.Load(slots), high = Vector512.Load(slots + 8);
        Vector512<ulong> old = Old(Vector512.Load(races.Writes + word), now, allBefore)
            & Old(Deinterleave(low, high, 0), now, allBefore) & Old(Deinterleave(low, high, 1), now, allBefore);
        if (old != Vector512<ulong>.AllBitsSet)
            return false;
        now.Store(races.Writes + word);
        Vector128.Create((ushort)pc).Store(races.WritePlaces + word);
        return true;
    }

    /// <summary>Records of another launch, of the same thread, or of this block before a barrier of all its threads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Old(Vector512<ulong> record, Vector512<ulong> now, uint allBefore)
    {
        Vector512<ulong> difference = record ^ now, zero = Vector512<ulong>.Zero;
        Vector512<ulong> old = ~Vector512.Equals(Vector512.ShiftRightLogical(difference, TagShift), zero)
            | Vector512.Equals(Vector512.ShiftRightLogical(difference, ThreadShift), zero);
        if (allBefore == 0)
            return old;
        // As BlockOrder.Earlier: times come round.
        Vector512<ulong> time = Vector512.ShiftRightLogical(record, 6);
        Vector512<ulong> age = (Vector512.Create((ulong)allBefore - 1) - time) & Vector512.Create((ulong)AccessRecord.TimeMask);
        return old | (Vector512.Equals(Vector512.ShiftRightLogical(difference, BlockShift), zero)
            & Vector512.LessThan(age, Vector512.Create((ulong)(AccessRecord.TimeMask + 1) / 2)));
    }

    /// <summary>Records of this block since its last barrier, and of other blocks where nothing is known of them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Stays(Vector512<ulong> record, Vector512<ulong> now, bool knowsOthers)
    {
        Vector512<ulong> difference = record ^ now, zero = Vector512<ulong>.Zero;
        Vector512<ulong> recent = Vector512.Equals(difference & Vector512.Create(AccessRecord.EpochMask), zero);
        return knowsOthers ? recent
            : recent | (Vector512.Equals(Vector512.ShiftRightLogical(difference, TagShift), zero) & ~Vector512.Equals(Vector512.ShiftRightLogical(difference, BlockShift), zero));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Deinterleave(Vector512<ulong> low, Vector512<ulong> high, ulong from)
    {
        var index = Vector512.Create(0ul, 2, 4, 6, 8, 10, 12, 14) + Vector512.Create(from);
        if (System.Runtime.Intrinsics.X86.Avx512F.IsSupported)
            return System.Runtime.Intrinsics.X86.Avx512F.PermuteVar8x64x2(low, index, high);
        int k = (int)from;
        return Vector512.Create(low[k], low[k + 2], low[k + 4], low[k + 6], high[k], high[k + 2], high[k + 4], high[k + 6]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Interleave(Vector512<ulong> slot0, Vector512<ulong> slot1, ulong* to)
    {
        if (System.Runtime.Intrinsics.X86.Avx512F.IsSupported)
        {
            System.Runtime.Intrinsics.X86.Avx512F.PermuteVar8x64x2(slot0, Vector512.Create(0ul, 8, 1, 9, 2, 10, 3, 11), slot1).Store(to);
            System.Runtime.Intrinsics.X86.Avx512F.PermuteVar8x64x2(slot0, Vector512.Create(4ul, 12, 5, 13, 6, 14, 7, 15), slot1).Store(to + 8);
            return;
        }
        for (int k = 0; k < 8; k++)
        {
            to[2 * k] = slot0[k];
            to[2 * k + 1] = slot1[k];
        }
    }

    private static bool IsDefined(ByteBits defined, long offset, int bytes)
    {
        int piece = (offset & 15) == 0 ? 16 : 4;
        for (int at = 0; at < bytes; at += piece)
        {
            if (!defined.AllSet(offset + at, piece))
                return false;
        }
        return true;
    }

    private static void Define(ByteBits defined, long offset, int bytes)
    {
        int piece = (offset & 15) == 0 ? 16 : 4;
        for (int at = 0; at < bytes; at += piece)
            defined.Set(offset + at, piece);
    }
}
