using System.Numerics;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>The 16 barriers of a block, and the order in which its warps run.</summary>
internal sealed unsafe partial class BlockContext
{
    /// <summary>Instructions after which another warp gets its turn, for those that wait for others by reading memory.</summary>
    private const long Slice = 200_000;

    private readonly Barrier[] _barriers = NewBarriers();
    private ulong _random;
    private int _barriersInUse;

    private sealed class Barrier
    {
        /// <summary>Threads that arrived, and how many are needed; -1: all of the block that live.</summary>
        public int Arrived, Needed;

        public bool InUse;
        public uint Count;
        public bool And, Or;
        public uint[]? Clock;
        public readonly List<Waiter> Waiters = [];
    }

    private readonly record struct Waiter(Warp Warp, Split Split, int Pc, uint Mask);

    private static Barrier[] NewBarriers()
    {
        var barriers = new Barrier[16];
        for (int i = 0; i < barriers.Length; i++)
            barriers[i] = new Barrier();
        return barriers;
    }

    private void ResetBarriers()
    {
        _mbarrierClocks.Clear();
        _barriersInUse = 0;
        foreach (Barrier barrier in _barriers)
        {
            if (barrier.InUse)
                Release(barrier);
        }
    }

    private static void Release(Barrier barrier)
    {
        (barrier.InUse, barrier.Arrived, barrier.Needed, barrier.Count, barrier.And, barrier.Or) = (false, 0, -1, 0, true, false);
        barrier.Waiters.Clear();
        if (barrier.Clock is not null)
            Array.Clear(barrier.Clock);
    }

    /// <summary>Lanes of a split arrive at a barrier; the split stops unless it merely arrives or is the last.</summary>
    public void Arrive(Warp warp, Split split, Instruction* i, uint mask)
    {
        uint number = Lanes.First32(warp.R + i->A, mask);
        if (number >= 16)
            throw warp.Fault(HazardKind.InvalidOperand, i, mask, $"barrier {number}: there are 16");
        bool isChecked = Program.Mode == ExecutionMode.Checked;
        if (isChecked && i->Has(InstructionFlags.Aligned) && mask != warp.Live)
        {
            throw warp.Fault(HazardKind.DivergentBarrier, i, mask,
                $"barrier in divergent code: lanes 0x{mask:x8} arrive without lanes 0x{warp.Live & ~mask:x8} of their warp");
        }
        int needed = i->B < 0 ? -1 : (int)Lanes.First32(warp.R + i->B, mask);
        Barrier barrier = _barriers[number];
        if (!barrier.InUse)
        {
            Release(barrier);
            (barrier.InUse, barrier.Needed) = (true, needed);
            _barriersInUse++;
        }
        else if (barrier.Needed != needed)
        {
            throw warp.Fault(HazardKind.DivergentBarrier, i, mask,
                $"barrier {number} is used with {Describe(barrier.Needed)} and with {Describe(needed)} at the same time");
        }
        // With a count, a barrier counts whole warps, the last one too where it is not full.
        barrier.Arrived += needed >= 0 && mask == warp.Live ? 32 : BitOperations.PopCount(mask);
        if (i->C >= 0)
        {
            uint predicate = Lanes.Predicate(warp.R + i->C, i) & mask;
            barrier.Count += (uint)BitOperations.PopCount(predicate);
            barrier.And &= predicate == mask;
            barrier.Or |= predicate != 0;
        }
        if (Order is not null && needed >= 0)
            Order.Release(warp.Index, barrier.Clock ??= Order.NewClock());
        if ((BarrierMode)i->Mode != BarrierMode.Arrive)
        {
            barrier.Waiters.Add(new Waiter(warp, split, warp.PcOf(i), mask));
            warp.Stop();
        }
        Complete(barrier);

        static string Describe(int threads) => threads < 0 ? "all threads" : $"{threads} threads";
    }

    /// <summary>Lets the waiting on if enough threads have arrived.</summary>
    private void Complete(Barrier barrier)
    {
        if (!barrier.InUse || barrier.Arrived < (barrier.Needed < 0 ? LiveThreads : barrier.Needed) || barrier.Arrived == 0)
            return;
        if (Order is not null)
        {
            if (barrier.Needed < 0 && LiveThreads < Threads && barrier.Waiters.Count > 0)
                throw Missing(barrier);
            if (barrier.Needed < 0)
            {
                if (Order.SynchronizeAll())
                    BlockChecks?.Forget(LinearIndex, Order.AllBefore);
            }
            else
            {
                foreach (Waiter waiter in barrier.Waiters)
                    Order.Acquire(waiter.Warp.Index, barrier.Clock!);
            }
        }
        foreach ((Warp warp, Split split, int pc, uint mask) in barrier.Waiters)
        {
            Instruction* i = warp.Code + pc;
            switch ((BarrierMode)i->Mode)
            {
                case BarrierMode.ReducePopc:
                    for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
                        ((uint*)(warp.R + i->D))[BitOperations.TrailingZeroCount(lanes)] = barrier.Count;
                    break;
                case BarrierMode.ReduceAnd:
                    Lanes.StorePredicate(warp.R + i->D, barrier.And ? mask : 0, mask);
                    break;
                case BarrierMode.ReduceOr:
                    Lanes.StorePredicate(warp.R + i->D, barrier.Or ? mask : 0, mask);
                    break;
            }
            warp.Resume(split);
        }
        Release(barrier);
        _barriersInUse--;
    }

