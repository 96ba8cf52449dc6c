namespace RawDiffusion.Cuda;

/// <summary>
/// One device, with its main stream and its memory: what everything else here is made from. Work goes to <see cref="Stream"/> unless
/// another stream is named. It may be used from several threads; each call makes the context current on its own.
/// </summary>
public sealed class CudaContext : IDisposable
{
    [ThreadStatic]
    private static CudaContext? t_bound;

    private readonly CuContext _handle;
    private readonly DevicePool _pool;
    private bool _disposed, _lost;

    /// <exception cref="CudaException">No such device, or it cannot be used.</exception>
    public CudaContext(CudaDriver driver, int device = 0)
    {
        Driver = driver;
        Device = device;
        Name = driver.GetDeviceName(device);
        Target = driver.GetTarget(device);
        Multiprocessors = driver.GetAttribute(DeviceAttribute.MultiprocessorCount, device);
        MaxSharedBytes = driver.GetAttribute(DeviceAttribute.MaxSharedMemoryPerBlockOptin, device);
        _handle = driver.RetainPrimaryContext(device);
        _pool = new DevicePool(this);
        try
        {
            Stream = new CudaStream(this);
        }
        catch
        {
            Release();
            throw;
        }
    }

    public CudaDriver Driver { get; }

    /// <summary>The device's number in its driver.</summary>
    public int Device { get; }

    /// <summary>The name of the product.</summary>
    public string Name { get; }

    /// <summary>What kernels are compiled to for this device.</summary>
    public KernelTarget Target { get; }

    public int Multiprocessors { get; }

    /// <summary>The most shared memory a block may have, in bytes.</summary>
    public int MaxSharedBytes { get; }

    /// <summary>The stream of all work that names no other.</summary>
    public CudaStream Stream { get; }

    /// <summary>What the memory pool holds and has done.</summary>
    public DeviceMemoryStatistics Memory => _pool.Statistics;

    /// <summary>Whether a graph is being captured on <see cref="Stream"/>.</summary>
    public bool IsCapturing => _pool.IsRecording;

    /// <summary>
    /// Whether a fault has destroyed the context. The driver is asked and answers at once, so this is true also when another call met
    /// the error. What was computed since the last synchronization is worth nothing then: write no checkpoint.
    /// </summary>
    public bool IsLost
    {
        get
        {
            if (_lost || _disposed)
                return _lost;
            try
            {
                Bind();
                // Asking how far a stream is would end its capture; whether it is captured may be asked always.
                if (!Driver.IsCapturing(Stream.Handle))
                    Driver.QueryStream(Stream.Handle);
            }
            catch (CudaException e) when (e.Sticky)
            {
                _lost = true;
            }
            return _lost;
        }
    }

    /// <summary>Makes the context current on the calling thread. Everything here does so by itself; only direct calls of <see cref="Driver"/> need it.</summary>
    /// <exception cref="ObjectDisposedException">The context was disposed of.</exception>
    public void Bind()
    {
        // First, since other threads than the one that disposed of it have it bound still.
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (ReferenceEquals(t_bound, this))
            return;
        Driver.SetCurrent(_handle);
        t_bound = this;
    }

    /// <summary>Device memory from the pool. Its contents are undefined. It is handed back when disposed of, or when it is garbage.</summary>
    /// <param name="owner">What it is for: shown when memory runs out and in the emulator's reports. A constant costs nothing.</param>
    /// <exception cref="DeviceOutOfMemoryException">Neither the pool nor the device has that much.</exception>
    public DeviceBuffer Allocate(long bytes, string? owner = null) => _pool.Take(bytes, owner);

    /// <summary>Memory that takes nothing from what waits in the pool, which a capture that comes next may need to the last block.</summary>
    /// <inheritdoc cref="Allocate"/>
    public DeviceBuffer AllocateNew(long bytes, string? owner = null) => _pool.Take(bytes, owner, isNew: true);

    /// <summary>Gives memory that the pool holds and nobody uses back to the device.</summary>
    public void ReleaseCachedMemory() => _pool.ReleaseCached();

    public CudaStream CreateStream() => new(this);

    /// <param name="timing">Whether times will be measured with it.</param>
    public CudaEvent CreateEvent(bool timing = true) => new(this, timing);

    /// <summary>Loads compiled kernels.</summary>
    public CudaModule LoadModule(CompiledKernels kernels) => new(this, kernels.Image, kernels.Name);

    /// <summary>Waits for all work of all streams, and throws what went wrong in it.</summary>
    public void Synchronize()
    {
        Bind();
        Driver.SynchronizeContext();
        _pool.Collect();
    }

    internal DevicePool Pool => _pool;

    /// <summary>
    /// Binds for giving something back; false where there is nothing to give back to. What is disposed of after a fault must not throw:
    /// the error that matters is on its way already.
    /// </summary>
    internal bool BindToRelease()
    {
        if (_disposed || IsLost)
            return false;
        Bind();
        return true;
    }

    /// <summary>Waits for the device, then gives everything back to it. Buffers, modules and graphs made from it are useless afterwards.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        try
        {
            if (BindToRelease())
            {
                Driver.SynchronizeContext();
                _pool.Close();
                Stream.Dispose();
            }
        }
        catch (CudaException e) when (e.Sticky)
        {
            _lost = true;
            throw;
        }
        finally
        {
            Release();
        }
    }

    /// <summary>The end of it, also of a lost one, whose error is on its way already and is not to be hidden by another.</summary>
    private void Release()
    {
        _disposed = true;
        if (ReferenceEquals(t_bound, this))
            t_bound = null;
        try
        {
            Driver.ReleasePrimaryContext(Device);
        }
        catch (CudaException e) when (e.Sticky)
        {
            _lost = true;
        }
    }
}
