namespace RawDiffusion.Cuda;

/// <summary>A mark in a stream: to wait for, or to measure time with.</summary>
public sealed class CudaEvent : IDisposable
{
    private readonly CudaContext _context;

    internal CudaEvent(CudaContext context, bool timing)
    {
        _context = context;
        context.Bind();
        Handle = context.Driver.CreateEvent(timing);
    }

    public CuEvent Handle { get; private set; }

    /// <summary>Whether everything before the last record is done; does not wait.</summary>
    public bool IsDone
    {
        get
        {
            _context.Bind();
            return _context.Driver.QueryEvent(Handle);
        }
    }

    /// <summary>Marks the present end of the stream (the main one when none is named).</summary>
    public void Record(CudaStream? stream = null)
    {
        _context.Bind();
        _context.Driver.RecordEvent(Handle, (stream ?? _context.Stream).Handle);
    }

    /// <summary>Waits for everything before the last record.</summary>
    public void Synchronize()
    {
        _context.Bind();
        _context.Driver.SynchronizeEvent(Handle);
    }

    /// <summary>Milliseconds on the device from the record of another event to this one's; waits for this one.</summary>
    public float MillisecondsSince(CudaEvent start)
    {
        Synchronize();
        return _context.Driver.ElapsedMilliseconds(start.Handle, Handle);
    }

    public void Dispose()
    {
        if (Handle != default && _context.BindToRelease())
            _context.Driver.DestroyEvent(Handle);
        Handle = default;
    }
}
