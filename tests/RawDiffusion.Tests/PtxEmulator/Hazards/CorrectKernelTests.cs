using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>
/// Kernels that are correct in ways that are easily taken for wrong: checked mode must say nothing, in any order of blocks and warps, and
/// the results must be right.
/// </summary>
public sealed partial class CorrectKernelTests
{
    private static readonly KernelCompiler s_compiler = new(cacheFolder: null);

    /// <summary>
    /// The kernel <c>k(int* x, int* y, int n)</c>: x holds 0, 1, ..., n - 1, y holds n zeros. <paramref name="Expected"/>: element i of y
    /// afterwards.
    /// </summary>
    private sealed record Sample(string Name, Dim3 Grid, Dim3 Block, int Shared, int N, Func<int, int> Expected, string Source);

    private static readonly Sample[] s_samples = [.. Exchanges(), .. SharedMemory(), .. Blocks(), .. Language()];

    public static TheoryData<string> Names() => new(s_samples.Select(sample => sample.Name));

    [SkippableTheory]
    [MemberData(nameof(Names))]
    public void ACorrectKernelIsNotReported(string name)
    {
        TestNvrtc.Require();
        var sample = s_samples.Single(each => each.Name == name);
        CompiledKernels? compiled = null;
        foreach (ulong? seed in new ulong?[] { null, 1, 2 })
        {
            using var driver = new EmulatedCudaDriver(new EmulatorOptions
            {
                Mode = ExecutionMode.Checked, ScheduleSeed = seed, MemoryBytes = 1 << 26, InstructionBudget = 50_000_000,
            });
            using var context = new CudaContext(driver);
            compiled ??= s_compiler.Compile(new KernelSource(name + ".cu", sample.Source), context.Target);
            var kernel = context.LoadModule(compiled).GetKernel("k");
            using var x = context.Allocate(4L * sample.N, "x");
            using var y = context.Allocate(4L * sample.N, "y");
            x.CopyFrom<int>([.. Enumerable.Range(0, sample.N)]);
            y.Clear();
            kernel.Launch(sample.Grid, sample.Block, sample.Shared, x.Pointer, y.Pointer, sample.N);
            int[] values = new int[sample.N];
            y.CopyTo<int>(values);
            Assert.Equal(Enumerable.Range(0, sample.N).Select(sample.Expected), values);
        }
    }
}
