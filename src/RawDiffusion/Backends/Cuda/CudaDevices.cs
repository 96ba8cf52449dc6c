using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

/// <summary>The GPUs of this machine as devices. libcuda is loaded when the first one is asked for, not before.</summary>
public static class CudaDevices
{
    private static readonly Lock s_lock = new();
    private static NativeCudaDriver? s_driver;
    private static readonly Lazy<bool> s_available = new(() => NativeCudaDriver.TryCreate(out _) is { DeviceCount: > 0 } && Nvrtc.IsAvailable(out _));

    /// <summary>Whether there is a GPU and NVRTC, as found when this was first asked.</summary>
    public static bool IsAvailable => s_available.Value;

    /// <summary>
    /// The GPU of a number, for <see cref="Device.Parse"/>. Every call makes a backend with memory of its own.
    /// </summary>
    /// <exception cref="NotSupportedException">There is no driver that works, or no such GPU; the message says where the driver was sought and what to do.</exception>
    /// <exception cref="CudaLibraryNotFoundException">There is no NVRTC to compile the kernels with.</exception>
    public static Backend Open(int number)
    {
        lock (s_lock)
        {
            string name = number == 0 ? "cuda" : $"cuda:{number}";
            s_driver ??= NativeCudaDriver.TryCreate(out string? problem)
                ?? throw new NotSupportedException($"The device {name} cannot be used. {problem}");
            int count = s_driver.DeviceCount;
            if (number >= count)
                throw new NotSupportedException($"There is no device {name}: the driver sees {(count == 1 ? "one GPU, cuda" : $"{count} GPUs, cuda:0 to cuda:{count - 1}")}.");
            CudaLibraries.Nvrtc.Load();
            return new CudaBackend(s_driver, number);
        }
    }
}
