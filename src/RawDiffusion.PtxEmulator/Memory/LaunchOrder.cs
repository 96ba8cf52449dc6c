using System.Collections.Concurrent;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.PtxEmulator.Memory;

/// <summary>
/// The fences of one launch. What a warp did before a fence is ordered before what another does after it has read, by an atomic or a
/// volatile load, anything at a time when the fence was past. Which word it read is not asked: a flag that does not belong to the data
/// would pass.
/// </summary>
/// <param name="sequence">The number of the launch.</param>
internal sealed class LaunchOrder(ulong sequence)
{
    private readonly ConcurrentDictionary<long, List<Fence>> _byBlock = new();
    private int _fences;

    /// <param name="Covered">By warp of the block: accesses before this time are covered.</param>
    private sealed record Fence(uint Number, uint[] Covered);

    public ulong Sequence => sequence;

    /// <summary>Marks records of this launch; never 0.</summary>
    public uint Tag { get; } = (uint)(sequence % AccessRecord.Tags) + 1;

    /// <summary>How many fences there were so far.</summary>
    public uint Fences => (uint)Volatile.Read(ref _fences);

    public void AddFence(long block, uint[] covered)
    {
        var list = _byBlock.GetOrAdd(block & AccessRecord.BlockMask, static _ => []);
        lock (list)
            list.Add(new Fence((uint)Interlocked.Increment(ref _fences), covered));
    }

    /// <summary>Whether what a warp of a block did at a time is covered by one of the first so many fences.</summary>
    public bool IsReleased(long block, int warp, uint time, uint fences)
    {
        if (!_byBlock.TryGetValue(block, out var list))
            return false;
        lock (list)
        {
            foreach (var fence in list)
            {
                if (fence.Number > fences)
                    return false;
                if (BlockOrder.Earlier(time, fence.Covered[warp]))
                    return true;
            }
        }
        return false;
    }
}
