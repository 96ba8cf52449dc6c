namespace RawDiffusion.Verification.Bench.Output;

/// <summary>The rows of one operation at one shape that are to be seen side by side.</summary>
public sealed record BenchLadder(string Operation, string Shape, IReadOnlyList<BenchRow> Rows)
{
    public string Title => $"{Operation} {Shape}";

    /// <summary>
    /// Each row with what changed in numbers against the rung before it of the same precision, or of another one where it is the first of
    /// its own; nothing for the first of them all and for what is no rung.
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
                var before = measured.FindLast(other => other.Precision == row.Precision) ?? measured.LastOrDefault();
                yield return (row, before is null ? "" : Change(before, row));
                if (row.Times is not null || row.Counters is not null)
                    measured.Add(row);
            }
        }
    }

    /// <summary>All of a report that have more than one row, rungs in their order, then the device's choice, then cuBLAS.</summary>
    public static IReadOnlyList<BenchLadder> Of(BenchReport report) =>
    [
        .. report.Rows.GroupBy(row => (row.Operation, row.Shape)).Where(group => group.Any(row => row.What is not null))
            .Select(group => new BenchLadder(group.Key.Operation, group.Key.Shape,
                [.. group.OrderBy(row => row.Variant switch { BenchRow.Chosen => 1, BenchRow.Cublas => 2, _ => 0 })])),
    ];

    private static string Change(BenchRow before, BenchRow after)
    {
        string other = before.Precision == after.Precision ? before.Variant : $"{before.Variant} in {before.Precision}";
        if (before.Times is { } a && after.Times is { } b)
            return FormattableString.Invariant($"{a.Median / b.Median:0.00} times the speed of {other}");
        string counters = BenchMetric.Compare(before, after);
        return counters.Length == 0 ? "" : $"against {other}: {counters}";
    }
}
