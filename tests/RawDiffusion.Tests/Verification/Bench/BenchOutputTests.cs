using System.Text.Json;
using RawDiffusion.Verification.Bench;
using RawDiffusion.Verification.Bench.Output;

namespace RawDiffusion.Tests;

/// <summary>Reports as text: nothing is lost, and figures are the ones that can be computed by hand.</summary>
public class BenchOutputTests
{
    private static BenchRow Row(string variant, double seconds, string? what = null) => new()
    {
        Operation = "matmul",
        Shape = "1024x1024x1024",
        Variant = variant,
        Precision = "fp32",
        What = what,
        Flops = 2e9,
        Bytes = 12e6,
        Work = 1e9,
        Note = "checked against cpu",
        Times = new BenchTimes(seconds, 0.9 * seconds, 1.1 * seconds, 33),
    };

    private static BenchRow Counted(string variant, BenchCounters counters) => Row(variant, 1) with
    {
        Times = null,
        Outcome = BenchOutcome.Counted,
        Counters = counters,
        What = $"what <{variant}> does",
    };

    internal static BenchReport Timed { get; } = new()
    {
        Facts = [new("device", "a \"GPU\" <made up> & cheap"), new("commit", "0123456")],
        Peaks = new BenchPeaks(3000, 2900, 3000, 50, null, 400, 2.5e-6),
        Rows =
        [
            Row("chosen", 1e-4), Row("naive", 1e-3, "one thread for each element"), Row("tiles", 2e-4, "tiles in shared memory, \"reused\""),
            Row("broken", 1, "never timed") with { Outcome = BenchOutcome.Wrong, Times = null, Note = "element 3 is 1, expected 2" },
            Row("cublas", 5e-5, "NVIDIA's library"),
            Row("chosen", 1e-5) with { Operation = "softmax", Shape = "16384x256", Flops = 0, Bytes = 24e6 },
        ],
        Remarks = ["a remark"],
    };

    internal static BenchReport CountedReport { get; } = new()
    {
        Facts = [new("device", "emulated")],
        Rows =
        [
            Counted("naive", new BenchCounters { Kernels = ["k"], Launches = 1, Warps = 8, WarpInstructions = 100, LaneInstructions = 3200, GlobalRequests = 10, GlobalSectors = 320, GlobalBytes = 1280, Flops = 2_000_000_000 }),
            Counted("coalesced", new BenchCounters { Kernels = ["k2"], Launches = 1, Warps = 8, WarpInstructions = 100, LaneInstructions = 3200, GlobalRequests = 10, GlobalSectors = 40, GlobalBytes = 1280, Flops = 2_000_000_000 }),
        ],
    };

    [Fact]
    public void Json_holds_the_whole_report()
    {
        foreach (var report in (BenchReport[])[Timed, CountedReport])
        {
            var read = BenchReport.FromJson(report.ToJson());
            Assert.Equal(report.Facts, read.Facts);
            Assert.Equal(report.Peaks, read.Peaks);
            Assert.Equal(report.Remarks, read.Remarks);
            Assert.Equal(report.Rows.Select(row => row with { Counters = null }), read.Rows.Select(row => row with { Counters = null }));
            Assert.Equal(report.Rows.Select(row => row.Counters?.GlobalSectors), read.Rows.Select(row => row.Counters?.GlobalSectors));
            Assert.Equal(report.ToJson(), read.ToJson());
        }
        Assert.ThrowsAny<JsonException>(() => BenchReport.FromJson("{}"));
        Assert.ThrowsAny<JsonException>(() => BenchReport.FromJson("null"));
    }

    [Fact]
    public void Rates_are_work_by_the_median_and_percent_of_what_limits()
    {
        var (row, peaks) = (Timed.Rows[0], Timed.Peaks!);
        Assert.Equal(20, row.TeraflopsPerSecond!.Value, 9);
        Assert.Equal(120, row.GigabytesPerSecond!.Value, 9);
        // 2e9 operations at 50e12 a second need 40 us, 12e6 bytes at 3e12 a second 4 us.
        Assert.False(peaks.IsMemoryBound(row));
        Assert.Equal(40, peaks.Percent(row)!.Value, 9);
        Assert.True(peaks.IsMemoryBound(Timed.Rows[5]));
        Assert.Equal(80, peaks.Percent(Timed.Rows[5])!.Value, 9);
        // Tensor cores make it 5 us; without those for tf32 the multiply-add units do it.
        Assert.Equal(5, peaks.Percent(row with { Precision = "bf16" })!.Value, 9);
        Assert.Equal(40, peaks.Percent(row with { Precision = "tf32" })!.Value, 9);
        Assert.Equal(["matmul", "1024x1024x1024", "chosen", "fp32", "100 us", "90.0 us", "110 us", "33", "120", "4.0", "20", "40", "arithmetic", "40", ""],
            BenchTableText.Cells(Timed, row));
    }

    [Fact]
    public void Markdown_has_every_row_and_explains_every_rung()
    {
        string text = MarkdownPage.Write(Timed);
        string[] lines = text.Split('\n');
        Assert.Equal(Timed.Rows.Count, lines.Count(line => line.StartsWith("| matmul", StringComparison.Ordinal) || line.StartsWith("| softmax", StringComparison.Ordinal)));
        Assert.Contains("- commit: 0123456", lines);
        Assert.Contains("- a remark", lines);
        Assert.Contains(lines, line => line.Contains("WRONG: element 3 is 1, expected 2"));
        Assert.Contains("## matmul 1024x1024x1024", lines);
        Assert.Contains("- **tiles**: tiles in shared memory, \"reused\" (5.00 times the speed of naive)", lines);
    }

    [Fact]
    public void A_rung_of_an_emulated_device_is_explained_by_what_changed_in_its_counters()
    {
        var ladder = Assert.Single(BenchLadder.Of(CountedReport));
        var explained = ladder.Explained.ToArray();
        Assert.Equal("", explained[0].Change);
        Assert.Contains("sectors/request 32 to 4", explained[1].Change);
        Assert.Contains("sector use 0.13 to 1", explained[1].Change);
        Assert.DoesNotContain("instr/work", explained[1].Change);
    }

    /// <summary>A precision is a change of its own: rungs are compared within one, and the first of each says with what it is compared.</summary>
    [Fact]
    public void Rungs_are_compared_within_a_precision()
    {
        var report = Timed with
        {
            Rows =
            [
                Row("naive", 8e-3, "one"), Row("tensor-tf32", 4e-3, "two") with { Precision = "tf32" }, Row("tiles", 2e-3, "three"),
                Row("strips-tf32", 1e-3, "four") with { Precision = "tf32" },
            ],
        };
        Assert.Equal(
            ["", "2.00 times the speed of naive in fp32", "4.00 times the speed of naive", "4.00 times the speed of tensor-tf32"],
            Assert.Single(BenchLadder.Of(report)).Explained.Select(row => row.Change));
    }

    [Fact]
    public void Csv_quotes_what_needs_it_and_has_a_column_for_every_value()
    {
        string[] lines = CsvTable.Write(Timed).TrimEnd('\n').Split('\n');
        Assert.Equal(Timed.Rows.Count + 1, lines.Length);
        int columns = lines[0].Split(',').Length;
        Assert.Equal(columns, lines[1].Split(',').Length);
        Assert.StartsWith("matmul,1024x1024x1024,chosen,fp32,Timed,2000000000,12000000,0.0001,", lines[1]);
        Assert.EndsWith(",\"element 3 is 1, expected 2\"", lines[4]);
    }
}
