using System.Numerics;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// cp.async: copies from global to shared memory that happen when the thread waits for their group, not before. So a kernel that forgets to
/// wait reads what was there earlier, as it may on hardware.
/// </summary>
internal static unsafe class AsyncCopies
{
    public static nint Select(in Instruction i) => i.Opcode switch
    {
        Opcode.CpAsync => i.Vector is 4 or 8 or 16 ? At(&Copy) : 0,
        Opcode.CpAsyncCommit => At(&Commit),
        Opcode.CpAsyncWait => At(&Wait),
        Opcode.CpAsyncWaitAll => At(&WaitAll),
        _ => 0,
    };

    /// <summary>A copy of one lane that is not done yet.</summary>
    internal readonly record struct Pending(int Lane, uint Group, nint From, nint To, int Bytes, int SourceBytes, int Pc);

    /// <summary>The copies of a warp's lanes.</summary>
    internal sealed class Queue
    {
        /// <summary>Groups that each lane has committed; copies issued now belong to this one.</summary>
        public readonly uint[] Committed = new uint[32];

        public readonly List<Pending> Copies = [];

        public void Clear()
        {
            Array.Clear(Committed);
            Copies.Clear();
        }

        /// <summary>Does what lanes of the mask have issued in groups before their given one.</summary>
        public void Finish(Warp w, uint mask, Func<int, uint> before)
        {
            int kept = 0;
            for (int k = 0; k < Copies.Count; k++)
            {
                Pending copy = Copies[k];
                if ((mask >> copy.Lane & 1) != 0 && copy.Group < before(copy.Lane))
                    Perform(w, copy);
                else
                    Copies[kept++] = copy;
            }
            Copies.RemoveRange(kept, Copies.Count - kept);
        }

        private static void Perform(Warp w, in Pending copy)
        {
            CheckedAccess.CopyArrived(w, copy.Lane, copy.Pc, (ulong)((byte*)copy.To - w.Block.Shared), copy.Bytes);
            Buffer.MemoryCopy((void*)copy.From, (void*)copy.To, copy.Bytes, copy.SourceBytes);
            new Span<byte>((byte*)copy.To + copy.SourceBytes, copy.Bytes - copy.SourceBytes).Clear();
        }
    }

    private static void Copy(Warp w, Instruction* i, uint mask)
    {
        int bytes = i->Vector;
        AddressSpaces.Prepare(w, i, mask, bytes);
        SharedSpace.Each(w, i, mask, bytes, true);
        ulong* to = (ulong*)w.Scratch;
        new Span<ulong>(w.Addresses, 32).CopyTo(new Span<ulong>(to, 32));
        PrepareSource(w, i, mask);
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            int size = SourceBytes(w, i, lane);
            if (size > 0)
                GlobalSpace.Each(w, i, 1u << lane, size, false);
            w.Copies.Copies.Add(new Pending(lane, w.Copies.Committed[lane], (nint)w.Addresses[lane], (nint)to[lane], bytes, size, w.PcOf(i)));
        }
    }

    /// <summary>Bytes of a lane that are read; the rest of its destination becomes zero.</summary>
    public static int SourceBytes(Warp w, Instruction* i, int lane) => i->C < 0 ? i->Vector : (int)Math.Min(((uint*)(w.R + i->C))[lane], i->Vector);

    /// <summary>The global addresses into <see cref="Warp.Addresses"/>.</summary>
    public static void PrepareSource(Warp w, Instruction* i, uint mask)
    {
        ulong* addresses = (ulong*)(w.R + i->B);
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            w.Addresses[lane] = addresses[lane] + (ulong)(long)i->Target;
            if ((w.Addresses[lane] & (ulong)(i->Vector - 1)) != 0)
            {
                throw w.Fault(Checks.HazardKind.Misaligned, i, 1u << lane, $"misaligned asynchronous copy of {i->Vector} bytes from global memory",
                    StateSpace.Global, w.Addresses[lane], w.Block.Memory.Describe(w.Addresses[lane]));
            }
        }
    }

    private static void Commit(Warp w, Instruction* i, uint mask)
    {
        for (; mask != 0; mask &= mask - 1)
            w.Copies.Committed[BitOperations.TrailingZeroCount(mask)]++;
    }

    private static void Wait(Warp w, Instruction* i, uint mask)
    {
        uint pending = (uint)i->Offset;
        uint[] committed = w.Copies.Committed;
        w.Copies.Finish(w, mask, lane => committed[lane] > pending ? committed[lane] - pending : 0);
    }

    private static void WaitAll(Warp w, Instruction* i, uint mask) => w.Copies.Finish(w, mask, _ => uint.MaxValue);
}
