namespace RawDiffusion.PtxEmulator.Memory;

/// <summary>What checked mode knows about a piece of memory: which bytes were written, and who used them last.</summary>
internal sealed class ShadowMemory(long bytes) : IDisposable
{
    private readonly Lock _lock = new();
    private RaceTable? _races;
    private uint _tag;

    /// <summary>The bytes that were written.</summary>
    public ByteBits Defined { get; } = new(bytes);

    /// <summary>Who used what last, ready for records with this tag. Tags come round: records that would seem to be new are forgotten first.</summary>
    public RaceTable RacesFor(ulong sequence)
    {
        if (_races is { } races && Volatile.Read(ref _tag) == (uint)(sequence / AccessRecord.Tags))
            return races;
        lock (_lock)
        {
            uint round = (uint)(sequence / AccessRecord.Tags);
            if (_races is null)
                _races = new RaceTable(bytes);
            else if (_tag != round)
                _races.Clear(bytes);
            Volatile.Write(ref _tag, round);
            return _races;
        }
    }

    /// <summary>Forgets what a block of the launch with this tag did long before a barrier of all its threads. Others may go on meanwhile.</summary>
    public void Forget(uint tag, long block, uint allBefore)
    {
        lock (_lock)
            _races?.Forget(tag, block, allBefore);
    }

    public void Dispose()
    {
        Defined.Dispose();
        _races?.Dispose();
    }
}
