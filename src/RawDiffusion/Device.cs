using System.Collections.Concurrent;
using System.Globalization;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Reference;

namespace RawDiffusion;

/// <summary>
/// The devices of this process by name: <c>cpu</c>, <c>reference</c>, <c>cuda</c> (<c>cuda:1</c> is the second GPU), and the kinds that
/// were registered. What stands after a colon says which device of its kind is meant.
/// </summary>
public static class Device
{
    private static readonly ConcurrentDictionary<string, Func<string, Backend>> s_kinds = new(StringComparer.Ordinal) { ["cuda"] = OpenCuda };
    private static readonly ConcurrentDictionary<string, Lazy<Backend>> s_open = new(StringComparer.Ordinal);

    /// <summary>SIMD on all cores, float32.</summary>
    public static Backend Cpu { get; } = new CpuBackend();

    /// <summary>Readable loops in float64: the definition of every operation, and slow.</summary>
    public static Backend Reference { get; } = new ReferenceBackend();

    /// <summary>Where tensors are made when no device is named.</summary>
    public static Backend Default { get; set; } = Cpu;

    /// <summary>The kinds that <see cref="Parse"/> knows; those after the first two may be followed by a colon and more.</summary>
    public static IReadOnlyList<string> Kinds => ["cpu", "reference", .. s_kinds.Keys.Order(StringComparer.Ordinal)];

    /// <summary>The kinds that this machine has: not cuda where there is no GPU, or nothing to compile its kernels with.</summary>
    public static IReadOnlyList<string> Names => [.. Kinds.Where(kind => kind != "cuda" || CudaDevices.IsAvailable)];

    /// <summary>Adds a kind of device. The first registration of a name stays.</summary>
    /// <param name="open">
    /// Makes the device of a name, given what stands after the colon, or nothing; called once for each, when it is first asked for. What
    /// it throws reaches the caller of <see cref="Parse"/>.
    /// </param>
    public static void Register(string kind, Func<string, Backend> open) => s_kinds.TryAdd(kind, open);

    /// <summary>Whether <see cref="Parse"/> knows the kind; the device need not be there.</summary>
    public static bool IsKnown(string name) => name is "cpu" or "reference" || s_kinds.ContainsKey(Split(name).Kind);

    /// <exception cref="ArgumentException">No such device; the message lists those there are.</exception>
    /// <exception cref="NotSupportedException">It is not on this machine, or does not work; the message says why.</exception>
    public static Backend Parse(string name)
    {
        if (name is "cpu" or "reference")
            return name == "cpu" ? Cpu : Reference;
        var (kind, which) = Split(name);
        if (!s_kinds.TryGetValue(kind, out var open))
            throw new ArgumentException($"unknown device '{name}'; there are: {string.Join(", ", Kinds)}");
        string key = $"{kind}:{which}";
        var device = s_open.GetOrAdd(key, _ => new Lazy<Backend>(() => open(which)));
        try
        {
            return device.Value;
        }
        catch
        {
            // It may be there the next time: a library installed, memory freed.
            s_open.TryRemove(KeyValuePair.Create(key, device));
            throw;
        }
    }

    private static (string Kind, string Which) Split(string name)
    {
        int colon = name.IndexOf(':');
        return colon < 0 ? (name, "") : (name[..colon], name[(colon + 1)..]);
    }

    private static Backend OpenCuda(string number)
    {
        if (number == "0")
            return Parse("cuda");
        int index = 0;
        if (number.Length > 0 && !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out index))
            throw new ArgumentException($"unknown device 'cuda:{number}'; GPUs are cuda, cuda:1, cuda:2, ...");
        return CudaDevices.Open(index);
    }
}
