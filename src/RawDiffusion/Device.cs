using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Backends.Reference;

namespace RawDiffusion;

/// <summary>The devices of this process by name.</summary>
public static class Device
{
    /// <summary>SIMD on all cores, float32.</summary>
    public static Backend Cpu { get; } = new CpuBackend();

    /// <summary>Readable loops in float64: the definition of every operation, and slow.</summary>
    public static Backend Reference { get; } = new ReferenceBackend();

    /// <summary>Where tensors are made when no device is named.</summary>
    public static Backend Default { get; set; } = Cpu;

    /// <summary>The names that <see cref="Parse"/> knows.</summary>
    public static IReadOnlyList<string> Names { get; } = ["cpu", "reference"];

    /// <exception cref="ArgumentException">No such device; the message lists those there are.</exception>
    public static Backend Parse(string name) => name switch
    {
        "cpu" => Cpu,
        "reference" => Reference,
        _ => throw new ArgumentException($"unknown device '{name}'; there are: {string.Join(", ", Names)}"),
    };
}
