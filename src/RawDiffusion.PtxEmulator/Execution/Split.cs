namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// Lanes of a warp that run together. A branch on which they part makes one split for each way, whose parent waits at the immediate
/// post-dominator until all of them have come there or left the kernel.
/// </summary>
internal sealed class Split
{
    /// <summary>Next instruction; of a parent the one where its children meet.</summary>
    public int Pc;

    /// <summary>Where this split is finished and its parent goes on; -1: never before the exit.</summary>
    public int Meet;

    public uint Mask;

    public Split? Parent;

    /// <summary>Children that have not met yet.</summary>
    public int Pending;
}
