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
        text.Append($"\n{Legend(report)}\n");
        foreach (var ladder in BenchLadder.Of(report))
        {
            text.Append($"\n## {ladder.Title}\n\n");
            foreach (var (row, change) in ladder.Explained.Where(each => each.Row.What is not null))
                text.Append($"- **{row.Variant}**: {row.What}{(change.Length == 0 ? "" : $" ({change})")}\n");
        }
        return text.ToString();
    }

    /// <summary>What the columns mean.</summary>
    public static string Legend(BenchReport report) => report.IsCounted
        ? "Counts of the emulator, not times. " + string.Join(". ", BenchMetric.All.Select(metric => $"{metric.Name}: {metric.What}")) + "."
        : "GB/s: bytes that must be moved at least, each once. TFLOP/s: operations that the definition needs. % copy, % peak: of the peaks measured in this run. "
            + "% of limit: the least time that those peaks allow, by bytes or by arithmetic, whichever is longer, in percent of the median.";

    private static void Row(StringBuilder text, IReadOnlyList<string> cells) =>
        text.Append("| ").AppendJoin(" | ", cells.Select(cell => cell.ReplaceLineEndings(" ").Replace("|", "\\|", StringComparison.Ordinal))).Append(" |\n");
}
