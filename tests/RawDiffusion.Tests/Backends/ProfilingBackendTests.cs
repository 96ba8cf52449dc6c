using System.Reflection;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Nn;
using RawDiffusion.Optim;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests;

public class ProfilingBackendTests
{
    /// <summary>Also a test of the table: what no row reaches is not compared with Reference. Memory and optimizers have tests of their own.</summary>
    [Fact]
    public void TheTableOfOperationsReachesEveryKernelThroughTheProfilerAndKeepsItsResults()
    {
        var profiler = new ProfilingBackend(new CpuBackend());
        foreach (var operationCase in OperationTable.All.DistinctBy(operationCase => operationCase.ToString()))
            Check.Passes(CaseVerifier.CompareWithReference(operationCase, profiler));

        string[] elsewhere = ["Allocate", "Release", "Upload", "Download", "Synchronize", "Record", "AdamW", "Sgd", "Ema", "Fill", "Copy"];
        var kernels = typeof(Backend).GetMethods(BindingFlags.Instance | BindingFlags.Public | BindingFlags.DeclaredOnly)
            .Where(method => method.IsAbstract && !method.IsSpecialName)
            .Select(method => method.Name);
        Assert.Empty(kernels.Except(elsewhere).Except(profiler.Operations.Select(operation => operation.Method)));
    }

    [Fact]
    public void CallsTimesAndWorkAreNoted()
    {
        var profiler = new ProfilingBackend(Device.Cpu);
        Tensor x = Tensor.Ones([4, 6], profiler), w = Tensor.Ones([5, 6], profiler);
        profiler.Reset();
        for (int i = 0; i < 3; i++)
            F.Linear(x, w);

        var product = Assert.Single(profiler.Operations);
        Assert.Equal(("MatMul", "4 x 5 x 6, B transposed", 3), (product.Method, product.Detail, product.Calls));
        Assert.Equal((2.0 * 4 * 5 * 6, 4.0 * (4 * 6 + 5 * 6 + 4 * 5)), (product.Flops, product.Bytes));
        Assert.True(product.Seconds > 0);
        profiler.Reset();
        Assert.Empty(profiler.Operations);
    }

    [Fact]
    public void TheDevicePutsItsMemoryToItsOwnUseAgain()
    {
        var cpu = new CpuBackend();
        var profiler = new ProfilingBackend(cpu);
        using (new MemoryScope())
            Tensor.Ones([1000], profiler);
        using (new MemoryScope())
            Assert.Same(cpu, Tensor.Ones([1000], cpu).Device);

        Assert.Equal(1, cpu.Statistics.Allocations);
    }

    [Fact]
    public void ATrainingStepIsProfiledToTheOptimizer()
    {
        var profiler = new ProfilingBackend(new CpuBackend());
        var layer = new Linear(3, 2, new Generator(1), device: profiler);
        var optimizer = new AdamW(layer);
        layer.Forward(Tensor.Ones([4, 3], profiler)).Sum().Backward();
        optimizer.Step();

        string[] called = [.. profiler.Operations.Select(operation => operation.Method)];
        Assert.Contains("MatMul", called);
        Assert.Contains("AdamW", called);
    }
}
