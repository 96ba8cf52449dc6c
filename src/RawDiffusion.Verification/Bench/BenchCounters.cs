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
