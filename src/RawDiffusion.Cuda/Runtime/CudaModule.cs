using System.Collections.Concurrent;

namespace RawDiffusion.Cuda;

/// <summary>Kernels and global variables that were loaded together.</summary>
public sealed class CudaModule : IDisposable
{
    private readonly ConcurrentDictionary<string, CudaKernel> _kernels = new();
    private CuModule _handle;

    internal CudaModule(CudaContext context, ReadOnlySpan<byte> image, string name)
    {
        Context = context;
        Name = name;
        context.Bind();
        _handle = context.Driver.LoadModule(image, name);
    }

    public CudaContext Context { get; }

    /// <summary>The file name of the source.</summary>
    public string Name { get; }

    /// <summary>A kernel by its <c>extern "C"</c> name; looked up once.</summary>
    /// <exception cref="CudaException"><see cref="CudaResult.NotFound"/>: the module has no such kernel.</exception>
    public CudaKernel GetKernel(string name) => _kernels.TryGetValue(name, out var kernel) ? kernel
        : _kernels.GetOrAdd(name, static (key, module) => new CudaKernel(module.Context, module.Find(key), key), this);

    /// <summary>Address and size in bytes of a variable declared <c>__device__</c> or <c>__constant__</c>.</summary>
    public (DevicePointer Address, long Bytes) GetGlobal(string name)
    {
        Context.Bind();
        return Context.Driver.GetGlobal(_handle, name);
    }

    private CuFunction Find(string name)
    {
        Context.Bind();
        return Context.Driver.GetFunction(_handle, name);
    }

    /// <summary>Waits for the device, since a kernel of it might be running.</summary>
    public void Dispose()
    {
        if (_handle != default && Context.BindToRelease())
        {
            Context.Driver.SynchronizeContext();
            Context.Driver.UnloadModule(_handle);
        }
        _handle = default;
    }
}
