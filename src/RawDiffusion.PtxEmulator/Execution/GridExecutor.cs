using System.Runtime.ExceptionServices;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Runs all blocks of a launch.</summary>
public static class GridExecutor
{
    /// <summary>Instructions, counted by warps, that a block may execute before others get a turn, first and later.</summary>
    private const long FirstTurn = 2_000_000, LaterTurn = 100_000;

    /// <summary>Blocks that a worker runs at a time, when they do not end.</summary>
    private const int MostTogether = 64;

    /// <summary>Instructions, counted by warps, that take about as long as waking a worker.</summary>
    private const long WorthAWorker = 10_000;

    /// <summary>Finds the code for all instructions of a kernel, which is done once.</summary>
    /// <exception cref="NotSupportedException">An instruction that the emulator does not execute.</exception>
    public static void Prepare(LinkedKernel kernel, LaunchOptions options) => Program.For(kernel, options);

    /// <summary>Runs to completion, blocks in parallel.</summary>
    /// <exception cref="Checks.EmulationFaultException">The kernel was stopped; other blocks may have run or not.</exception>
    /// <exception cref="NotSupportedException">An instruction that the emulator does not execute; nothing has run.</exception>
    public static void Run(KernelLaunch launch)
    {
        if (launch.Options.Mode == ExecutionMode.Counted && launch.Options.Counters is null)
            throw new ArgumentException("Counted launches need LaunchOptions.Counters.");
        Program program = Program.For(launch.Kernel, launch.Options);
        LaunchChecks? checks = launch.Options.Mode == ExecutionMode.Checked ? launch.Memory.BeginChecks(launch) : null;
        long blocks = launch.Grid.Count;
        int workers = launch.Options.Workers > 0 ? launch.Options.Workers : Environment.ProcessorCount;
        workers = (int)Math.Min(workers, Math.Min(blocks, 1 + program.Instructions(launch) / WorthAWorker));
        var order = new BlockSequence(blocks, launch.Options.ScheduleSeed);
        ExceptionDispatchInfo? failure = null;
        if (workers <= 1)
            Work(0);
        else
            Parallel.For(0, workers, new ParallelOptions { MaxDegreeOfParallelism = workers }, Work);
        if (checks is not null && failure?.SourceException is Checks.EmulationFaultException fault)
            throw checks.Cause(fault);
        failure?.Throw();
        checks?.End();
        if (launch.Options.Counters is { } counters)
            counters.Launches++;

        void Work(int worker)
        {
            // Blocks that were begun and are not done. Mostly a block is done in its first turn; one that waits for another, which it may
            // if the device can hold both, must not keep the other from running.
            var running = new Queue<BlockContext>();
            BlockContext? spare = null, current = null;
            try
            {
                while (Volatile.Read(ref failure) is null)
                {
                    for (int turns = running.Count; turns > 0; turns--)
                        Turn(running.Dequeue(), LaterTurn);
                    if (running.Count < MostTogether && order.Next() is long block and >= 0)
                    {
                        var context = spare ?? Take();
                        spare = null;
                        context.Start(block);
                        Turn(context, FirstTurn);
                    }
                    else if (running.Count == 0)
                    {
                        break;
                    }
                }
                if (spare is not null)
                    program.Return(spare);
            }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(e), null);
                current?.Dispose();
                spare?.Dispose();
            }
            foreach (BlockContext left in running)
                left.Dispose();

            BlockContext Take()
            {
                BlockContext context = program.Take(launch);
                context.Begin(launch, checks);
                return context;
            }

            void Turn(BlockContext context, long instructions)
            {
                current = context;
                if (!context.Continue(instructions))
                    running.Enqueue(context);
                else if (spare is null)
                    spare = context;
                else
                    program.Return(context);
                current = null;
            }
        }
    }

    /// <summary>Hands out the blocks 0 ... count-1 to workers, in order or in a permuted one.</summary>
    private sealed class BlockSequence(long count, ulong? seed)
    {
        // Multiplying by a number without a common factor permutes the residues.
        private readonly long _factor = seed is ulong value ? Factor(count, value) : 1;
        private readonly long _shift = seed is ulong value ? (long)(BlockContext.Mix(value) % (ulong)count) : 0;
        private long _next = -1;

        public long Next()
        {
            long next = Interlocked.Increment(ref _next);
            return next >= count ? -1 : (long)(((Int128)next * _factor + _shift) % count);
        }

        private static long Factor(long count, ulong seed)
        {
            long factor = (long)(BlockContext.Mix(seed + 1) % (ulong)count) | 1;
            while (Gcd(factor, count) != 1)
                factor += 2;
            return factor;
        }

        private static long Gcd(long a, long b) => b == 0 ? a : Gcd(b, a % b);
    }
}
