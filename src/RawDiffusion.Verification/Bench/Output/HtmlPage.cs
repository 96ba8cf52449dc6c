using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace RawDiffusion.Verification.Bench.Output;

/// <summary>A report as one page that needs nothing else: pictures and styles lie in it, and it follows the reader's choice of light or dark.</summary>
public static class HtmlPage
{
    /// <summary>
    /// Blue, green and orange as in the palette of Okabe and Ito, which those who see red and green alike can tell apart; darker on
    /// white, lighter on black.
    /// </summary>
    private const string Style = """
        :root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --fp32: #0b62a8; --tf32: #00785a; --bf16: #b04a00; --theirs: #8a929b; --bad: #b3261e; }
        @media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e6e9ed; --soft: #9aa4af; --line: #343b43; --fp32: #5cb0ef; --tf32: #35c69c; --bf16: #f2913d; --theirs: #7b858f; --bad: #ff8a80; } }
        body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1.2rem; }
        h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-bottom: 1px solid var(--line); } h3 { font-size: 1.02rem; margin: 1.6rem 0 0.4rem; }
        dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.1rem 1rem; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
        .scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.86rem; font-variant-numeric: tabular-nums; }
        th, td { padding: 0.18rem 0.6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; } th:nth-child(-n+4), td:nth-child(-n+4) { text-align: left; } td.bad { color: var(--bad); text-align: left; white-space: normal; min-width: 20rem; }
        p.note, figcaption, li small { color: var(--soft); } figure { margin: 0.6rem 0 1.2rem; } svg { max-width: 100%; height: auto; } .wide svg { max-width: none; } li { margin: 0.25rem 0; }
        svg text { font: 11px system-ui, sans-serif; fill: var(--ink); } .label, .rooflabel { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; } .tick, .rooflabel, .absent { fill: var(--soft) !important; } .strong { font-weight: 700 !important; } .name { fill: var(--soft) !important; }
        .grid { stroke: var(--line); } .axis { stroke: var(--soft); } .leader { stroke: var(--soft); stroke-width: 0.7; } .roof { stroke: var(--soft); stroke-width: 1.6; fill: none; }
        .fp32 { fill: var(--fp32); } .tf32 { fill: var(--tf32); } .bf16 { fill: var(--bf16); } .theirs { fill: var(--theirs); } .whisker { stroke: var(--ink); stroke-width: 1.2; } .hollow { fill: var(--paper); stroke-width: 1.8; } .hollow.fp32 { stroke: var(--fp32); } .hollow.tf32 { stroke: var(--tf32); } .hollow.bf16 { stroke: var(--bf16); } .faint { opacity: 0.45; }
        .roof.fp32 { stroke: var(--fp32); } .roof.tf32 { stroke: var(--tf32); } .roof.bf16 { stroke: var(--bf16); } .entry { white-space: nowrap; } .key { display: inline-block; width: 0.8em; height: 0.8em; margin: 0 0.3em 0 1em; } .key.fp32 { background: var(--fp32); } .key.tf32 { background: var(--tf32); } .key.bf16 { background: var(--bf16); } .key.theirs { background: var(--theirs); }
        """;

    public static string Write(BenchReport report)
    {
        var body = new XElement("body", Head(report));
        if (!report.IsCounted)
            body.Add(Rooflines(report), Bandwidths(report));
        body.Add(Ladders(report), Table(report));
        var page = new XElement("html", new XAttribute("lang", "en"),
            new XElement("head",
                new XElement("meta", new XAttribute("charset", "utf-8")),
                new XElement("meta", new XAttribute("name", "viewport"), new XAttribute("content", "width=device-width, initial-scale=1")),
                new XElement("title", "rawdiffusion bench"), new XElement("style", Style)),
            body);
        var text = new StringBuilder("<!DOCTYPE html>\n");
        using (var writer = XmlWriter.Create(text, new XmlWriterSettings { OmitXmlDeclaration = true, NewLineChars = "\n" }))
            page.Save(writer);
        return text.Append('\n').ToString();
    }

    private static IEnumerable<XElement> Head(BenchReport report)
    {
        yield return new XElement("h1", "rawdiffusion bench");
        yield return List(report.Facts.Select(fact => (fact.Name, fact.Value)));
        if (report.Peaks is not null)
        {
            yield return new XElement("h2", "Peaks, measured in this run");
            yield return List(BenchTableText.Peaks(report));
        }
        foreach (string remark in report.Remarks)
            yield return new XElement("p", remark);
        yield return new XElement("h2", "What the numbers mean");
        yield return List(MarkdownPage.Legend(report));
    }

