using System.Xml.Linq;

namespace RawDiffusion.Verification.Bench.Output;

/// <summary>
/// A roofline (Williams, Waterman and Patterson 2009): operations a second over operations per byte, both logarithmic. A point can lie at
/// most on the slope of the memory or on the roof of its arithmetic, both measured in the same run. What lies above the slope has found
/// bytes in a cache.
/// </summary>
internal static class RooflinePlot
{
    private const double Width = 760, Height = 430, Left = 62, Right = 140, Top = 22, Bottom = 46, ListWidth = 230, LineHeight = 16, LabelHeight = 13;

    /// <summary>More points than these are labelled by numbers, with a list beside the picture: whole shapes would cover each other.</summary>
    private const int MostShapes = 8;

    private static readonly string[] s_precisions = ["fp32", "tf32", "bf16"];

    /// <summary>All rows of one operation. The fastest of each shape and precision is labelled by the shape, the others say what they are to a pointer.</summary>
    /// <returns>Null where there is nothing to draw: no peaks, or no arithmetic that was timed.</returns>
    public static XElement? Draw(BenchReport report, string operation)
    {
        BenchRow[] rows = [.. report.Rows.Where(row => row.Operation == operation && row.TeraflopsPerSecond is not null)];
        if (report.Peaks is not { } peaks || rows.Length == 0)
            return null;
        string[] precisions = [.. s_precisions.Where(precision => rows.Any(row => row.Precision == precision))];
        double top = precisions.Max(peaks.Arithmetic), bottom = rows.Min(row => row.TeraflopsPerSecond!.Value);
        double ridge = top * 1e3 / peaks.Copy;
        var x = new LogAxis(0.6 * Math.Min(ridge / 2, rows.Min(row => row.Intensity)), 2.5 * Math.Max(ridge, rows.Max(row => row.Intensity)), Left, Width - Right);
        var y = new LogAxis(Math.Min(0.5 * bottom, top / 30), 2 * Math.Max(top, rows.Max(row => row.TeraflopsPerSecond!.Value)), Height - Bottom, Top);

        var content = new List<object>(Frame(x, y));
        var labels = new LabelPlaces(Left, Top, Width - Right, Height - Bottom);
        content.AddRange(Roofs(peaks, precisions, x, y, labels));
        var best = rows.Where(row => row.Variant != BenchRow.Cublas).GroupBy(row => (row.Shape, row.Precision)).Select(group => group.MinBy(row => row.Times!.Median)!).ToHashSet();
        foreach (var row in rows.OrderBy(best.Contains))
        {
            double px = x.At(row.Intensity), py = y.At(row.TeraflopsPerSecond!.Value);
            bool isBest = best.Contains(row), isOurs = row.Variant != BenchRow.Cublas;
            content.Add(Svg.Marker(Array.IndexOf(s_precisions, row.Precision), px, py, isBest ? 5 : isOurs ? 3 : 4, $"{row.Precision} {(isOurs ? "ours" : "hollow")}{(isBest || !isOurs ? "" : " faint")}", Tip(report, row)));
            labels.Avoid(px, py, 5);
        }
        string[] shapes = [.. rows.Select(row => row.Shape).Distinct()];
        bool numbered = best.Count > MostShapes;
        string Label(BenchRow row) => numbered ? $"{Array.IndexOf(shapes, row.Shape) + 1}" : precisions.Length > 1 ? $"{row.Shape} {row.Precision}" : row.Shape;
        foreach (var row in rows.Where(best.Contains).OrderByDescending(row => row.TeraflopsPerSecond))
            content.AddRange(labels.Place(x.At(row.Intensity), y.At(row.TeraflopsPerSecond!.Value), Label(row)));
        if (!numbered)
            return Svg.Picture(Width, Height, $"Roofline of {operation}", [.. content]);
        for (int i = 0; i < shapes.Length; i++)
        {
            content.Add(Svg.Text(Width + 22, Top + LineHeight * (i + 0.7), $"{i + 1}", "label", "end"));
            content.Add(Svg.Text(Width + 30, Top + LineHeight * (i + 0.7), shapes[i], "label"));
        }
        return Svg.Picture(Width + ListWidth, Math.Max(Height, Top + LineHeight * (shapes.Length + 1)), $"Roofline of {operation}", [.. content]);
    }

