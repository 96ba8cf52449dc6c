using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Shuffles, votes, matches, reductions: what the lanes of a warp tell each other. The mask is that of the lanes which take part.</summary>
internal static unsafe class WarpExchange
{
    public static nint Select(in Instruction i) => i.Opcode switch
    {
        Opcode.Shfl => (ShuffleMode)i.Mode switch
        {
            ShuffleMode.Up => At(&Shuffle<Up>),
            ShuffleMode.Down => At(&Shuffle<Down>),
            ShuffleMode.Butterfly => At(&Shuffle<Butterfly>),
            _ => At(&Shuffle<Index>),
        },
        Opcode.Vote => At(&Vote),
        Opcode.Match => i.Type.Bytes() == 8 ? At(&Match<ulong>) : At(&Match<uint>),
        Opcode.Activemask => At(&ActiveMask),
        Opcode.Redux => i.Type is PtxType.S32 or PtxType.U32 or PtxType.B32 ? At(&Reduce) : 0,
        Opcode.ElectSync => At(&Elect),
        _ => 0,
    };

    private struct Up;

    private struct Down;

    private struct Butterfly;

    private struct Index;

    /// <summary>The lane from which each lane reads, and whether that lane is in its segment: vectors of 16 lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Source<TMode>(Vector512<int> lane, Vector512<int> b, Vector512<int> c, out Vector512<int> inside)
    {
        Vector512<int> five = Vector512.Create(31);
        Vector512<int> segment = Vector512.ShiftRightLogical(c, 8) & five, clamp = c & five;
        b &= five;
        Vector512<int> highest = (lane & segment) | (clamp & ~segment), source;
        if (typeof(TMode) == typeof(Up))
        {
            source = lane - b;
            inside = Vector512.GreaterThanOrEqual(source, highest);
        }
        else
        {
            source = typeof(TMode) == typeof(Down) ? lane + b : typeof(TMode) == typeof(Butterfly) ? lane ^ b : (lane & segment) | (b & ~segment);
            inside = Vector512.LessThanOrEqual(source, highest);
        }
        return Vector512.ConditionalSelect(inside, source, lane);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Shuffle<TMode>(Warp w, Instruction* i, uint mask)
    {
        int* list = w.Operands + i->List;
        byte* b = w.R + list[1], c = w.R + list[2];
        var lanes = Vector512.Create(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        Vector512<int> from0 = Source<TMode>(lanes, Lanes.Load32(b, 0).AsInt32(), Lanes.Load32(c, 0).AsInt32(), out Vector512<int> inside0);
        Vector512<int> from1 = Source<TMode>(lanes + Vector512.Create(16), Lanes.Load32(b, 1).AsInt32(), Lanes.Load32(c, 1).AsInt32(), out Vector512<int> inside1);
        if (w.Program.Mode == ExecutionMode.Checked && mask != Lanes.All)
            CheckSources(w, i, mask, from0, from1);
        if (i->D >= 0)
        {
            Vector512<uint> low = Lanes.Load32(w.R + list[0], 0), high = Lanes.Load32(w.R + list[0], 1);
            if (Avx512F.IsSupported)
            {
                Lanes.Store32(w.R + i->D, Avx512F.PermuteVar16x32x2(low, from0.AsUInt32(), high), Avx512F.PermuteVar16x32x2(low, from1.AsUInt32(), high), mask);
            }
            else
            {
                uint* values = (uint*)w.Scratch, d = (uint*)(w.R + i->D);
                low.Store(values);
                high.Store(values + 16);
                for (uint rest = mask; rest != 0; rest &= rest - 1)
                {
                    int lane = BitOperations.TrailingZeroCount(rest);
                    d[lane] = values[lane < 16 ? from0[lane] : from1[lane - 16]];
                }
            }
        }
        if (list[4] >= 0)
            Lanes.StorePredicate(w.R + list[4], Lanes.Bits(inside0.AsUInt32(), inside1.AsUInt32()), mask);
    }

    private static void CheckSources(Warp w, Instruction* i, uint mask, Vector512<int> from0, Vector512<int> from1)
    {
        for (uint rest = mask; rest != 0; rest &= rest - 1)
        {
            int lane = BitOperations.TrailingZeroCount(rest), source = lane < 16 ? from0[lane] : from1[lane - 16];
            if ((mask >> source & 1) == 0)
                throw w.Fault(HazardKind.InvalidMemberMask, i, 1u << lane, $"shuffle reads from lane {source}, which does not take part (active lanes 0x{mask:x8})");
        }
    }

    private static void Vote(Warp w, Instruction* i, uint mask)
    {
        uint set = Lanes.Predicate(w.R + i->A, i) & mask;
        switch ((VoteMode)i->Mode)
        {
            case VoteMode.Ballot:
                Broadcast(w, i->D, set, mask);
                break;
            case VoteMode.All:
                Lanes.StorePredicate(w.R + i->D, set == mask ? mask : 0, mask);
                break;
            case VoteMode.Any:
                Lanes.StorePredicate(w.R + i->D, set != 0 ? mask : 0, mask);
                break;
            default:
                Lanes.StorePredicate(w.R + i->D, set == mask || set == 0 ? mask : 0, mask);
                break;
        }
    }

    private static void Broadcast(Warp w, int slot, uint value, uint mask) =>
        Lanes.Store32(w.R + slot, Vector512.Create(value), Vector512.Create(value), mask);

    private static void Match<T>(Warp w, Instruction* i, uint mask)
        where T : unmanaged, IBinaryInteger<T>
    {
        T* values = (T*)(w.R + i->A);
        uint* results = stackalloc uint[32];
        uint all = 0;
        for (uint rest = mask; rest != 0; rest &= rest - 1)
        {
            int lane = BitOperations.TrailingZeroCount(rest);
            uint same = 0;
            for (uint others = mask; others != 0; others &= others - 1)
            {
                int other = BitOperations.TrailingZeroCount(others);
                if (values[other] == values[lane])
                    same |= 1u << other;
            }
            if (i->Mode == 1)
                same = same == mask ? mask : 0;
            all = same;
            results[lane] = same;
        }
        if (i->D >= 0)
        {
            for (uint rest = mask; rest != 0; rest &= rest - 1)
            {
                int lane = BitOperations.TrailingZeroCount(rest);
                ((uint*)(w.R + i->D))[lane] = results[lane];
            }
        }
        if (i->ListCount > 0 && w.Operands[i->List] >= 0)
            Lanes.StorePredicate(w.R + w.Operands[i->List], all != 0 ? mask : 0, mask);
    }

    private static void ActiveMask(Warp w, Instruction* i, uint mask) => Broadcast(w, i->D, mask, mask);

    private static void Reduce(Warp w, Instruction* i, uint mask)
    {
        uint* values = (uint*)(w.R + i->A);
        bool signed = i->Type == PtxType.S32;
        uint result = values[BitOperations.TrailingZeroCount(mask)];
        for (uint rest = mask & (mask - 1); rest != 0; rest &= rest - 1)
        {
            uint value = values[BitOperations.TrailingZeroCount(rest)];
            result = (AtomicOperation)i->Mode switch
            {
                AtomicOperation.Add => result + value,
                AtomicOperation.Minimum => signed ? (uint)Math.Min((int)result, (int)value) : Math.Min(result, value),
                AtomicOperation.Maximum => signed ? (uint)Math.Max((int)result, (int)value) : Math.Max(result, value),
                AtomicOperation.And => result & value,
                AtomicOperation.Or => result | value,
                _ => result ^ value,
            };
        }
        Broadcast(w, i->D, result, mask);
    }

    private static void Elect(Warp w, Instruction* i, uint mask)
    {
        int leader = BitOperations.TrailingZeroCount(mask);
        if (i->B >= 0)
            Broadcast(w, i->B, (uint)leader, mask);
        Lanes.StorePredicate(w.R + i->D, 1u << leader, mask);
    }
}
