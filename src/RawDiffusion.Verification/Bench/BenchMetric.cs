using System.Globalization;

namespace RawDiffusion.Verification.Bench;

/// <summary>Which way a metric is better.</summary>
public enum BenchDirection
{
    Less,

    More,

    /// <summary>More up to 1; beyond it nothing is gained.</summary>
    MoreUpTo1,

    /// <summary>As the use of the sectors rises or falls: by itself the number says also how wide accesses are, and which lanes read the same word.</summary>
    BySectorUse,

    Neither,
}

/// <summary>A number that is derived from the counters of a row, with the name it is shown under.</summary>
/// <param name="Name">What a column is called.</param>
/// <param name="What">What it means, and what is good.</param>
/// <param name="Better">Which way is better.</param>
public sealed record BenchMetric(string Name, string What, BenchDirection Better, Func<BenchRow, BenchCounters, double> Value)
{
    /// <summary>Changes by less than this share are not worth a word.</summary>
    private const double Noticed = 0.1;

    /// <summary>Those that the tables and pages show. Work is a multiply-add, or an element where there is none.</summary>
    public static IReadOnlyList<BenchMetric> All { get; } =
    [
        new("instr/work", "instructions of a lane for each multiply-add that is needed (each element where there are none): less is better", BenchDirection.Less,
            (row, c) => c.LaneInstructions / row.Work),
        new("sectors/request", "sectors of 32 bytes that an access of a warp to global memory touches, the mean of all: 1 where all lanes read one word, 4 for floats side by side, 16 for 16 bytes a lane, "
            + "32 where every lane has its own, most of which goes unused", BenchDirection.BySectorUse, (_, c) => c.SectorsPerRequest),
        new("sector use", "bytes asked for by bytes moved: 1 is full use, more means that lanes share", BenchDirection.MoreUpTo1, (_, c) => c.SectorUse),
        new("shared words/work", "4-byte words of shared memory that lanes read or write for each multiply-add: what tiles in registers save", BenchDirection.Less,
            (row, c) => c.SharedBytes / 4.0 / row.Work),
        new("passes/request", "passes over the banks of shared memory for an access of a warp: 1 for floats, 4 for 16 bytes a lane", BenchDirection.Neither, (_, c) => c.PassesPerRequest),
        new("bank conflicts", "passes for each access of a warp beyond those its bytes need: 0 is best", BenchDirection.Less,
            (_, c) => c.SharedRequests == 0 ? 0 : c.BankConflicts / (double)c.SharedRequests),
        new("flop/byte", "operations for each byte moved between global memory (or its caches) and the multiprocessors: the arithmetic intensity, more is better", BenchDirection.More,
            (_, c) => c.Intensity),
        new("moved MB", "10^6 bytes moved so: less is better", BenchDirection.Less, (_, c) => c.MovedBytes / 1e6),
        new("active lanes %", "lanes that take part in an instruction: 100 without divergence", BenchDirection.More, (_, c) => 100 * c.ActiveLanes),
        new("divergences/warp", "branches after which the lanes of a warp went different ways, for each warp: 0 is best", BenchDirection.Less,
            (_, c) => c.Warps == 0 ? 0 : c.Divergences / (double)c.Warps),
    ];

    /// <summary>Which way is better, in a word or two; nothing where neither is.</summary>
    public string Direction => Better switch
    {
        BenchDirection.Less => "less is better",
        BenchDirection.More => "more is better",
        BenchDirection.MoreUpTo1 => "1 is full use",
        _ => "",
    };

    /// <summary>The number with three digits.</summary>
    public static string Text(double value)
    {
        if (value == 0)
            return "0";
        int decimals = Math.Clamp(2 - (int)Math.Floor(Math.Log10(Math.Abs(value))), 0, 6);
        return value.ToString(decimals == 0 ? "#,0" : "0." + new string('#', decimals), CultureInfo.InvariantCulture);
    }

    /// <summary>What a rung gains and what it pays against another one: the metrics that moved by more than a tenth.</summary>
    public static string Compare(BenchRow before, BenchRow after)
    {
        if (before.Counters is not { } a || after.Counters is not { } b)
            return "";
        List<string> gains = [], costs = [], others = [];
        foreach (var metric in All)
        {
            double x = metric.Value(before, a), y = metric.Value(after, b);
            if (!Differ(x, y))
                continue;
            (metric.Judge(x, y, a, b) switch { > 0 => gains, < 0 => costs, _ => others }).Add($"{metric.Name} {Text(x)} to {Text(y)}");
        }
        // Copies that run beside the arithmetic, for instance, change no count.
        if (gains.Count == 0)
            gains.Add("in no count (time spent waiting is not counted; only a GPU's clock shows it)");
        (string Kind, List<string> Changes)[] parts = [("gains", gains), ("costs", costs), ("also", others)];
        return string.Join("; ", parts.Where(part => part.Changes.Count > 0).Select(part => $"{part.Kind} {string.Join(", ", part.Changes)}"));
    }

    /// <returns>1 where the second is better, -1 where it is worse, 0 where it is neither.</returns>
    private int Judge(double x, double y, BenchCounters a, BenchCounters b) => Better switch
    {
        BenchDirection.Less => x.CompareTo(y),
        BenchDirection.More => y.CompareTo(x),
        BenchDirection.MoreUpTo1 => MoreUpTo1(x, y),
        BenchDirection.BySectorUse => MoreUpTo1(a.SectorUse, b.SectorUse),
        _ => 0,
    };

    private static int MoreUpTo1(double x, double y) => Differ(Math.Min(1, x), Math.Min(1, y)) ? y.CompareTo(x) : 0;

    private static bool Differ(double x, double y) => Math.Abs(x - y) > Noticed * Math.Max(Math.Abs(x), Math.Abs(y));
}
