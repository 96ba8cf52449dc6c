using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

/// <summary>
/// Elements in device memory. The buffer alone has a finalizer, which enqueues the memory for the pool; a window holds the same
/// buffer and so keeps it alive.
/// </summary>
internal sealed class CudaStorage : Storage
{
    private readonly DeviceBuffer _buffer;
    private readonly long _offset;
    private readonly bool _isWindow;

    public CudaStorage(CudaBackend backend, DeviceBuffer buffer, DType dtype, int length)
        : base(backend)
    {
        _buffer = buffer;
        DType = dtype;
        Length = length;
    }

    private CudaStorage(CudaStorage whole, int offset, int length)
        : base(whole.Backend)
    {
        _buffer = whole._buffer;
        _offset = whole._offset + (long)offset * whole.DType.Size();
        _isWindow = true;
        DType = whole.DType;
        Length = length;
    }

    /// <summary>The first element.</summary>
    /// <exception cref="ObjectDisposedException">The storage was released.</exception>
    public DevicePointer Pointer => _buffer.Pointer + _offset;

    public long Bytes => (long)Length * DType.Size();

    /// <summary>Reads the elements after the work queued so far, and waits for them.</summary>
    public void CopyTo<T>(Span<T> destination) where T : unmanaged => _buffer.CopyTo(destination, _offset);

    /// <summary>Puts the memory back into the pool; nothing for a window.</summary>
    public void Release()
    {
        if (!_isWindow)
            _buffer.Dispose();
    }

    public override Storage Slice(int offset, int length)
    {
        if (offset < 0 || length < 0 || (long)offset + length > Length)
            throw new ArgumentOutOfRangeException(nameof(offset), $"[{offset}, {offset + length}) is outside a storage of {Length} elements.");
        return new CudaStorage(this, offset, length);
    }
}
