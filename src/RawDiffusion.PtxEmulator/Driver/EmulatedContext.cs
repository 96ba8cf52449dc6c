using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>Everything that the device's one context owns; handles are numbers that are never used again.</summary>
internal sealed class EmulatedContext(DeviceModel device, EmulatorOptions options) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<nint, object> _objects = [];
    private nint _next = 0x100;

    public DeviceModel Device => device;

    public GlobalMemory Memory { get; } = new(options.MemoryBytes, options.Mode == Execution.ExecutionMode.Checked);

    public WorkQueue Queue { get; } = new();

    /// <summary>Pinned host memory with its size in bytes.</summary>
    public Dictionary<nint, long> HostMemory { get; } = [];

    public int Retained { get; set; }

    public int Allocations;

    public nint Add(object value)
    {
        lock (_lock)
        {
            _objects[_next] = value;
            return _next++;
        }
    }

    /// <exception cref="CudaException">The handle is not one of this kind, or not any more.</exception>
    public T Get<T>(nint handle, string call) where T : class
    {
        lock (_lock)
        {
            return _objects.TryGetValue(handle, out object? found) && found is T value ? value
                : throw new CudaException(call, CudaResult.InvalidHandle, $"0x{handle:x} is no {Name<T>()}");
        }
    }

    public T Remove<T>(nint handle, string call) where T : class
    {
        var value = Get<T>(handle, call);
        lock (_lock)
            _objects.Remove(handle);
        return value;
    }

    public IEnumerable<T> All<T>()
    {
        lock (_lock)
            return [.. _objects.Values.OfType<T>()];
    }

    public void RemoveFunctionsOf(CuModule module)
    {
        lock (_lock)
        {
            foreach (var (handle, value) in _objects)
            {
                if (value is EmulatedFunction function && function.Module == module)
                    _objects.Remove(handle);
            }
        }
    }

    public unsafe void Dispose()
    {
        Queue.Dispose();
        Memory.Dispose();
        foreach (nint pointer in HostMemory.Keys)
            System.Runtime.InteropServices.NativeMemory.AlignedFree((void*)pointer);
        HostMemory.Clear();
    }

    private static string Name<T>() => typeof(T).Name.Replace("Emulated", "").Replace("State", "").ToLowerInvariant();
}

/// <summary>A stream: how much of it is to be done, and the capture that it takes part in.</summary>
internal sealed class EmulatedStream
{
    public WorkQueue.StreamState Work { get; } = new();

    public Capture? Capture { get; set; }

    /// <summary>In a capture: the nodes that what comes next must wait for.</summary>
    public List<int> Tail { get; set; } = [];
}

internal sealed class EmulatedEvent(bool timing)
{
    public bool Timing => timing;

    /// <summary>The last record; null before the first and after one in a capture.</summary>
    public RecordWork? Record { get; set; }

    /// <summary>The capture of the last record.</summary>
    public Capture? Capture { get; set; }

    public List<int> CapturedTail { get; set; } = [];
}