    private readonly Dictionary<ulong, uint[]> _mbarrierClocks = [];

    /// <summary>In checked mode: arrivals at an mbarrier are ordered before what comes after a wait that succeeded.</summary>
    public void MbarrierUsed(Warp warp, uint mask, bool waits, uint passed)
    {
        if (Order is null)
            return;
        for (uint lanes = waits ? passed : mask; lanes != 0; lanes &= lanes - 1)
        {
            ulong place = warp.Addresses[BitOperations.TrailingZeroCount(lanes)];
            if (!_mbarrierClocks.TryGetValue(place, out uint[]? clock))
                _mbarrierClocks[place] = clock = Order.NewClock();
            if (waits)
                Order.Acquire(warp.Index, clock);
            else
                Order.Release(warp.Index, clock);
        }
    }

    /// <summary>The report that threads wait where others never come.</summary>
    private EmulationFaultException Missing(Barrier barrier)
    {
        Waiter first = barrier.Waiters[0];
        string needed = barrier.Needed < 0 ? $"{Threads}" : $"{barrier.Needed}";
        int left = Threads - LiveThreads;
        string others = left > 0 ? $"; {left} threads have left the kernel" : "";
        return first.Warp.Fault(HazardKind.BarrierNeverCompleted, first.Warp.Code + first.Pc, first.Mask,
            $"barrier reached by {barrier.Arrived} of {needed} threads{others}");
    }

    /// <summary>Begins a block of the grid.</summary>
    public void Start(long linear)
    {
        StartBlock(linear);
        _random = Options.ScheduleSeed is ulong seed ? Mix(seed ^ Mix((ulong)linear + 1)) : 0;
        for (int w = 0; w < Warps.Length; w++)
            _order[w] = w;
    }

    /// <summary>Goes on with the block for about so many instructions; true when it is done.</summary>
    public bool Continue(long instructions)
    {
        if (BlockChecks is null)
            return Run(instructions);
        try
        {
            bool done = Run(instructions);
            if (done)
                BlockChecks.End();
            return done;
        }
        catch (EmulationFaultException fault)
        {
            throw BlockChecks.Cause(fault);
        }
    }

    private bool Run(long instructions)
    {
        bool shuffled = Options.ScheduleSeed is not null;
        for (long stop = Executed + instructions; LiveThreads > 0 && Executed < stop;)
        {
            bool progress = false, waits = true;
            if (shuffled)
                Shuffle(ref _random);
            foreach (int w in _order)
            {
                Warp warp = Warps[w];
                if (!warp.IsReady)
                    continue;
                long slice = Slice;
                if (shuffled)
                    slice = 16 + (long)((_random = Mix(_random)) & 1023);
                int live = LiveThreads;
                long done = warp.Run(slice);
                Executed += done;
                progress |= done > 0;
                waits &= warp.GaveWay;
                if (LiveThreads != live && _barriersInUse > 0)
                {
                    foreach (Barrier barrier in _barriers)
                        Complete(barrier);
                }
            }
            if (Executed > Options.InstructionBudget)
                throw OverBudget();
            if (!progress && LiveThreads > 0)
                throw Stuck();
            // All that could run has said that it waits for something, and it is not within the block: the others' turn.
            if (waits && LiveThreads > 0)
                return false;
        }
        if (LiveThreads > 0)
            return false;
        Counts?.EndBlock(Launch.Options.Counters!, Warps.Length);
        return true;
    }

    private EmulationFaultException OverBudget()
    {
        foreach (Warp warp in Warps)
        {
            if (warp.Position() is (int pc, uint mask))
            {
                return warp.Fault(HazardKind.InstructionBudget, warp.Code + pc, mask,
                    $"the block executed more than {Options.InstructionBudget:N0} instructions and does not end");
            }
        }
        return Stuck();
    }

    private EmulationFaultException Stuck()
    {
        foreach (Barrier barrier in _barriers)
        {
            if (barrier.InUse && barrier.Waiters.Count > 0)
                return Missing(barrier);
        }
        return Warps[0].Fault(HazardKind.Deadlock, Warps[0].Code, Warps[0].Live, "no thread of the block can go on");
    }

    private void Shuffle(ref ulong state)
    {
        for (int w = _order.Length - 1; w > 0; w--)
        {
            state = Mix(state);
            int other = (int)(state % (ulong)(w + 1));
            (_order[w], _order[other]) = (_order[other], _order[w]);
        }
    }

    /// <summary>SplitMix64 (Steele, Lea, Flood 2014).</summary>
    internal static ulong Mix(ulong value)
    {
        value += 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}
