using System.Diagnostics;
using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>
/// NVRTC for the tests that compile kernels: the machine's own, else the one that <c>tests/fetch-nvrtc.sh</c> fetched earlier, else
/// that script is run. Where none is to be had, the test is skipped with the reason; with CI=true it fails.
/// </summary>
internal static class TestNvrtc
{
    private static readonly Lazy<string?> s_problem = new(Find);

    /// <summary>Where the script puts the libraries: ignored by git.</summary>
    public static string Folder => Path.Combine(Repository.Root, "tests", ".nvrtc");

    /// <summary>Whether it is there, perhaps fetched just now.</summary>
    public static bool IsAvailable => s_problem.Value is null;

    /// <summary>The first line of every test that needs NVRTC; such a test is a SkippableFact.</summary>
    public static void Require()
    {
        string? problem = s_problem.Value;
        bool ci = string.Equals(Environment.GetEnvironmentVariable("CI"), "true", StringComparison.OrdinalIgnoreCase);
        Assert.False(problem is not null && ci, problem);
        Skip.If(problem is not null, problem);
    }

    private static string? Find()
    {
        AddFolder();
        if (Nvrtc.IsAvailable(out string? missing))
            return null;
        string? reason = Fetch();
        AddFolder();
        return reason is null && Nvrtc.IsAvailable(out missing) ? null
            : $"NVRTC is not here and could not be fetched ({reason ?? "what was fetched cannot be loaded"}). {missing}";
    }

    /// <summary>Names the folder in the variable that the search reads, for this process and its children; what the user set stays first.</summary>
    private static void AddFolder()
    {
        string? before = Environment.GetEnvironmentVariable("RAWDIFFUSION_CUDA_LIBRARIES");
        if (Directory.Exists(Folder) && before?.Contains(Folder, StringComparison.Ordinal) != true)
        {
            Environment.SetEnvironmentVariable("RAWDIFFUSION_CUDA_LIBRARIES",
                string.IsNullOrEmpty(before) ? Folder : before + Path.PathSeparator + Folder);
        }
    }

    /// <summary>Runs the script. Null: done; else why not.</summary>
    private static string? Fetch()
    {
        if (!OperatingSystem.IsLinux())
            return "tests/fetch-nvrtc.sh works on Debian and Ubuntu";
        var start = new ProcessStartInfo("bash", [Path.Combine(Repository.Root, "tests", "fetch-nvrtc.sh")])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? null : error.Result.Trim();
    }
}
