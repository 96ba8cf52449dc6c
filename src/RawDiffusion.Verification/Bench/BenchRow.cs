using System.Text.Json.Serialization;

namespace RawDiffusion.Verification.Bench;

/// <summary>What became of one row.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<BenchOutcome>))]
public enum BenchOutcome
{
    /// <summary>The result is right, and it was timed.</summary>
    Timed,

    /// <summary>The result is right, and what the kernels did was counted.</summary>
    Counted,

    /// <summary>The result is wrong: not timed.</summary>
    Wrong,

    /// <summary>The rung cannot do this shape or type, or the device lacks something.</summary>
    Unsupported,

    /// <summary>It ended in an error.</summary>
    Failed,
}

/// <summary>The times of one call, in seconds.</summary>
public sealed record BenchTimes(double Median, double P20, double P80, int Repetitions)
{
    /// <summary>Of single measurements in any order.</summary>
    public static BenchTimes Of(IEnumerable<double> seconds)
    {
        double[] sorted = [.. seconds.Order()];
        return new BenchTimes(Percentile(sorted, 50), Percentile(sorted, 20), Percentile(sorted, 80), sorted.Length);
    }

    /// <summary>A percentile of sorted values, between two of them in proportion.</summary>
    /// <exception cref="ArgumentException">There are none.</exception>
    public static double Percentile(ReadOnlySpan<double> sorted, double percent)
    {
        if (sorted.IsEmpty)
            throw new ArgumentException("nothing was measured");
        double at = percent / 100 * (sorted.Length - 1);
        int below = (int)at;
        return below + 1 < sorted.Length ? sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]) : sorted[below];
    }
}

/// <summary>An operation at a shape, computed in one way.</summary>
public sealed record BenchRow
{
    /// <summary>The way that the device takes by itself.</summary>
    public const string Chosen = "chosen";

    /// <summary>NVIDIA's library.</summary>
    public const string Cublas = "cublas";

    public required string Operation { get; init; }

    public required string Shape { get; init; }

    /// <summary>The name of a rung, <see cref="Chosen"/>, or <see cref="Cublas"/>.</summary>
    public required string Variant { get; init; }

    /// <summary>fp32, tf32 or bf16.</summary>
    public required string Precision { get; init; }

    /// <summary>For a rung: what changed, and why that is faster.</summary>
    public string? What { get; init; }

    /// <summary>Floating-point operations that the definition needs.</summary>
    public double Flops { get; init; }

    /// <summary>Bytes that must be moved at least.</summary>
    public double Bytes { get; init; }

    /// <summary>Multiply-adds, or elements where there are none.</summary>
    public double Work { get; init; }

    public BenchOutcome Outcome { get; init; }

    /// <summary>With what the result was compared, or why there is none.</summary>
    public string Note { get; init; } = "";

    public BenchTimes? Times { get; init; }

    public BenchCounters? Counters { get; init; }

    /// <summary>The variant with its precision, which the names of some rungs hold already.</summary>
    [JsonIgnore]
    public string Label => Variant.EndsWith(Precision, StringComparison.Ordinal) ? Variant : $"{Variant} {Precision}";

    /// <summary>10^9 bytes a second, of those that must be moved.</summary>
    [JsonIgnore]
    public double? GigabytesPerSecond => Times is null ? null : Bytes / Times.Median / 1e9;

    /// <summary>10^12 operations a second; null where bytes are the measure.</summary>
    [JsonIgnore]
    public double? TeraflopsPerSecond => Times is null || Flops == 0 ? null : Flops / Times.Median / 1e12;

    /// <summary>Flops per byte that must be moved.</summary>
    [JsonIgnore]
    public double Intensity => Flops / Bytes;
}
