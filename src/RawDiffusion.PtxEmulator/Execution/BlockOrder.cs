using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// Which accesses are ordered before which: vector clocks, one per warp, that barriers and __syncwarp move on, and the fences of the launch.
/// An access is remembered as (thread, time); a later one by another thread is ordered after it where <see cref="IsBefore"/> says so, and
/// otherwise races with it if either writes.
/// </summary>
public sealed class BlockOrder
{
    /// <summary>An eighth of the times that can be told apart.</summary>
    private const uint Forgetting = (AccessRecord.TimeMask + 1) / 8;

    private readonly uint[] _time;
    private readonly uint[] _seen;

    // By thread: what lanes of the same warp did before this time is ordered before what the thread does now.
    private readonly uint[] _lanes;
    private readonly uint[] _acquired;
    private readonly int _warps;
    private LaunchOrder? _launch;
    private long _block;

    public BlockOrder(int warps)
    {
        _warps = warps;
        _time = new uint[warps];
        _seen = new uint[warps * warps];
        _lanes = new uint[warps * 32];
        _acquired = new uint[warps];
        Reset();
    }

    /// <summary>Accesses with an earlier time than this are ordered before all that come now: a barrier of the whole block lies between.</summary>
    public uint AllBefore { get; private set; }

    /// <summary>The stamp of what this warp accesses now; at least 1.</summary>
    public uint Time(int warp) => _time[warp];

    /// <summary>Whether the access of <paramref name="thread"/> (its linear index in the block) at that time is ordered before what <paramref name="current"/> does now.</summary>
    public bool IsBefore(int thread, uint time, int current)
    {
        if (thread == current || Earlier(time, AllBefore))
            return true;
        int other = thread >> 5, warp = current >> 5;
        return Earlier(time, other == warp ? _lanes[current] : _seen[warp * _warps + other])
            || (_acquired[warp] != 0 && _launch!.IsReleased(_block, other, time, _acquired[warp]));
    }

    /// <summary>The same for the access of a thread of another block.</summary>
    internal bool IsBefore(long block, int thread, uint time, int current) =>
        _acquired[current >> 5] != 0 && _launch!.IsReleased(block, thread >> 5, time, _acquired[current >> 5]);

    /// <summary>Whether anything of another block may be ordered before what the warp does now.</summary>
    internal bool KnowsOthers(int warp) => _acquired[warp] != 0;

    /// <summary>Whether a remembered time is earlier than another. Remembered times have <see cref="AccessRecord.TimeBits"/> bits and come round; 0 is earlier than none.</summary>
    internal static bool Earlier(uint remembered, uint time) =>
        time != 0 && ((time - 1 - remembered) & AccessRecord.TimeMask) < (AccessRecord.TimeMask + 1) / 2;

    /// <summary>Whether a remembered time is so long before a barrier of all threads that it may come to be taken for a later one.</summary>
    internal static bool IsLongBefore(uint remembered, uint allBefore) => ((allBefore - 1 - remembered) & AccessRecord.TimeMask) is >= 2 * Forgetting and < 6 * Forgetting;

    /// <summary>The clock of a barrier that nothing has arrived at.</summary>
    internal uint[] NewClock() => new uint[_warps + 1];

    /// <summary>Begins a block of a launch: nothing is ordered.</summary>
    internal void Begin(LaunchOrder launch, long block)
    {
        (_launch, _block) = (launch, block);
        Reset();
    }

    internal void Reset()
    {
        Array.Fill(_time, 1u);
        Array.Clear(_seen);
        Array.Clear(_lanes);
        Array.Clear(_acquired);
        AllBefore = 0;
    }

    /// <summary>
    /// A barrier of all threads completed. True once in a while: then what the block did long ago must be forgotten, as all of it is ordered
    /// before what comes. Remembered times come round, and one that is old enough would be taken for a later one.
    /// </summary>
    internal bool SynchronizeAll()
    {
        uint time = 0, acquired = 0;
        foreach (uint each in _time)
            time = Math.Max(time, each);
        foreach (uint each in _acquired)
            acquired = Math.Max(acquired, each);
        Array.Fill(_time, time + 1);
        Array.Fill(_acquired, acquired);
        bool isLong = (time + 1) / Forgetting != AllBefore / Forgetting;
        AllBefore = time + 1;
        return isLong;
    }

    /// <summary>Lanes of a warp waited for each other.</summary>
    internal void SynchronizeWarp(int warp, uint lanes = uint.MaxValue)
    {
        _time[warp]++;
        for (int lane = 0; lane < 32; lane++)
        {
            if ((lanes >> lane & 1) != 0)
                _lanes[warp * 32 + lane] = _time[warp];
        }
    }

    /// <summary>What the warp did so far is ordered before what acquires the clock.</summary>
    internal void Release(int warp, uint[] clock)
    {
        Join(warp, clock);
        clock[_warps] = Math.Max(clock[_warps], _acquired[warp]);
        _time[warp]++;
    }

    internal void Acquire(int warp, uint[] clock)
    {
        for (int other = 0; other < _warps; other++)
            _seen[warp * _warps + other] = Math.Max(_seen[warp * _warps + other], clock[other]);
        _acquired[warp] = Math.Max(_acquired[warp], clock[_warps]);
        Array.Fill(_lanes, _time[warp], warp * 32, 32);
    }

    /// <summary>
    /// The warp executed a fence, or an operation with release semantics: what it did and knows is ordered before what a warp of any block
    /// does that notices it (<see cref="Notice"/>).
    /// </summary>
    internal void Fence(int warp)
    {
        uint[] covered = new uint[_warps];
        Join(warp, covered);
        _launch?.AddFence(_block, covered);
        _time[warp]++;
    }

    /// <summary>The warp read what others may have written to tell it something: by an atomic, or a volatile, relaxed or acquiring load.</summary>
    internal void Notice(int warp) => _acquired[warp] = _launch?.Fences ?? 0;

    private void Join(int warp, uint[] clock)
    {
        for (int other = 0; other < _warps; other++)
            clock[other] = Math.Max(clock[other], Math.Max(_seen[warp * _warps + other], AllBefore));
        clock[warp] = Math.Max(clock[warp], _time[warp] + 1);
    }
}
