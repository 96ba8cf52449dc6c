using System.Xml.Linq;

namespace RawDiffusion.Verification.Bench.Output;

/// <summary>Bars of rows that were counted: a column of bars for each metric, each with its own scale.</summary>
internal static class CounterPlot
{
    private const double Names = 170, Column = 118, RowHeight = 22, BarHeight = 14, Top = 52, Bar = 64;

    public static XElement Draw(string description, IReadOnlyList<BenchRow> rows)
    {
        BenchMetric[] metrics = [.. BenchMetric.All.Where(metric => rows.Any(row => row.Counters is { } c && metric.Value(row, c) != 0))];
        double width = Names + Column * metrics.Length + 10, height = Top + RowHeight * rows.Count + 8;
        var content = new List<object>();
        for (int m = 0; m < metrics.Length; m++)
        {
            double x = Names + Column * m;
            content.Add(Svg.Text(x, Top - 24, metrics[m].Name, "label"));
            content.Add(Svg.Text(x, Top - 11, metrics[m].Direction, "tick"));
            content.Add(Svg.Line(x, Top - 4, x, height - 6, "axis"));
        }
        for (int i = 0; i < rows.Count; i++)
        {
            var row = rows[i];
            double y = Top + RowHeight * i, middle = y + RowHeight / 2 + 4;
            content.Add(Svg.Text(Names - 8, middle, row.Variant == BenchRow.Chosen ? $"{row.Variant} {row.Precision}" : row.Variant, row.Variant == BenchRow.Chosen ? "rowname strong" : "rowname", "end"));
            if (row.Counters is not { } counters)
            {
                content.Add(Svg.Text(Names + 6, middle, row.Outcome switch { BenchOutcome.Wrong => "wrong result: not counted", BenchOutcome.Failed => "failed", _ => "not for this shape or device" }, "absent"));
                continue;
            }
            for (int m = 0; m < metrics.Length; m++)
            {
                double value = metrics[m].Value(row, counters);
                double most = rows.Max(each => each.Counters is { } c ? metrics[m].Value(each, c) : 0), length = Bar * value / most;
                content.Add(Svg.Rectangle(Names + Column * m, y + (RowHeight - BarHeight) / 2, Math.Max(value == 0 ? 0 : 1.5, length), BarHeight, $"{row.Precision} ours",
                    $"{row.Variant}: {metrics[m].Name} {BenchMetric.Text(value)}"));
                content.Add(Svg.Text(Names + Column * m + length + 4, middle, BenchMetric.Text(value), "value"));
            }
        }
        return Svg.Picture(width, height, description, [.. content]);
    }
}
