namespace RawDiffusion.Tests;

/// <summary>A warm launch looks nothing up by a string and formats none: the Cuda backend's kernels are found by slots.</summary>
public class LaunchTests
{
    [Fact]
    public void KernelsAreFoundBySlots()
    {
        var byName = Directory.EnumerateFiles(Path.Combine(Repository.Root, "src/RawDiffusion/Backends/Cuda"), "*.cs")
            .Where(file => Path.GetFileName(file) != "KernelLibrary.cs")
            .Where(file => Repository.Code(File.ReadAllText(file)).Contains(".Kernel(", StringComparison.Ordinal))
            .Select(file => Path.GetFileName(file));
        Assert.Empty(byName);
    }
}