    public static string Tip(BenchReport report, BenchRow row) =>
        $"{row.Operation} {row.Shape}, {row.Variant}, {row.Precision}: {BenchTableText.Seconds(row.Times!.Median)}"
        + (row.TeraflopsPerSecond is { } rate ? $", {BenchMetric.Text(rate)} TFLOP/s" : $", {BenchMetric.Text(row.GigabytesPerSecond!.Value)} GB/s")
        + (report.Peaks?.Percent(row) is { } percent ? $", {BenchTableText.Percent(percent)}% of the limit" : "");

    private static IEnumerable<object> Frame(LogAxis x, LogAxis y)
    {
        foreach (var (value, text) in x.Ticks())
        {
            yield return Svg.Line(x.At(value), Top, x.At(value), Height - Bottom, "grid");
            yield return Svg.Text(x.At(value), Height - Bottom + 16, text, "tick", "middle");
        }
        foreach (var (value, text) in y.Ticks())
        {
            yield return Svg.Line(Left, y.At(value), Width - Right, y.At(value), "grid");
            yield return Svg.Text(Left - 6, y.At(value) + 4, text, "tick", "end");
        }
        yield return Svg.Line(Left, Height - Bottom, Width - Right, Height - Bottom, "axis");
        yield return Svg.Line(Left, Top, Left, Height - Bottom, "axis");
        yield return Svg.Text((Left + Width - Right) / 2, Height - 10, "operations per byte that must be moved", "name", "middle");
        yield return Svg.Text(14, (Top + Height - Bottom) / 2, "TFLOP/s", "name", "middle", -90);
    }

    private static IEnumerable<object> Roofs(BenchPeaks peaks, string[] precisions, LogAxis x, LogAxis y, LabelPlaces labels)
    {
        double slopeEnd = Math.Min(x.High, precisions.Max(peaks.Arithmetic) * 1e3 / peaks.Copy);
        double slopeStart = Math.Max(x.Low, y.Low * 1e3 / peaks.Copy);
        if (slopeStart < slopeEnd)
        {
            double x1 = x.At(slopeStart), y1 = y.At(slopeStart * peaks.Copy / 1e3), x2 = x.At(slopeEnd), y2 = y.At(slopeEnd * peaks.Copy / 1e3);
            yield return Svg.Line(x1, y1, x2, y2, "roof");
            string text = $"copy {BenchMetric.Text(peaks.Copy)} GB/s";
            double angle = Math.Atan2(y2 - y1, x2 - x1), half = Svg.LetterWidth * text.Length / 2;
            double middleX = x1 + 0.4 * (x2 - x1), middleY = y1 + 0.4 * (y2 - y1) - 7;
            for (double along = -half; along <= half; along += 6)
                labels.Avoid(middleX + along * Math.Cos(angle), middleY + along * Math.Sin(angle), 7);
            yield return Svg.Text(middleX, middleY, text, "rooflabel", "middle", angle * 180 / Math.PI);
        }
        // Two precisions with the same units share a roof. Names stand behind the ends, from the lowest up, apart from each other.
        double free = double.PositiveInfinity;
        foreach (var roof in precisions.GroupBy(peaks.Arithmetic).OrderBy(roof => roof.Key))
        {
            double start = Math.Max(x.Low, roof.Key * 1e3 / peaks.Copy);
            yield return Svg.Line(x.At(start), y.At(roof.Key), Width - Right, y.At(roof.Key), $"roof {roof.First()}");
            double middle = Math.Min(y.At(roof.Key) + 4, free);
            free = middle - LabelHeight;
            yield return Svg.Text(Width - Right + 5, middle, $"{string.Join(", ", roof)}: {BenchMetric.Text(roof.Key)}{(roof.Count() == 1 ? " TFLOP/s" : "")}", "rooflabel");
        }
    }
}
