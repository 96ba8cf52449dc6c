using System.Xml.Linq;
using RawDiffusion.Verification.Bench;
using RawDiffusion.Verification.Bench.Output;

namespace RawDiffusion.Tests;

/// <summary>The page of a report is one file that holds everything.</summary>
public class HtmlPageTests
{
    /// <summary>The page as XML: whatever a name or a message holds, it is well formed.</summary>
    private static XElement Page(BenchReport report)
    {
        string text = HtmlPage.Write(report);
        Assert.StartsWith("<!DOCTYPE html>\n<html lang=\"en\">", text);
        return XElement.Parse(text["<!DOCTYPE html>\n".Length..]);
    }

    private static string[] Texts(XElement picture) => [.. picture.Descendants("text").Select(text => text.Value)];

    private static XElement Picture(XElement page, string name) => page.Descendants("svg").Single(svg => svg.Attribute("aria-label")!.Value == name);

    [Fact]
    public void It_needs_nothing_from_outside()
    {
        foreach (var report in (BenchReport[])[BenchOutputTests.Timed, BenchOutputTests.CountedReport])
        {
            var page = Page(report);
            Assert.DoesNotContain(page.Descendants(), element => element.Name.LocalName is "script" or "link" or "img" or "iframe");
            Assert.DoesNotContain(page.DescendantsAndSelf().Attributes(), attribute => attribute.Name.LocalName is "src" or "href");
            Assert.DoesNotContain("url(", page.Descendants("style").Single().Value);
            Assert.Contains("prefers-color-scheme: dark", page.Descendants("style").Single().Value);
        }
    }

    [Fact]
    public void The_roofline_has_the_measured_peaks_and_a_label_for_each_case()
    {
        var roofline = Picture(Page(BenchOutputTests.Timed), "Roofline of matmul");
        string[] texts = Texts(roofline);
        Assert.Contains("copy 3,000 GB/s", texts);
        Assert.Contains("fp32: 50 TFLOP/s", texts);
        Assert.Contains("1024x1024x1024", texts);
        // Every timed row is a point that tells what it is: chosen, two rungs and cuBLAS; the wrong one is none.
        string[] points = [.. roofline.Descendants("title").Select(title => title.Value)];
        Assert.Equal(["naive", "tiles", "cublas", "chosen"], points.Select(point => point.Split(", ")[1]));
        Assert.Contains("matmul 1024x1024x1024, chosen, fp32: 100 us, 20 TFLOP/s, 40% of the limit", points);
    }

    /// <summary>A point on the slope or on a roof lies exactly on its line.</summary>
    [Fact]
    public void Points_lie_where_their_rates_are()
    {
        var peaks = new BenchPeaks(1000, null, null, 10, null, null, 0);
        BenchRow Row(string shape, double intensity) => new()
        {
            Operation = "matmul",
            Shape = shape,
            Variant = BenchRow.Chosen,
            Precision = "fp32",
            Flops = 1e9,
            Bytes = 1e9 / intensity,
            // As fast as the peaks allow.
            Times = new BenchTimes(Math.Max(1e9 / 10e12, 1e9 / intensity / 1000e9), 1, 1, 20),
        };
        var roofline = Picture(Page(new BenchReport { Facts = [], Peaks = peaks, Rows = [Row("a", 1), Row("b", 100)] }), "Roofline of matmul");
        double At(XElement element, string name) => double.Parse(element.Attribute(name)!.Value);
        var roofs = roofline.Descendants("line").Where(line => line.Attribute("class")!.Value.StartsWith("roof", StringComparison.Ordinal)).ToArray();
        var (slope, roof) = (roofs[0], roofs[1]);
        var points = roofline.Descendants("circle").ToArray();
        double share = (At(points[0], "cx") - At(slope, "x1")) / (At(slope, "x2") - At(slope, "x1"));
        Assert.InRange(share, 0.01, 0.99);
        Assert.Equal(At(slope, "y1") + share * (At(slope, "y2") - At(slope, "y1")), At(points[0], "cy"), 1);
        Assert.Equal(At(roof, "y1"), At(points[1], "cy"), 1);
        Assert.True(At(points[1], "cx") > At(roof, "x1"));
    }

