using System.Text.Json;
using System.Text.Json.Serialization;

namespace RawDiffusion.Verification.Bench;

/// <summary>A fact of a report's head.</summary>
public sealed record BenchFact(string Name, string Value);

/// <summary>All that one run of the bench has found.</summary>
public sealed record BenchReport
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    /// <summary>Date, device, driver, commit, command line.</summary>
    public required IReadOnlyList<BenchFact> Facts { get; init; }

    /// <summary>Null where the device is emulated.</summary>
    public BenchPeaks? Peaks { get; init; }

    /// <summary>In the order of operations and shapes; rungs in the order of their ladder.</summary>
    public required IReadOnlyList<BenchRow> Rows { get; init; }

    /// <summary>What a reader must know: libraries that are not there, results that are wrong.</summary>
    public IReadOnlyList<string> Remarks { get; init; } = [];

    /// <summary>Whether no result was wrong, and nothing failed.</summary>
    [JsonIgnore]
    public bool Passed => Rows.All(row => row.Outcome is not (BenchOutcome.Wrong or BenchOutcome.Failed));

    [JsonIgnore]
    public bool IsCounted => Rows.Any(row => row.Counters is not null);

    /// <summary>Speed in percent of cuBLAS's at the same product and precision; null where either was not timed, and for cuBLAS itself.</summary>
    public double? PercentOfCublas(BenchRow row) =>
        row is { Times: { } own, Variant: not BenchRow.Cublas }
        && Rows.FirstOrDefault(other => other.Variant == BenchRow.Cublas && (other.Operation, other.Shape, other.Precision) == (row.Operation, row.Shape, row.Precision)) is { Times: { } theirs }
            ? 100 * theirs.Median / own.Median
            : null;

    /// <summary>Whether cuBLAS was timed beside.</summary>
    [JsonIgnore]
    public bool HasCublas => Rows.Any(row => row is { Variant: BenchRow.Cublas, Times: not null });

    public string ToJson() => JsonSerializer.Serialize(this, s_json);

    /// <exception cref="JsonException">The text is no report.</exception>
    public static BenchReport FromJson(string text) => JsonSerializer.Deserialize<BenchReport>(text, s_json) ?? throw new JsonException("null is no report");
}
