using System.Runtime.CompilerServices;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// The Cuda backend on an emulated GPU in checked mode. A fault loses a device for good: the test that met it fails, the next one gets a
/// new device.
/// </summary>
internal sealed class Emulated(ulong? scheduleSeed = null, ulong? approximationSeed = null, int computeCapability = 80)
{
    private readonly Lock _lock = new();
    private CudaBackend? _device;

    // What stands for the device of Plain on this thread.
    [ThreadStatic]
    private static CudaBackend? t_plain;

    /// <summary>The device of all tests that want nothing special, at the same time: who forces a rung or changes a setting takes another.</summary>
    public static Emulated Plain { get; } = new();

    public CudaBackend Device
    {
        get
        {
            TestNvrtc.Require();
            if (t_plain is { } other && this == Plain)
                return other;
            lock (_lock)
                return _device is null || _device.Context.IsLost ? _device = New() : _device;
        }
    }

    /// <summary>Does something for which <see cref="Plain"/> on this thread is another device: one with damaged kernels, which it must notice.</summary>
    public static void WithPlain(CudaBackend device, Action action)
    {
        t_plain = device;
        try
        {
            action();
        }
        finally
        {
            t_plain = null;
        }
    }

    /// <summary>A device of one's own.</summary>
    public CudaBackend New() => new(new EmulatedCudaDriver(new EmulatorOptions
    {
        Mode = ExecutionMode.Checked,
        ComputeCapability = computeCapability,
        ScheduleSeed = scheduleSeed,
        ApproximationSeed = approximationSeed,
    }));

    /// <summary>Tests of every device in <see cref="Device.Names"/> are tests of this one too, where there is NVRTC to compile its kernels.</summary>
    [ModuleInitializer]
    internal static void Register()
    {
        if (TestNvrtc.IsAvailable)
            RawDiffusion.Device.Register("emulated", how => how.Length == 0 ? Plain.Device : RawDiffusion.Cli.Devices.OpenEmulated(how));
    }
}
