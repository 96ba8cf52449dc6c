using System.Globalization;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda.Measuring;

/// <summary>What a reader of measurements wants to know of the device.</summary>
public static class DeviceFacts
{
    public static IReadOnlyList<(string Name, string Value)> Of(CudaBackend backend)
    {
        var context = backend.Context;
        int Ask(DeviceAttribute attribute) => context.Driver.GetAttribute(attribute, context.Device);
        int version = context.Driver.Version;
        return
        [
            ("device", $"{backend.Name}: {context.Name}"),
            ("driver", $"CUDA {version / 1000}.{version % 1000 / 10}"),
            ("multiprocessors", Text($"{context.Multiprocessors} at up to {Ask(DeviceAttribute.ClockRate) / 1000} MHz, compute capability {backend.Capability / 10}.{backend.Capability % 10}")),
            ("L2 cache", Text($"{Ask(DeviceAttribute.L2CacheSize) / (double)(1 << 20):0.#} MiB")),
            ("kernels", Text($"compiled to {context.Target} by NVRTC {Nvrtc.Version}")),
        ];
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
