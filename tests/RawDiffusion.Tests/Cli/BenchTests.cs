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
