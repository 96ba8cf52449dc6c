using System.Diagnostics;

namespace RawDiffusion.Tests;

/// <summary>Native libraries of the tests' own, in C, that stand in for NVIDIA's in a child process.</summary>
internal static class FakeLibrary
{
    /// <summary>Compiles a source of tests/RawDiffusion.Tests/Cuda to a library; skips the test, visibly, where there is no C compiler.</summary>
    public static void Compile(string source, string folder, string name)
    {
        Skip.IfNot(OperatingSystem.IsLinux() && File.Exists("/usr/bin/cc"), "there is no C compiler (/usr/bin/cc) here to make the test's library with");
        string path = Path.Combine(Repository.Root, "tests/RawDiffusion.Tests/Cuda", source);
        using var compiler = Process.Start("/usr/bin/cc", ["-shared", "-fPIC", "-w", "-o", Path.Combine(folder, name), path]);
        compiler.WaitForExit();
        Assert.Equal(0, compiler.ExitCode);
    }
}