    /// <summary>Thirty shapes would cover each other.</summary>
    [Fact]
    public void Many_points_are_numbered_and_listed_beside_the_picture()
    {
        BenchRow[] rows = [.. Enumerable.Range(1, 10).SelectMany(i => (string[])["fp32", "bf16"], (i, precision) => BenchOutputTests.Timed.Rows[0] with { Shape = $"{i}00x8x8", Precision = precision, Bytes = 1e6 * i })];
        var roofline = Picture(Page(BenchOutputTests.Timed with { Rows = rows }), "Roofline of matmul");
        var labels = roofline.Descendants("text").Where(text => text.Attribute("class")!.Value == "label").ToArray();
        for (int i = 1; i <= 10; i++)
        {
            // In the list once, and at a point in each precision; the shape itself in the list alone.
            Assert.Equal(3, labels.Count(label => label.Value == $"{i}"));
            Assert.Single(labels, label => label.Value == $"{i}00x8x8");
        }
    }

    /// <summary>Roofs close to each other have names that can be read.</summary>
    [Fact]
    public void Names_of_roofs_keep_apart()
    {
        var report = BenchOutputTests.Timed with { Peaks = new BenchPeaks(3000, null, null, 50, 50.5, 51, 0) };
        report = report with { Rows = [.. ((string[])["fp32", "tf32", "bf16"]).Select(precision => BenchOutputTests.Timed.Rows[0] with { Precision = precision })] };
        double[] heights = [.. Picture(Page(report), "Roofline of matmul").Descendants("text").Where(text => text.Value.EndsWith(" TFLOP/s") && text.Attribute("class")!.Value == "rooflabel")
            .Select(text => double.Parse(text.Attribute("y")!.Value)).Order()];
        Assert.Equal(3, heights.Length);
        Assert.All(heights.Zip(heights.Skip(1)), pair => Assert.True(pair.Second - pair.First >= 12));
    }

    [Fact]
    public void Bars_show_every_rung_and_say_why_one_is_missing()
    {
        var page = Page(BenchOutputTests.Timed);
        string[] texts = Texts(Picture(page, "Ladder of matmul 1024x1024x1024"));
        foreach (string name in (string[])["naive", "tiles", "broken", "chosen", "cublas"])
            Assert.Contains($"{name} fp32", texts);
        Assert.Contains("wrong result: not timed", texts);
        Assert.Contains("20 TFLOP/s · 40% · 100 us", texts);
        Assert.Contains("16384x256 fp32", Texts(Picture(page, "Bandwidth of softmax")));
        Assert.Contains(page.Descendants("td"), cell => cell.Value == "WRONG: element 3 is 1, expected 2");
        Assert.Equal(BenchOutputTests.Timed.Rows.Count, page.Descendants("tbody").Single().Elements("tr").Count());
    }

    [Fact]
    public void A_counted_report_explains_each_rung_by_its_counters()
    {
        var page = Page(BenchOutputTests.CountedReport);
        string[] texts = Texts(Picture(page, "Counters of matmul 1024x1024x1024"));
        Assert.Superset(new HashSet<string>(["naive", "coalesced", "sectors/request", "32", "4"]), texts.ToHashSet());
        string[] sentences = [.. page.Descendants("ol").Single().Elements("li").Select(item => item.Value)];
        Assert.Equal("naive (fp32): what <naive> does", sentences[0]);
        Assert.StartsWith("coalesced (fp32): what <coalesced> does Against naive it gains sectors/request 32 to 4", sentences[1]);
        Assert.DoesNotContain(page.Descendants("svg"), svg => svg.Attribute("aria-label")!.Value.StartsWith("Roofline", StringComparison.Ordinal));
    }
}
