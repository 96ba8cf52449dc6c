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
        Assert.Equal(["matmul", "1024x1024x1024", "chosen", "fp32", "100 us", "90.0 us", "110 us", "33", "120", "4.0", "20", "40", "arithmetic", "40", "50", ""],
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
        // 320 and 40 sectors of 32 bytes for the same accesses of 128 bytes, and 2e9 operations.
        Assert.Equal(
            "against naive it gains sectors/request 32 to 4, sector use 0.125 to 1, flop/byte 195,313 to 1,562,500, moved MB 0.0102 to 0.00128",
            explained[1].Change);
    }

    /// <summary>A number that went up is good or bad according to what it counts.</summary>
    [Fact]
    public void What_a_rung_gains_is_told_from_what_it_pays()
    {
        var before = new BenchCounters { LaneInstructions = 8_000_000_000, WarpInstructions = 250_000_000, GlobalRequests = 100, GlobalSectors = 400, GlobalBytes = 12_800, SharedRequests = 10, SharedPasses = 10, SharedBytes = 1280 };
        // Half the instructions, bought with conflicts; four times as wide accesses touch four times as many sectors, which is neither.
        var after = before with { LaneInstructions = 4_000_000_000, WarpInstructions = 125_000_000, GlobalRequests = 25, SharedPasses = 30, BankConflicts = 20 };
        Assert.Equal("gains instr/work 8 to 4; costs bank conflicts 0 to 2; also sectors/request 4 to 16, passes/request 1 to 3", BenchMetric.Compare(Counted("a", before), Counted("b", after)));
        Assert.Equal("gains in no count (time spent waiting is not counted; only a GPU's clock shows it)", BenchMetric.Compare(Counted("a", before), Counted("b", before)));
        // Lanes that share a sector use it more than fully: going back to 1 loses nothing.
        var shared = before with { GlobalBytes = 25_600 };
        Assert.Contains("also sectors/request", BenchMetric.Compare(Counted("a", shared), Counted("b", before with { GlobalSectors = 800, GlobalBytes = 25_600, GlobalRequests = 50 })));
        Assert.DoesNotContain("costs", BenchMetric.Compare(Counted("a", shared), Counted("b", before)));
    }

    [Fact]
    public void The_choice_of_the_device_is_told_by_the_rung_that_launched_the_same_kernels()
    {
        var counters = new BenchCounters { Kernels = ["k"], WarpInstructions = 7 };
        var report = CountedReport with
        {
            Rows =
            [
                Counted(BenchRow.Chosen, counters) with { What = null }, Counted("tiles", counters), Counted("naive", counters with { Kernels = ["n"] }),
                Counted(BenchRow.Chosen, counters with { Kernels = ["first", "second"] }) with { What = null, Precision = "bf16" },
            ],
        };
        Assert.Equal(["the rung tiles", "no rung of the ladder: first, second"], Assert.Single(BenchLadder.Of(report)).Choices.Select(choice => choice.Taken));
        Assert.Contains("- chosen fp32: the rung tiles\n", MarkdownPage.Write(report));
    }

    /// <summary>Three digits whatever the size.</summary>
    [Theory]
    [InlineData(0, "0")]
    [InlineData(0.2204, "0.22")]
    [InlineData(0.2246, "0.225")]
    [InlineData(0.060412, "0.0604")]
    [InlineData(1.736, "1.74")]
    [InlineData(15.95, "16")]
    [InlineData(763.4, "763")]
    [InlineData(29123, "29,123")]
    public void Numbers_have_three_digits(double value, string text) => Assert.Equal(text, BenchMetric.Text(value));

    [Fact]
    public void Speed_is_compared_with_cuBLAS_where_it_was_timed()
    {
        Assert.Equal(50, Timed.PercentOfCublas(Timed.Rows[0])!.Value, 9);
        Assert.Null(Timed.PercentOfCublas(Timed.Rows[3]));
        Assert.Null(Timed.PercentOfCublas(Timed.Rows[4]));
        Assert.Null(Timed.PercentOfCublas(Timed.Rows[0] with { Precision = "bf16" }));
        Assert.Contains("% of cuBLAS", BenchTableText.Columns(Timed));
        var without = Timed with { Rows = [.. Timed.Rows.Where(row => row.Variant != BenchRow.Cublas)] };
        Assert.DoesNotContain("% of cuBLAS", BenchTableText.Columns(without));
        Assert.All(without.Rows.Concat(Timed.Rows), row => Assert.Equal(BenchTableText.Columns(without).Count, BenchTableText.Cells(without, row).Count));
    }

    [Fact]
    public void The_better_of_two_measurements_is_the_peak()
    {
        var a = new BenchPeaks(3000, 2900, 3000, 50, null, 400, 2.5e-6);
        var b = new BenchPeaks(2000, 2950, 1900, 60, null, 390, 2e-6);
        Assert.Equal(new BenchPeaks(3000, 2950, 3000, 60, null, 400, 2e-6), BenchPeaks.Best(a, b));
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

    /// <summary>As the bench measures them: all rungs of a precision, then those of the next.</summary>
    [Fact]
    public void The_first_rung_of_a_precision_is_compared_with_the_same_rung_of_another()
    {
        var report = Timed with
        {
            Rows =
            [
                Row("naive", 8e-3, "one"), Row("mma-tf32", 4e-3, "two") with { Precision = "tf32" }, Row("multistage-tf32", 3e-3, "three") with { Precision = "tf32" },
                Row("mma-bf16", 2e-3, "the same with bfloat16") with { Precision = "bf16" },
            ],
        };
        Assert.Equal("2.00 times the speed of mma-tf32 in tf32", Assert.Single(BenchLadder.Of(report)).Explained.Last().Change);
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
