using System.Globalization;
using System.Text.Json.Serialization;

namespace RawDiffusion.Verification.Bench;

/// <summary>What the kernels of one call did, counted by the emulator. Counts, not times.</summary>
public sealed record BenchCounters
{
    private const int Sector = 32;

    /// <summary>The kernels, in the order of their names.</summary>
    public IReadOnlyList<string> Kernels { get; init; } = [];

    public long Launches { get; init; }

    public long Warps { get; init; }

    /// <summary>Instructions that warps executed, and lanes that took part in them.</summary>
    public long WarpInstructions { get; init; }

    public long LaneInstructions { get; init; }

    /// <summary>Branches after which the lanes of a warp went different ways.</summary>
    public long Divergences { get; init; }

    /// <summary>Accesses of warps to global memory, sectors of 32 bytes that they touched, bytes that lanes read or wrote.</summary>
    public long GlobalRequests { get; init; }

    public long GlobalSectors { get; init; }

    public long GlobalBytes { get; init; }

    /// <summary>Accesses of warps to shared memory, and passes over its banks.</summary>
    public long SharedRequests { get; init; }

    public long SharedPasses { get; init; }

    public long SharedBytes { get; init; }

    /// <summary>Passes beyond those that the bytes of each instruction need.</summary>
    public long BankConflicts { get; init; }

    /// <summary>Operations executed, those of threads beyond the borders included.</summary>
    public long Flops { get; init; }

    /// <summary>32 where nothing is coalesced, 4 where neighbours read neighbouring floats, 16 for 16 bytes a lane.</summary>
    [JsonIgnore]
    public double SectorsPerRequest => Ratio(GlobalSectors, GlobalRequests);

    /// <summary>Share of the moved bytes that somebody asked for; above 1 where lanes share them.</summary>
    [JsonIgnore]
    public double SectorUse => Ratio(GlobalBytes, Sector * (double)GlobalSectors);

    [JsonIgnore]
    public double PassesPerRequest => Ratio(SharedPasses, SharedRequests);

    /// <summary>Bytes that crossed to global memory or a cache of it.</summary>
    [JsonIgnore]
    public long MovedBytes => Sector * GlobalSectors;

    /// <summary>Operations per byte moved.</summary>
    [JsonIgnore]
    public double Intensity => Ratio(Flops, MovedBytes);

    /// <summary>Share of the lanes that took part.</summary>
    [JsonIgnore]
    public double ActiveLanes => Ratio(LaneInstructions, 32.0 * WarpInstructions);

    /// <summary>The counts of both.</summary>
    public static BenchCounters operator +(BenchCounters a, BenchCounters b) => new()
    {
        Kernels = [.. a.Kernels.Concat(b.Kernels).Distinct().Order(StringComparer.Ordinal)],
        Launches = a.Launches + b.Launches,
        Warps = a.Warps + b.Warps,
        WarpInstructions = a.WarpInstructions + b.WarpInstructions,
        LaneInstructions = a.LaneInstructions + b.LaneInstructions,
        Divergences = a.Divergences + b.Divergences,
        GlobalRequests = a.GlobalRequests + b.GlobalRequests,
        GlobalSectors = a.GlobalSectors + b.GlobalSectors,
        GlobalBytes = a.GlobalBytes + b.GlobalBytes,
        SharedRequests = a.SharedRequests + b.SharedRequests,
        SharedPasses = a.SharedPasses + b.SharedPasses,
        SharedBytes = a.SharedBytes + b.SharedBytes,
        BankConflicts = a.BankConflicts + b.BankConflicts,
        Flops = a.Flops + b.Flops,
    };

    private static double Ratio(double part, double whole) => whole == 0 ? 0 : part / whole;
}

/// <summary>A number that is derived from the counters of a row, with the name it is shown under.</summary>
/// <param name="Name">What a column is called.</param>
/// <param name="What">What it means, and what is good.</param>
public sealed record BenchMetric(string Name, string What, Func<BenchRow, BenchCounters, double> Value)
{
    /// <summary>Those that the tables and pages show. Work is a multiply-add, or an element where there is none.</summary>
    public static IReadOnlyList<BenchMetric> All { get; } =
    [
        new("instr/work", "instructions of a lane for each multiply-add that is needed (each element where there are none): less is better", (row, c) => c.LaneInstructions / row.Work),
        new("sectors/request", "sectors of 32 bytes that an access of a warp to global memory touches: 4 for floats side by side, 16 for 16 bytes a lane, 32 where every lane has its own", (_, c) => c.SectorsPerRequest),
        new("sector use", "bytes asked for by bytes moved: 1 is full use, more means that lanes share", (_, c) => c.SectorUse),
        new("shared words/work", "4-byte words of shared memory that lanes read or write for each multiply-add: what tiles in registers save", (row, c) => c.SharedBytes / 4.0 / row.Work),
        new("passes/request", "passes over the banks of shared memory for an access of a warp: 1 for floats, 4 for 16 bytes a lane", (_, c) => c.PassesPerRequest),
        new("bank conflicts", "passes for each access of a warp beyond those its bytes need: 0 is best", (_, c) => c.SharedRequests == 0 ? 0 : c.BankConflicts / (double)c.SharedRequests),
        new("flop/byte", "operations for each byte moved between global memory (or its caches) and the multiprocessors: the arithmetic intensity, more is better", (_, c) => c.Intensity),
        new("moved MB", "10^6 bytes moved so", (_, c) => c.MovedBytes / 1e6),
        new("active lanes %", "lanes that take part in an instruction: 100 without divergence", (_, c) => 100 * c.ActiveLanes),
        new("divergent branches/warp", "branches after which the lanes of a warp went different ways, for each warp", (_, c) => c.Warps == 0 ? 0 : c.Divergences / (double)c.Warps),
    ];

    /// <summary>The number with three digits or so.</summary>
    public static string Text(double value) => Math.Abs(value) switch
    {
        0 => "0",
        >= 1000 => value.ToString("#,0", CultureInfo.InvariantCulture),
        >= 100 => value.ToString("0", CultureInfo.InvariantCulture),
        >= 10 => value.ToString("0.#", CultureInfo.InvariantCulture),
        >= 0.1 => value.ToString("0.##", CultureInfo.InvariantCulture),
        _ => value.ToString("0.####", CultureInfo.InvariantCulture),
    };

    /// <summary>What changed in numbers from one rung to the next: metrics that moved by more than a tenth.</summary>
    public static string Compare(BenchRow before, BenchRow after)
    {
        var changes = new List<string>();
        foreach (var metric in All)
        {
            if (before.Counters is not { } a || after.Counters is not { } b)
                return "";
            double x = metric.Value(before, a), y = metric.Value(after, b);
            if (Math.Abs(x - y) > 0.1 * Math.Max(Math.Abs(x), Math.Abs(y)))
                changes.Add($"{metric.Name} {Text(x)} to {Text(y)}");
        }
        return changes.Count == 0 ? "no counter changed by more than a tenth" : string.Join(", ", changes);
    }
}