    private static IEnumerable<XElement> Rooflines(BenchReport report)
    {
        bool begun = false;
        foreach (string operation in report.Rows.Select(row => row.Operation).Distinct())
        {
            if (RooflinePlot.Draw(report, operation) is not { } picture)
                continue;
            if (!begun)
            {
                yield return new XElement("h2", "Rooflines");
                yield return new XElement("p", Svg.Class("note"),
                    "How many operations a second over how many there are for each byte that must be moved. The slope is the bandwidth of a copy, the roofs are multiply-adds in registers and mma.sync, all measured in this run. "
                    + "Labelled: the fastest of ours at each shape and precision; faint: other rungs; hollow: cuBLAS. "
                    + "A point above the slope has found bytes in a cache. One above its roof needs fewer operations than the definition (Winograd's convolution), or has faster instructions than mma.sync (cuBLAS from Hopper on).",
                    Key(report.Rows.Where(row => row.TeraflopsPerSecond is not null)));
            }
            begun = true;
            yield return new XElement("h3", Title(operation));
            yield return new XElement("figure", picture);
        }
    }

    private static IEnumerable<XElement> Bandwidths(BenchReport report)
    {
        BenchRow[] rows = [.. report.Rows.Where(row => row.Flops == 0 && row.What is null)];
        if (rows.Length == 0)
            yield break;
        yield return new XElement("h2", "Limited by the memory");
        yield return new XElement("p", Svg.Class("note"), "Bytes that must be moved, each once, in percent of the bandwidth of a copy. The thin line spans the 20th and the 80th percentile of the repetitions.", Key(rows));
        foreach (var group in rows.GroupBy(row => row.Operation))
        {
            yield return new XElement("h3", Title(group.Key));
            yield return new XElement("figure", BarPlot.Draw(report, $"Bandwidth of {group.Key}", [.. group], row => $"{row.Shape} {row.Precision}", _ => false));
        }
    }

    private static IEnumerable<XElement> Ladders(BenchReport report)
    {
        bool begun = false;
        var ladders = BenchLadder.Of(report);
        foreach (var ladder in ladders)
        {
            if (!begun)
            {
                yield return new XElement("h2", "Ladders");
                yield return new XElement("p", Svg.Class("note"), report.IsCounted
                    ? "Each rung changes one thing; the counters show what it gained and what it paid. Every column has a scale of its own."
                    : "Percent of the limit that the peaks set: the arithmetic of the precision, or the bytes where they take longer. The thin line spans the 20th and the 80th percentile of the repetitions.",
                    Key(ladders.SelectMany(each => each.Rows)));
            }
            begun = true;
            yield return new XElement("h3", ladder.Title);
            yield return report.IsCounted
                ? new XElement("figure", Svg.Class("scroll wide"), CounterPlot.Draw($"Counters of {ladder.Title}", ladder.Rows))
                : new XElement("figure", BarPlot.Draw(report, $"Ladder of {ladder.Title}", ladder.Rows, row => row.Label, row => row.Variant == BenchRow.Chosen));
            if (ladder.Choices.Any())
            {
                yield return new XElement("p", Svg.Class("note"), "What the device chooses by itself here: ",
                    string.Join("; ", ladder.Choices.Select(each => $"in {each.Row.Precision} {each.Taken}")), ".");
            }
            // The sentences are the same for every shape: they stand below the first, with what the numbers of that one say.
            if (ladder != ladders.First(other => other.Operation == ladder.Operation))
                continue;
            yield return new XElement("ol", ladder.Explained.Where(each => each.Row is { What: not null, Variant: not BenchRow.Cublas }).Select(each =>
                new XElement("li", new XElement("b", each.Row.Variant), $" ({each.Row.Precision}): {each.Row.What}",
                    each.Change.Length == 0 ? null : new XElement("small", $" {char.ToUpperInvariant(each.Change[0])}{each.Change[1..]}."))));
        }
    }

    private static IEnumerable<XElement> Table(BenchReport report)
    {
        yield return new XElement("h2", "All rows");
        yield return new XElement("div", Svg.Class("scroll"), new XElement("table",
            new XElement("thead", new XElement("tr", BenchTableText.Columns(report).Select(column => new XElement("th", column)))),
            new XElement("tbody", report.Rows.Select(row => new XElement("tr", Cells(report, row))))));
    }

    private static IEnumerable<XElement> Cells(BenchReport report, BenchRow row)
    {
        var cells = BenchTableText.Cells(report, row);
        for (int i = 0; i < cells.Count; i++)
            yield return new XElement("td", i == cells.Count - 1 && cells[i].Length > 0 ? Svg.Class("bad") : null, cells[i]);
    }

    private static XElement List(IEnumerable<(string Name, string Value)> facts) =>
        new("dl", facts.SelectMany(fact => (XElement[])[new("dt", fact.Name), new("dd", fact.Value)]));

    private static IEnumerable<XElement> Key(IEnumerable<BenchRow> rows)
    {
        BenchRow[] shown = [.. rows];
        foreach (string precision in shown.Select(row => row.Precision).Distinct())
            yield return Entry(precision, precision);
        if (shown.Any(row => row.Variant == BenchRow.Cublas))
            yield return Entry("theirs", "cuBLAS");

        // The line may break between two entries, not between a colour and its name.
        static XElement Entry(string style, string name) => new("span", Svg.Class("entry"), new XElement("span", Svg.Class($"key {style}"), ""), name);
    }

    private static string Title(string operation) =>
        BenchTable.All.FirstOrDefault(each => each.Name == operation) is { } known ? $"{operation}: {known.What}" : operation;
}
