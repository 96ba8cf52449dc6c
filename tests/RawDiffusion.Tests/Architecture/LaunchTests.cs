namespace RawDiffusion.Tests;

/// <summary>A warm launch looks nothing up by a string and formats none: the Cuda backend's kernels are found by slots.</summary>
public class LaunchTests
{
    // Files that still ask for kernels by name. Take yours off the list when it has slots.
    private static readonly HashSet<string> s_toBeConverted =
    [
        "CudaBackend.Diffusion.cs", "CudaBackend.Indexing.cs", "CudaBackend.Optimizer.cs",
        "CudaBackend.Random.cs", "CudaBackend.Resampling.cs", "CudaBackend.Shaping.cs", "ProductTile.cs",
    ];

    [Fact]
    public void KernelsAreFoundBySlots()
    {
        var byName = Directory.EnumerateFiles(Path.Combine(Repository.Root, "src/RawDiffusion/Backends/Cuda"), "*.cs")
            .Where(file => Path.GetFileName(file) != "KernelLibrary.cs")
            .Where(file => Repository.Code(File.ReadAllText(file)).Contains(".Kernel(", StringComparison.Ordinal))
            .Select(file => Path.GetFileName(file));
        Assert.Empty(byName.Except(s_toBeConverted));
    }
}
