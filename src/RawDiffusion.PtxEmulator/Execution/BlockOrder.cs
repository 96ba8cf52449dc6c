namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// Which accesses of a block's threads are ordered by its barriers: vector clocks, one per warp. An access is remembered as (thread, time);
/// a later one by another thread is ordered after it where <see cref="IsBefore"/> says so, and otherwise races with it if either writes.
/// </summary>
public sealed class BlockOrder
{
    private readonly uint[] _time;
    private readonly uint[] _seen;
    private readonly int _warps;

    public BlockOrder(int warps)
    {
        _warps = warps;
        _time = new uint[warps];
        _seen = new uint[warps * warps];
        Reset();
    }

    /// <summary>Accesses with an earlier time than this are ordered before all that come now: a barrier of the whole block lies between.</summary>
    public uint AllBefore { get; private set; }

    /// <summary>The stamp of what this warp accesses now; at least 1.</summary>
    public uint Time(int warp) => _time[warp];

    /// <summary>Whether the access of <paramref name="thread"/> (its linear index in the block) at that time is ordered before what <paramref name="current"/> does now.</summary>
    public bool IsBefore(int thread, uint time, int current)
    {
        if (thread == current || time < AllBefore)
            return true;
        int other = thread >> 5, warp = current >> 5;
        return time < (other == warp ? _time[warp] : _seen[warp * _warps + other]);
    }

    /// <summary>The clock of a barrier that nothing has arrived at.</summary>
    internal uint[] NewClock() => new uint[_warps];

    internal void Reset()
    {
        Array.Fill(_time, 1u);
        Array.Clear(_seen);
        AllBefore = 0;
    }

    /// <summary>A barrier of all threads completed.</summary>
    internal void SynchronizeAll()
    {
        uint time = 0;
        foreach (uint each in _time)
            time = Math.Max(time, each);
        Array.Fill(_time, time + 1);
        AllBefore = time + 1;
    }

    /// <summary>The lanes of a warp waited for each other.</summary>
    internal void SynchronizeWarp(int warp) => _time[warp]++;

    /// <summary>What the warp did so far is ordered before what acquires the clock.</summary>
    internal void Release(int warp, uint[] clock)
    {
        for (int other = 0; other < _warps; other++)
            clock[other] = Math.Max(clock[other], Math.Max(_seen[warp * _warps + other], AllBefore));
        clock[warp] = Math.Max(clock[warp], _time[warp] + 1);
        _time[warp]++;
    }

    internal void Acquire(int warp, uint[] clock)
    {
        for (int other = 0; other < _warps; other++)
            _seen[warp * _warps + other] = Math.Max(_seen[warp * _warps + other], clock[other]);
    }
}
