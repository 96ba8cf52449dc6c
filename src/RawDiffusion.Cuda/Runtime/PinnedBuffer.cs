namespace RawDiffusion.Cuda;

/// <summary>
/// Host memory that the device reads and writes by itself, without the processor: what an asynchronous copy needs. Dispose of it when no
/// copy uses it any more; it has no finalizer, the end of the context frees it.
/// </summary>
public sealed unsafe class PinnedBuffer : IDisposable
{
    private readonly CudaContext _context;
    private nint _pointer;

    public PinnedBuffer(CudaContext context, long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        _context = context;
        Bytes = bytes;
        context.Bind();
        _pointer = context.Driver.AllocateHost(bytes);
    }

    public long Bytes { get; }

    /// <exception cref="ObjectDisposedException">The buffer was disposed of.</exception>
    public nint Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(_pointer == 0, this);
            return _pointer;
        }
    }

    /// <summary>The memory as elements, as many as fit; at most 2^31 - 1.</summary>
    public Span<T> As<T>() where T : unmanaged => new((T*)Pointer, checked((int)(Bytes / sizeof(T))));

    /// <summary>Queues a copy of the first bytes to the device.</summary>
    public void CopyToAsync(DevicePointer destination, long bytes, CudaStream? stream = null)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Bytes);
        _context.Bind();
        _context.Driver.CopyToDeviceAsync(destination, Pointer, bytes, (stream ?? _context.Stream).Handle);
    }

    /// <summary>Queues a copy from the device into the first bytes.</summary>
    public void CopyFromAsync(DevicePointer source, long bytes, CudaStream? stream = null)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Bytes);
        _context.Bind();
        _context.Driver.CopyToHostAsync(Pointer, source, bytes, (stream ?? _context.Stream).Handle);
    }

    public void Dispose()
    {
        if (_pointer != 0 && _context.BindToRelease())
            _context.Driver.FreeHost(_pointer);
        _pointer = 0;
    }
}
