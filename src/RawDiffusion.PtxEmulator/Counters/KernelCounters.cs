using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Counters;

/// <summary>
/// What a kernel's instructions did, one row per instruction. Counts, not times. Several launches of the same kernel may add to one object.
/// </summary>
public sealed class KernelCounters(DecodedKernel kernel)
{
    public DecodedKernel Kernel { get; } = kernel;

    /// <summary>A row per instruction of <see cref="DecodedKernel.Code"/>.</summary>
    public InstructionCounts[] Instructions { get; } = new InstructionCounts[kernel.Code.Length];

    public long Launches { get; set; }

    public long Blocks { get; set; }

    public long Warps { get; set; }
}

/// <summary>What happened at one instruction.</summary>
public struct InstructionCounts
{
    /// <summary>Times a warp executed it, and lanes that took part in them.</summary>
    public long WarpExecutions, LaneExecutions;

    /// <summary>Branches: executions after which the lanes went different ways.</summary>
    public long Divergences;

    /// <summary>Global memory: executions, and sectors of 32 bytes that they touched. Fully coalesced 4-byte accesses touch 4.</summary>
    public long GlobalRequests, GlobalSectors;

    /// <summary>Shared memory: executions, and passes over the 32 banks that they need. Without conflicts a request of 4-byte words needs 1.</summary>
    public long SharedRequests, SharedPasses;

    /// <summary>Bytes that lanes read or wrote in global and in shared memory.</summary>
    public long GlobalBytes, SharedBytes;

    /// <summary>Floating-point operations: 1 per lane of add, mul and the like, 2 of fma, 2 m n k of mma per warp.</summary>
    public long Flops;

    internal void Add(in InstructionCounts other)
    {
        WarpExecutions += other.WarpExecutions;
        LaneExecutions += other.LaneExecutions;
        Divergences += other.Divergences;
        GlobalRequests += other.GlobalRequests;
        GlobalSectors += other.GlobalSectors;
        SharedRequests += other.SharedRequests;
        SharedPasses += other.SharedPasses;
        GlobalBytes += other.GlobalBytes;
        SharedBytes += other.SharedBytes;
        Flops += other.Flops;
    }
}
