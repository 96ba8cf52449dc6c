using RawDiffusion.Verification.Bench;

namespace RawDiffusion.Tests.Cli;

/// <summary><c>bench</c> as a process of its own.</summary>
public class BenchTests : IDisposable
{
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"bench-{Guid.NewGuid():N}");

    public void Dispose()
    {
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void It_shows_a_table_and_leaves_the_same_in_every_format()
    {
        using var process = CliProcess.Start("bench", "matmul", "--device", "cpu", "--shapes", "16x16x16", "8x8x8nt", "--seconds", "0", "--out", _folder);
        var (code, error) = process.Finish();
        Assert.Equal("", error);
        Assert.Equal(0, code);
        Assert.Equal(2, process.Output.Count(line => line.StartsWith("matmul ", StringComparison.Ordinal)));

        var report = BenchReport.FromJson(File.ReadAllText(Path.Combine(_folder, "bench.json")));
        Assert.Equal(["16x16x16", "8x8x8nt"], report.Rows.Select(row => row.Shape));
        Assert.True(report.Passed && report.Peaks is { Copy: > 0, Fma: > 0 });
        string[] facts = [.. report.Facts.Select(fact => fact.Name)];
        Assert.Superset(new HashSet<string>(["date", "device", "commit", "command"]), facts.ToHashSet());
        Assert.StartsWith("rawdiffusion bench matmul --device cpu --shapes 16x16x16 8x8x8nt", report.Facts.Single(fact => fact.Name == "command").Value);
        Assert.All((string[])["bench.md", "bench.csv", "bench.html"], file => Assert.Contains("8x8x8nt", File.ReadAllText(Path.Combine(_folder, file))));
        foreach (string file in Directory.EnumerateFiles(_folder))
            Assert.StartsWith("bench.", Path.GetFileName(file));
    }

    /// <summary>Nobody loses an hour of measuring: what there is until then is a report, and says so.</summary>
    [SkippableFact]
    public void A_signal_ends_it_with_what_was_measured()
    {
        Skip.If(OperatingSystem.IsWindows(), "Signals are those of Unix.");
        string[] shapes = [.. Enumerable.Range(1, 20).Select(i => $"{i}x8x8")];
        using var process = CliProcess.Start(["bench", "matmul", "--device", "cpu", "--seconds", "0.5", "--out", _folder, "--shapes", .. shapes]);
        process.WaitForLine("bench: 2/20");
        process.Signal(CliProcess.Interrupt);
        var (code, error) = process.Finish();
        Assert.Equal(130, code);
        Assert.StartsWith("stopping after this step", error);
        var report = BenchReport.FromJson(File.ReadAllText(Path.Combine(_folder, "bench.json")));
        Assert.InRange(report.Rows.Count, 2, 19);
        Assert.Equal(shapes.Take(report.Rows.Count), report.Rows.Select(row => row.Shape));
        Assert.Contains($"Stopped after {report.Rows.Count} of 20 rows.", report.Remarks);
    }

    /// <summary>Told before anything is measured.</summary>
    [Fact]
    public void A_folder_that_cannot_be_written_to_is_told_at_once()
    {
        File.WriteAllText(_folder, "a file");
        try
        {
            using var process = CliProcess.Start("bench", "softmax", "--device", "cpu", "--shapes", "4x4", "--seconds", "0", "--out", _folder);
            var (code, error) = process.Finish();
            Assert.Equal(2, code);
            Assert.Equal($"rawdiffusion: --out {_folder} is a file; it takes a folder, which is made where it is not there", error);
            Assert.Empty(process.Output);
        }
        finally
        {
            File.Delete(_folder);
        }
    }

    [Fact]
    public void A_command_line_that_is_refused_leaves_no_folder()
    {
        using var process = CliProcess.Start("bench", "matmul", "--device", "cpu", "--precision", "bf16", "--out", _folder);
        Assert.Equal(2, process.Finish().ExitCode);
        Assert.False(Directory.Exists(_folder));
    }

    /// <summary>A shape or a precision that is named twice is measured once.</summary>
    [Fact]
    public void Nothing_is_measured_twice()
    {
        using var process = CliProcess.Start("bench", "softmax", "--device", "cpu", "--shapes", "4x4", "4x4", "--precision", "fp32", "fp32", "--seconds", "0", "--format", "csv");
        Assert.Equal(0, process.Finish().ExitCode);
        Assert.Equal(2, process.Output.Count);
    }

    /// <summary>For another program to read: nothing else goes to standard output.</summary>
    [Fact]
    public void Another_format_is_all_that_standard_output_gets()
    {
        using var process = CliProcess.Start("bench", "softmax", "--device", "cpu", "--shapes", "4x4", "--seconds", "0", "--format", "json");
        var (code, error) = process.Finish();
        Assert.Equal(0, code);
        Assert.Contains("bench: 1/1", error);
        Assert.Equal("softmax", Assert.Single(BenchReport.FromJson(string.Join('\n', process.Output)).Rows).Operation);
    }
}
