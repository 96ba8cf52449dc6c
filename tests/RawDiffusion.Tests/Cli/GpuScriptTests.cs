using System.Diagnostics;

namespace RawDiffusion.Tests.Cli;

/// <summary><c>benchmarks/gpu/run.sh</c> with a program that only pretends: it runs what it can, goes on after failures, and says so at the end.</summary>
public sealed class GpuScriptTests : IDisposable
{
    /// <summary>What the real program says when it is asked for an operation that it does not have.</summary>
    private const string Lists = "case \"$*\" in *'no such operation') echo \"no operation is called 'no such operation'; there are: first, second\"; exit 2;; esac\n";

    private readonly string _folder = Directory.CreateTempSubdirectory("gpu-script-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [SkippableFact]
    public void Without_a_GPU_it_says_so_and_fails()
    {
        var (code, summary) = Run("[ $1 = verify ] && { echo there is no libcuda; exit 2; }\necho fine");
        Assert.Equal(1, code);
        Assert.Contains("- doctor: ok, ", summary);
        Assert.Contains("- a first operation on the GPU: FAILED with code 2, ", summary);
        Assert.Contains("there is no libcuda", summary);
        Assert.Contains("- all the rest: not run: the GPU cannot be used", summary);
        Assert.EndsWith($"1 FAILED: {Results}\n", summary);
    }

    [SkippableFact]
    public void A_failure_stops_nothing_and_is_not_forgotten()
    {
        var (code, summary) = Run(Lists + "case \"$*\" in *verify*bf16*) echo two operations disagree; exit 1;; 'bench first'*) exit 134;; esac\necho fine");
        Assert.Equal(1, code);
        Assert.Contains("- verify in fp32: ok, ", summary);
        Assert.Contains("- verify in bf16: FAILED with code 1, ", summary);
        Assert.Contains("two operations disagree", summary);
        Assert.Contains("- train digits in bf16: ok, ", summary);
        Assert.Contains("- bench first: FAILED with code 134, ", summary);
        Assert.Contains("- bench second: ok, ", summary);
        Assert.EndsWith($"2 FAILED: {Results}\n", summary);
    }

    [SkippableFact]
    public void Success_is_told_in_the_last_line()
    {
        var (code, summary) = Run(Lists + "echo fine");
        Assert.Equal(0, code);
        Assert.EndsWith($"All went well: {Results}\n", summary);
    }

    /// <summary>A fault ends the device for the process that met it, so the operations behind it have not been looked at.</summary>
    [SkippableFact]
    public void What_a_fault_kept_from_being_verified_is_verified_operation_by_operation()
    {
        var (code, summary) = Run(Lists + "case \"$*\" in *tf32*first*) exit 1;; *tf32*second*) ;; verify*tf32*) echo cuda is lost after 3 of 9 cases; exit 1;; esac\necho fine");
        Assert.Equal(1, code);
        Assert.Contains("- verify first in tf32: FAILED with code 1, ", summary);
        Assert.Contains("- verify second in tf32: ok, ", summary);
        Assert.DoesNotContain("verify second in fp32", summary);
        Assert.Contains("- bench second: ok, ", summary);
    }

    [SkippableFact]
    public void What_hangs_is_ended_with_all_that_it_started()
    {
        var (code, summary) = Run(Lists + "case \"$*\" in 'bench first'*) sleep 1000 & wait;; esac\necho fine", "--step-limit", "1");
        Assert.Equal(1, code);
        Assert.Contains("- bench first: FAILED with code 124, ", summary);
        Assert.Contains("ended after the limit of 1 s", summary);
        Assert.Contains("- bench second: ok, ", summary);
    }

    [SkippableFact]
    public void What_the_limit_of_a_call_leaves_the_next_call_does()
    {
        // The first step uses up all the time, whatever else the machine does.
        string program = Lists + "[ $1 = doctor ] && exec sleep 1000\necho $* >> " + Path.Combine(_folder, "calls") + "\necho fine";
        var (code, summary) = Run(program, "--limit", "1");
        Assert.Equal(3, code);
        Assert.Contains("- doctor: FAILED with code 124, ", summary);
        Assert.DoesNotContain("- verify in fp32", summary);
        Assert.EndsWith($"NOT FINISHED, 1 FAILED so far: call it again with --out {Results}\n", summary);

        (code, summary) = Run(program);
        Assert.Equal(1, code);
        Assert.Contains("- doctor: FAILED with code 124, ", summary);
        Assert.Contains("- bench second: ok, ", summary);

        // By now there is nothing left to do.
        string calls = File.ReadAllText(Path.Combine(_folder, "calls"));
        Assert.Equal((code, summary), Run(program));
        Assert.DoesNotContain("bench", File.ReadAllText(Path.Combine(_folder, "calls"))[calls.Length..]);
    }

    [SkippableFact]
    public void Parts_are_chosen_by_name()
    {
        var (code, summary) = Run(Lists + "echo fine", "--only", "bench");
        Assert.Equal(0, code);
        Assert.Contains("- a first operation on the GPU: ok, ", summary);
        Assert.Contains("- bench first: ok, ", summary);
        Assert.DoesNotContain("doctor", summary);
        Assert.DoesNotContain("- verify", summary);
    }

    [SkippableTheory]
    [InlineData("there is no part 'benhc'; there are: doctor verify", "--only", "benhc")]
    [InlineData("a limit is a whole number of seconds, not 'ten'", "--limit", "ten")]
    [InlineData("is not empty and not of this script")]
    public void Wrong_use_is_told(string message, params string[] options)
    {
        if (options.Length == 0)
        {
            Directory.CreateDirectory(Results);
            File.WriteAllText(Path.Combine(Results, "thesis.tex"), "");
        }
        var (code, error) = Run("echo fine", options);
        Assert.Equal(2, code);
        Assert.Contains(message, error);
    }

    private string Results => Path.Combine(_folder, "results");

    /// <summary>The summary, or the error where there is none.</summary>
    private (int Code, string Summary) Run(string program, params string[] options)
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "the script is for Linux");
        string path = Path.Combine(_folder, "rawdiffusion"), summary = Path.Combine(Results, "summary.md");
        File.WriteAllText(path, $"#!/bin/bash\n{program}\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        // What the machine has besides, a sanitizer and PyTorch, is not what is tried here.
        var start = new ProcessStartInfo("bash",
            [Path.Combine(Repository.Root, "benchmarks/gpu/run.sh"), "--program", path, "--out", Results, "--skip", "sanitizer,peers,tests", .. options])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, File.Exists(summary) ? File.ReadAllText(summary) : error.Result);
    }
}
