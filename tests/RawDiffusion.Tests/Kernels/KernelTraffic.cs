using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests.Kernels;

/// <summary>What kernels move, by the counters of an emulated GPU of its own: bytes of global memory by 32-byte sectors, and passes over banks.</summary>
internal sealed class KernelTraffic : IDisposable
{
    // Kernels to take instead of those of kernels/, on this thread.
    [ThreadStatic]
    private static (KernelCompiler Compiler, Func<string, KernelSource> Sources)? t_others;

    private readonly EmulatedCudaDriver _driver = new(new EmulatorOptions { Mode = ExecutionMode.Counted });

    public KernelTraffic()
    {
        TestNvrtc.Require();
        Device = t_others is var (compiler, sources) ? new CudaBackend(_driver, 0, compiler, sources) : new CudaBackend(_driver);
    }

    public CudaBackend Device { get; }

    /// <summary>Does something for which all devices made here on this thread have other kernels: damaged ones, which it must notice.</summary>
    public static void With(KernelCompiler compiler, Func<string, KernelSource> sources, Action action)
    {
        t_others = (compiler, sources);
        try
        {
            action();
        }
        finally
        {
            t_others = null;
        }
    }

    public void Dispose() => Device.Dispose();

    /// <summary>What a kernel has done so far; zeros where it was not launched.</summary>
    public Moved Of(string kernel)
    {
        Device.Synchronize();
        var moved = new Moved();
        foreach (var counters in _driver.Counters.Where(each => each.Kernel.Name == kernel))
        {
            moved.Launches += counters.Launches;
            moved.Blocks += counters.Blocks;
            moved.Warps += counters.Warps;
            for (int pc = 0; pc < counters.Instructions.Length; pc++)
            {
                var counts = counters.Instructions[pc];
                bool store = counters.Kernel.Code[pc].Opcode == Opcode.St;
                (store ? ref moved.Stores : ref moved.Loads).Add(counts);
                // 32 banks of 4 bytes: words need a pass for each request; vectors one for every 128 bytes and one for what is left.
                bool isWords = counts.SharedBytes <= 4 * counts.LaneExecutions;
                long best = counts.SharedRequests + (isWords ? 0 : counts.SharedBytes / 128);
                moved.SharedRequests += counts.SharedRequests;
                moved.Flops += counts.Flops;
                moved.Instructions += 32 * counts.WarpExecutions;
                moved.BankConflicts += Math.Max(0, counts.SharedPasses - best);
            }
        }
        return moved;
    }

    /// <summary>The names of the kernels that were launched.</summary>
    public string[] Launched
    {
        get
        {
            Device.Synchronize();
            return [.. _driver.Counters.Where(each => each.Launches > 0).Select(each => each.Kernel.Name).Order(StringComparer.Ordinal)];
        }
    }

    internal struct Moved
    {
        public long Launches, Blocks, Warps, SharedRequests, BankConflicts, Flops;

        /// <summary>A warp's instruction counts for its 32 lanes, whether they take part or not: so it is issued.</summary>
        public long Instructions;

        public Direction Loads, Stores;

        public readonly long Bytes => Loads.Bytes + Stores.Bytes;

        public void Add(in Moved other)
        {
            Launches += other.Launches;
            Blocks += other.Blocks;
            Warps += other.Warps;
            SharedRequests += other.SharedRequests;
            BankConflicts += other.BankConflicts;
            Flops += other.Flops;
            Instructions += other.Instructions;
            Loads.Add(other.Loads);
            Stores.Add(other.Stores);
        }

        public readonly long Requests => Loads.Requests + Stores.Requests;

        /// <summary>Bytes that a request of a warp uses on average: 512 where each lane takes 16.</summary>
        public readonly double BytesPerRequest => (double)(Loads.Used + Stores.Used) / Requests;
    }

    /// <summary>Bytes are those of the sectors touched, used are those that lanes took or gave.</summary>
    internal struct Direction
    {
        public long Bytes, Requests, Used;

        public void Add(in Direction other)
        {
            Bytes += other.Bytes;
            Requests += other.Requests;
            Used += other.Used;
        }

        public void Add(in InstructionCounts counts)
        {
            Bytes += 32 * counts.GlobalSectors;
            Requests += counts.GlobalRequests;
            Used += counts.GlobalBytes;
        }
    }
}
