namespace RawDiffusion.Verification.Bench.Output;

/// <summary>The rows of one operation at one shape that are to be seen side by side.</summary>
public sealed record BenchLadder(string Operation, string Shape, IReadOnlyList<BenchRow> Rows)
{
    public string Title => $"{Operation} {Shape}";

    /// <summary>
    /// Each row with what changed in numbers against the rung before it of the same precision. The first of a precision is compared with the
    /// same rung of another one (mma-bf16 with mma-tf32), or with the last of those where there is none; nothing for the first of them all
    /// and for what is no rung.
    /// </summary>
    public IEnumerable<(BenchRow Row, string Change)> Explained
    {
        get
        {
            var measured = new List<BenchRow>();
            foreach (var row in Rows)
            {
                if (row.What is null || row.Variant == BenchRow.Cublas)
                {
                    yield return (row, "");
                    continue;
                }
                var before = measured.FindLast(other => other.Precision == row.Precision) ?? measured.Find(other => Stem(other) == Stem(row)) ?? measured.LastOrDefault();
                yield return (row, before is null ? "" : Change(before, row));
                if (row.Times is not null || row.Counters is not null)
                    measured.Add(row);
            }
        }
    }

    /// <summary>
    /// For each row of the device's own choice the rung that launched the same kernels, or their names where no rung did; none where kernels
    /// were not recorded.
    /// </summary>
    public IEnumerable<(BenchRow Row, string Taken)> Choices => Rows.Where(row => row is { Variant: BenchRow.Chosen, Counters: not null }).Select(row => (row,
        Rows.FirstOrDefault(rung => rung.What is not null && rung.Precision == row.Precision && rung.Counters is { } counters
            && counters.WarpInstructions == row.Counters!.WarpInstructions && counters.Kernels.SequenceEqual(row.Counters.Kernels)) is { } same
            ? $"the rung {same.Variant}"
            : $"no rung of the ladder: {string.Join(", ", row.Counters!.Kernels)}"));

    /// <summary>All of a report that have more than one row, rungs in their order, then the device's choice, then cuBLAS.</summary>
    public static IReadOnlyList<BenchLadder> Of(BenchReport report) =>
    [
        .. report.Rows.GroupBy(row => (row.Operation, row.Shape)).Where(group => group.Any(row => row.What is not null))
            .Select(group => new BenchLadder(group.Key.Operation, group.Key.Shape,
                [.. group.OrderBy(row => row.Variant switch { BenchRow.Chosen => 1, BenchRow.Cublas => 2, _ => 0 })])),
    ];

    /// <summary>The name without the precision at its end.</summary>
    private static string Stem(BenchRow row) => row.Variant.EndsWith("-" + row.Precision, StringComparison.Ordinal) ? row.Variant[..^(row.Precision.Length + 1)] : row.Variant;

    private static string Change(BenchRow before, BenchRow after)
    {
        string other = before.Precision == after.Precision ? before.Variant : $"{before.Variant} in {before.Precision}";
        if (before.Times is { } a && after.Times is { } b)
            return FormattableString.Invariant($"{a.Median / b.Median:0.00} times the speed of {other}");
        string counters = BenchMetric.Compare(before, after);
        return counters.Length == 0 ? "" : $"against {other} it {counters}";
    }
}
