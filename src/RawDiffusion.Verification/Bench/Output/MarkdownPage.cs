using System.Text;

namespace RawDiffusion.Verification.Bench.Output;

/// <summary>A report as markdown.</summary>
public static class MarkdownPage
{
    public static string Write(BenchReport report)
    {
        var text = new StringBuilder("# rawdiffusion bench\n\n");
        foreach (var fact in report.Facts)
            text.Append($"- {fact.Name}: {fact.Value}\n");
        foreach (var (name, value) in BenchTableText.Peaks(report))
            text.Append($"- peak, {name}: {value}\n");
        foreach (string remark in report.Remarks)
            text.Append($"- {remark}\n");
        text.Append('\n');
        Row(text, BenchTableText.Columns(report));
        Row(text, [.. BenchTableText.Columns(report).Select(_ => "---")]);
        foreach (var row in report.Rows)
            Row(text, BenchTableText.Cells(report, row));
        text.Append('\n');
        foreach (var (name, what) in Legend(report))
            text.Append($"- {name}: {what}\n");
        foreach (var ladder in BenchLadder.Of(report))
        {
            text.Append($"\n## {ladder.Title}\n\n");
            foreach (var (row, change) in ladder.Explained.Where(each => each.Row.What is not null))
                text.Append($"- **{row.Variant}**: {row.What}{(change.Length == 0 ? "" : $" ({change})")}\n");
            foreach (var (row, taken) in ladder.Choices)
                text.Append($"- {row.Label}: {taken}\n");
        }
        return text.ToString();
    }

    /// <summary>What the columns mean.</summary>
    public static IReadOnlyList<(string Name, string What)> Legend(BenchReport report)
    {
        if (report.IsCounted)
            return [.. BenchMetric.All.Select(metric => (metric.Name, metric.What))];
        var legend = new List<(string, string)>
        {
            ("GB/s", "10^9 bytes a second, of those that must be moved at least, each once"),
            ("TFLOP/s", "10^12 operations a second, of those that the definition needs; an algorithm that gets by with fewer (Winograd's convolution) can exceed the peak"),
            ("% copy, % peak", "of the peaks measured in this run, before the rows and after them, the better of the two"),
            ("limit, % of limit", "the least time that those peaks allow, by bytes or by arithmetic, whichever is longer, in percent of the median"),
        };
        if (report.HasCublas)
            legend.Add(("% of cuBLAS", "its speed at the same product and precision; from Hopper on it multiplies by wgmma, which is faster than the mma.sync of the peaks"));
        return legend;
    }

    private static void Row(StringBuilder text, IReadOnlyList<string> cells) =>
        text.Append("| ").AppendJoin(" | ", cells.Select(cell => cell.ReplaceLineEndings(" ").Replace("|", "\\|", StringComparison.Ordinal))).Append(" |\n");
}
