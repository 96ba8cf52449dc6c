using System.Collections.Concurrent;
using System.Globalization;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Backends.Reference;

namespace RawDiffusion;

/// <summary>The devices of this process by name: <c>cpu</c>, <c>reference</c>, and the kinds that were registered, as <c>kind</c> or <c>kind:1</c>.</summary>
public static class Device
{
    private static readonly ConcurrentDictionary<string, Func<int, Backend>> s_kinds = new(StringComparer.Ordinal);
    private static readonly ConcurrentDictionary<string, Lazy<Backend>> s_open = new(StringComparer.Ordinal);

    /// <summary>SIMD on all cores, float32.</summary>
    public static Backend Cpu { get; } = new CpuBackend();

    /// <summary>Readable loops in float64: the definition of every operation, and slow.</summary>
    public static Backend Reference { get; } = new ReferenceBackend();

    /// <summary>Where tensors are made when no device is named.</summary>
    public static Backend Default { get; set; } = Cpu;

    /// <summary>The names that <see cref="Parse"/> knows; each but the first two may be followed by a colon and a number.</summary>
    public static IReadOnlyList<string> Names => ["cpu", "reference", .. s_kinds.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Adds a kind of device. The first registration of a name stays.</summary>
    /// <param name="open">Makes the device of a number; called once for each, when it is first asked for. What it throws reaches the caller of <see cref="Parse"/>.</param>
    public static void Register(string kind, Func<int, Backend> open) => s_kinds.TryAdd(kind, open);

    /// <summary>Whether <see cref="Parse"/> knows the name; the device need not be there.</summary>
    public static bool IsKnown(string name) => name is "cpu" or "reference" || Split(name) is not null;

    /// <exception cref="ArgumentException">No such device; the message lists those there are.</exception>
    public static Backend Parse(string name)
    {
        if (name is "cpu" or "reference")
            return name == "cpu" ? Cpu : Reference;
        var (kind, number) = Split(name) ?? throw new ArgumentException($"unknown device '{name}'; there are: {string.Join(", ", Names)}");
        string key = $"{kind}:{number}";
        var device = s_open.GetOrAdd(key, _ => new Lazy<Backend>(() => s_kinds[kind](number)));
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

    /// <summary>A registered kind and a number; null where the name is neither.</summary>
    private static (string Kind, int Number)? Split(string name)
    {
        int colon = name.IndexOf(':');
        string kind = colon < 0 ? name : name[..colon];
        int number = 0;
        bool isNumber = colon < 0 || int.TryParse(name.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out number);
        return isNumber && s_kinds.ContainsKey(kind) ? (kind, number) : null;
    }
}
