using System.Xml.Linq;

namespace RawDiffusion.Verification.Bench.Output;

/// <summary>Bars of rows that were timed: in percent of what limits each, with the rate and the time beside it.</summary>
internal static class BarPlot
{
    private const double Width = 760, RowHeight = 22, BarHeight = 14, Names = 190, Values = 210, Top = 20;

    /// <param name="name">What a row is called.</param>
    /// <param name="strong">Whether its name is set in bold.</param>
    public static XElement Draw(BenchReport report, string description, IReadOnlyList<BenchRow> rows, Func<BenchRow, string> name, Func<BenchRow, bool> strong)
    {
        double height = Top + RowHeight * rows.Count + 8, room = Width - Names - Values;
        double Length(BenchRow row) => report.Peaks?.Percent(row) ?? 0;
        double scale = room / Math.Max(100, rows.Max(Length));
        var content = new List<object>();
        foreach (int percent in (int[])[0, 25, 50, 75, 100])
        {
            content.Add(Svg.Line(Names + percent * scale, Top - 4, Names + percent * scale, height - 6, percent == 0 ? "axis" : "grid"));
            content.Add(Svg.Text(Names + percent * scale, Top - 8, $"{percent}%", "tick", "middle"));
        }
        for (int i = 0; i < rows.Count; i++)
        {
            var row = rows[i];
            double y = Top + RowHeight * i, middle = y + RowHeight / 2 + 4;
            content.Add(Svg.Text(Names - 8, middle, name(row), strong(row) ? "rowname strong" : "rowname", "end"));
            if (row.Times is not { } times)
            {
                content.Add(Svg.Text(Names + 6, middle, row.Outcome switch { BenchOutcome.Wrong => "wrong result: not timed", BenchOutcome.Failed => "failed", _ => "not for this shape or device" }, "absent"));
                continue;
            }
            string style = row.Variant == BenchRow.Cublas ? "theirs" : "ours";
            content.Add(Svg.Rectangle(Names, y + (RowHeight - BarHeight) / 2, Math.Max(1.5, Length(row) * scale), BarHeight, $"{row.Precision} {style}", RooflinePlot.Tip(report, row)));
            // The percentages of a quick repetition and of a slow one.
            double At(double seconds) => Names + Math.Min(room, Length(row) * times.Median / seconds * scale);
            content.Add(Svg.Line(At(times.P80), y + RowHeight / 2, At(times.P20), y + RowHeight / 2, "whisker"));
            content.Add(Svg.Text(Width - Values + 10, middle, Value(report, row), "value"));
        }
        return Svg.Picture(Width, height, description, [.. content]);
    }

    private static string Value(BenchReport report, BenchRow row) =>
        (row.TeraflopsPerSecond is { } rate ? $"{BenchMetric.Text(rate)} TFLOP/s" : $"{BenchMetric.Text(row.GigabytesPerSecond!.Value)} GB/s")
        + (report.Peaks?.Percent(row) is { } percent ? $" · {BenchTableText.Percent(percent)}%" : "") + $" · {BenchTableText.Seconds(row.Times!.Median)}";
}
