using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace RawDiffusion.Cuda;

/// <summary>
/// A piece of device memory from the pool. Disposing of it, or losing it to the garbage collector, puts it back in the order of the main
/// stream: work queued before may still use it. The finalizer only puts it into a queue; it never calls the driver.
/// </summary>
public sealed class DeviceBuffer : IDisposable
{
    private readonly DevicePool _pool;
    private DevicePool.Block? _block;

    internal DeviceBuffer(DevicePool pool, DevicePool.Block block, long bytes) => (_pool, _block, Bytes) = (pool, block, bytes);

    ~DeviceBuffer()
    {
        if (_block is not null)
            _pool.ReturnLater(_block);
    }

    /// <summary>The size that was asked for.</summary>
    public long Bytes { get; }

    /// <exception cref="ObjectDisposedException">The buffer was disposed of.</exception>
    public DevicePointer Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(_block is null, this);
            return _block.Pointer;
        }
    }

    private CudaContext Context => _pool.Context;

    /// <summary>Copies values to the buffer after the work queued so far, and waits until they are there.</summary>
    /// <param name="offset">In bytes.</param>
    /// <exception cref="ArgumentException">They do not fit.</exception>
    public void CopyFrom<T>(ReadOnlySpan<T> source, long offset = 0) where T : unmanaged
    {
        var bytes = MemoryMarshal.AsBytes(source);
        Check(offset, bytes.Length);
        Context.Bind();
        Context.Driver.CopyToDevice(Pointer + offset, bytes, Context.Stream.Handle);
    }

    /// <summary>Copies values from the buffer after the work queued so far, and waits for them.</summary>
    /// <param name="offset">In bytes.</param>
    /// <exception cref="ArgumentException">The buffer does not hold that many.</exception>
    public void CopyTo<T>(Span<T> destination, long offset = 0) where T : unmanaged
    {
        var bytes = MemoryMarshal.AsBytes(destination);
        Check(offset, bytes.Length);
        Context.Bind();
        Context.Driver.CopyToHost(bytes, Pointer + offset, Context.Stream.Handle);
    }

    /// <summary>Queues a copy of the first bytes of another buffer, on the main stream.</summary>
    /// <exception cref="ArgumentException">One of the two is shorter.</exception>
    public void CopyFrom(DeviceBuffer source, long bytes)
    {
        Check(0, bytes);
        source.Check(0, bytes);
        Context.Bind();
        Context.Driver.CopyDeviceAsync(Pointer, source.Pointer, bytes, Context.Stream.Handle);
    }

    /// <summary>Queues setting all bytes to zero, on the main stream.</summary>
    public void Clear()
    {
        Context.Bind();
        Context.Driver.Fill8Async(Pointer, 0, Bytes, Context.Stream.Handle);
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _block, null) is not { } block)
            return;
        GC.SuppressFinalize(this);
        _pool.Return(block);
    }

    private void Check(long offset, long bytes, [CallerMemberName] string operation = "")
    {
        if (offset < 0 || bytes < 0 || offset > Bytes - bytes)
            throw new ArgumentException($"{operation}: bytes {offset} to {offset + bytes} of a device buffer of {Bytes} bytes.");
    }
}
