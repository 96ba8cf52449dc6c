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
    // By block, then by warp of the block: each fence that covered more of the warp's accesses than those before it.
    private readonly ConcurrentDictionary<long, List<Fence>[]> _byBlock = new();
    private int _fences;

    /// <param name="Number">From 1, in the order of the launch.</param>
    /// <param name="Covered">Accesses of the warp before this time are covered.</param>
    private readonly record struct Fence(uint Number, uint Covered);

    public ulong Sequence => sequence;

    /// <summary>Marks records of this launch; never 0.</summary>
    public uint Tag { get; } = (uint)(sequence % AccessRecord.Tags) + 1;

    /// <summary>How many fences there were so far.</summary>
    public uint Fences => (uint)Volatile.Read(ref _fences);

    /// <param name="covered">By warp of the block.</param>
    public void AddFence(long block, uint[] covered)
    {
        var warps = _byBlock.GetOrAdd(block & AccessRecord.BlockMask, static (_, count) => NewLists(count), covered.Length);
        lock (warps)
        {
            uint number = (uint)Interlocked.Increment(ref _fences);
            for (int warp = 0; warp < warps.Length; warp++)
            {
                if (covered[warp] > (warps[warp].Count == 0 ? 0 : warps[warp][^1].Covered))
                    warps[warp].Add(new Fence(number, covered[warp]));
            }
        }
    }

    /// <summary>Whether what a warp of a block did at a time is covered by one of the first so many fences.</summary>
    public bool IsReleased(long block, int warp, uint time, uint fences)
    {
        if (!_byBlock.TryGetValue(block, out var warps))
            return false;
        lock (warps)
        {
            // The first that covers the time: both numbers of an entry grow along the list.
            var list = warps[warp];
            int low = 0, high = list.Count;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (BlockOrder.Earlier(time, list[middle].Covered))
                    high = middle;
                else
                    low = middle + 1;
            }
            return low < list.Count && list[low].Number <= fences;
        }
    }

    private static List<Fence>[] NewLists(int count)
    {
        var lists = new List<Fence>[count];
        for (int i = 0; i < count; i++)
            lists[i] = [];
        return lists;
    }
}
