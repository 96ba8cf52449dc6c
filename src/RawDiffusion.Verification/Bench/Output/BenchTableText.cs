using System.Globalization;

namespace RawDiffusion.Verification.Bench.Output;

/// <summary>The rows of a report as cells of text: the same columns on the console, in markdown and on the page.</summary>
public static class BenchTableText
{
    /// <summary>The columns that a report of this kind has.</summary>
    public static IReadOnlyList<string> Columns(BenchReport report) => report.IsCounted
        ? ["operation", "shape", "variant", "in", .. BenchMetric.All.Select(metric => metric.Name), ""]
        : ["operation", "shape", "variant", "in", "median", "p20", "p80", "runs", "GB/s", "% copy", "TFLOP/s", "% peak", "limit", "% of limit", .. report.HasCublas ? ["% of cuBLAS"] : (string[])[], ""];

    public static IReadOnlyList<string> Cells(BenchReport report, BenchRow row)
    {
        string[] begin = [row.Operation, row.Shape, row.Variant, row.Precision];
        string end = row.Outcome switch
        {
            BenchOutcome.Wrong => $"WRONG: {row.Note}",
            BenchOutcome.Failed => $"FAILED: {row.Note}",
            BenchOutcome.Unsupported => row.Note,
            _ => "",
        };
        if (report.IsCounted)
            return [.. begin, .. BenchMetric.All.Select(metric => row.Counters is { } c ? BenchMetric.Text(metric.Value(row, c)) : ""), end];
        if (row.Times is not { } times)
            return [.. begin, .. Enumerable.Repeat("", Columns(report).Count - begin.Length - 1), end];
        var peaks = report.Peaks;
        return
        [
            .. begin, Seconds(times.Median), Seconds(times.P20), Seconds(times.P80), Text($"{times.Repetitions}"), BenchMetric.Text(row.GigabytesPerSecond!.Value),
            peaks is null ? "" : Percent(100 * row.GigabytesPerSecond.Value / peaks.Copy),
            row.TeraflopsPerSecond is { } rate ? BenchMetric.Text(rate) : "",
            peaks is null || row.TeraflopsPerSecond is not { } flops ? "" : Percent(100 * flops / peaks.Arithmetic(row.Precision)),
            peaks is null ? "" : peaks.IsMemoryBound(row) ? "memory" : "arithmetic", peaks?.Percent(row) is { } percent ? Percent(percent) : "",
            .. report.HasCublas ? [report.PercentOfCublas(row) is { } share ? Percent(share) : ""] : (string[])[],
            end,
        ];
    }

    /// <summary>The measured peaks as names and values; none where nothing was timed.</summary>
    public static IReadOnlyList<(string Name, string Value)> Peaks(BenchReport report)
    {
        if (report.Peaks is not { } peaks)
            return [];
        var rows = new List<(string, string)> { ("copy", Text($"{peaks.Copy:0.0} GB/s, read and written counted once each")) };
        if (peaks is { KernelCopy: { } kernel, DriverCopy: { } driver })
            rows.Add(("of it", Text($"by our kernel {kernel:0.0}, by the driver {driver:0.0} GB/s")));
        rows.Add(("multiply-add, fp32", $"{BenchMetric.Text(peaks.Fma)} TFLOP/s"));
        if (peaks.Tf32 is { } tf32)
            rows.Add(("mma.sync, tf32", $"{BenchMetric.Text(tf32)} TFLOP/s"));
        if (peaks.BFloat16 is { } bfloat16)
            rows.Add(("mma.sync, bf16", $"{BenchMetric.Text(bfloat16)} TFLOP/s"));
        if (peaks.EmptyInterval > 0)
            rows.Add(("an empty interval", $"{Seconds(peaks.EmptyInterval)}: every time contains it"));
        return rows;
    }

    /// <summary>A time with three digits and its unit.</summary>
    public static string Seconds(double seconds) => seconds switch
    {
        >= 1 => Text($"{seconds:0.00} s"),
        >= 0.1 => Text($"{seconds * 1e3:0} ms"),
        >= 0.01 => Text($"{seconds * 1e3:0.0} ms"),
        >= 1e-3 => Text($"{seconds * 1e3:0.00} ms"),
        >= 1e-4 => Text($"{seconds * 1e6:0} us"),
        >= 1e-5 => Text($"{seconds * 1e6:0.0} us"),
        _ => Text($"{seconds * 1e6:0.00} us"),
    };

    internal static string Percent(double percent) => percent >= 9.95 ? Text($"{percent:0}") : Text($"{percent:0.0}");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
