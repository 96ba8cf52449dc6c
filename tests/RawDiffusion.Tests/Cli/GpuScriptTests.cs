using System.Diagnostics;

namespace RawDiffusion.Tests.Cli;

/// <summary><c>benchmarks/gpu/run.sh</c> with a program that only pretends: it runs what it can, goes on after failures, and says so at the end.</summary>
public sealed class GpuScriptTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("gpu-script-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private (int Code, string Summary) Run(string program)
    {
        string path = Path.Combine(_folder, "rawdiffusion"), results = Path.Combine(_folder, "results");
        File.WriteAllText(path, $"#!/bin/sh\n{program}\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        var start = new ProcessStartInfo("bash", [Path.Combine(Repository.Root, "benchmarks/gpu/run.sh"), "--program", path, "--out", results, "--no-peers"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        process.StandardOutput.ReadToEnd();
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        string summary = Path.Combine(results, "summary.md");
        return (process.ExitCode, File.Exists(summary) ? File.ReadAllText(summary) : error);
    }

    [SkippableFact]
    public void Without_a_GPU_it_says_so_and_fails()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "the script is for Linux");
        var (code, summary) = Run("[ $1 = verify ] && { echo there is no libcuda; exit 2; }\necho fine");
        Assert.Equal(1, code);
        Assert.Contains("- doctor: ok, ", summary);
        Assert.Contains("- a first operation on the GPU: FAILED with code 2, ", summary);
        Assert.Contains("there is no libcuda", summary);
        Assert.Contains("not run: the GPU cannot be used", summary);
        Assert.EndsWith("1 FAILED: " + Path.Combine(_folder, "results") + "\n", summary);
    }

    [SkippableFact]
    public void A_failure_stops_nothing_and_is_not_forgotten()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "the script is for Linux");
        var (code, summary) = Run("case \"$*\" in *bf16*) echo two operations disagree; exit 1;; esac\necho fine");
        Assert.Equal(1, code);
        Assert.Contains("- verify in fp32: ok, ", summary);
        Assert.Contains("- verify in bf16: FAILED with code 1, ", summary);
        Assert.Contains("two operations disagree", summary);
        Assert.Contains("- bench: ok, ", summary);
        Assert.Contains("- peers: not run: --no-peers", summary);
    }

    [SkippableFact]
    public void Success_is_told_in_the_last_line()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "the script is for Linux");
        var (code, summary) = Run("echo fine");
        Assert.Equal(0, code);
        Assert.EndsWith("All went well: " + Path.Combine(_folder, "results") + "\n", summary);
        // Results of an earlier run are left alone.
        Assert.Contains("is not empty", Rerun());
    }

    private string Rerun()
    {
        File.Delete(Path.Combine(_folder, "results", "summary.md"));
        File.Delete(Path.Combine(_folder, "rawdiffusion"));
        var (code, error) = Run("echo fine");
        Assert.Equal(2, code);
        return error;
    }
}
