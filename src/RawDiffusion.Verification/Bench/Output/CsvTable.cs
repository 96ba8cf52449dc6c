using System.Globalization;
using System.Text;

namespace RawDiffusion.Verification.Bench.Output;

/// <summary>A report as comma-separated values with plain numbers: seconds, bytes, operations, percent.</summary>
public static class CsvTable
{
    private static readonly string[] s_begin = ["operation", "shape", "variant", "precision", "outcome", "flops", "bytes"];

    private static readonly string[] s_times = ["median_s", "p20_s", "p80_s", "repetitions", "gb_per_s", "tflop_per_s", "percent_of_limit", "percent_of_cublas"];

    public static string Write(BenchReport report)
    {
        var text = new StringBuilder();
        Row(text, [.. s_begin, .. s_times, .. BenchMetric.All.Select(metric => metric.Name), "note"]);
        foreach (var row in report.Rows)
        {
            Row(text,
            [
                row.Operation, row.Shape, row.Variant, row.Precision, row.Outcome.ToString(), Number(row.Flops), Number(row.Bytes),
                Number(row.Times?.Median), Number(row.Times?.P20), Number(row.Times?.P80), Number(row.Times?.Repetitions),
                Number(row.GigabytesPerSecond), Number(row.TeraflopsPerSecond), Number(report.Peaks?.Percent(row)), Number(report.PercentOfCublas(row)),
                .. BenchMetric.All.Select(metric => Number(row.Counters is { } c ? metric.Value(row, c) : null)), row.Note,
            ]);
        }
        return text.ToString();
    }

    private static string Number(double? value) => value?.ToString("R", CultureInfo.InvariantCulture) ?? "";

    private static void Row(StringBuilder text, IEnumerable<string> cells) => text.AppendJoin(',', cells.Select(Quoted)).Append('\n');

    /// <summary>RFC 4180.</summary>
    private static string Quoted(string cell) =>
        cell.AsSpan().IndexOfAny("\",\r\n") < 0 ? cell : $"\"{cell.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
}
