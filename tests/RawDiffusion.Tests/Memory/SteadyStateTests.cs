using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Tests;

/// <summary>A warm training step takes nothing from the system and little from the garbage collector.</summary>
public class SteadyStateTests
{
    [Fact]
    public void AWarmStepAllocatesNoMemoryForTensors()
    {
        var cpu = new CpuBackend();
        var w = new Parameter(Tensor.Ones([33, 64], cpu));
        var b = new Parameter(Tensor.Ones([64], cpu));
        Step(w, b);
        Step(w, b);
        long warm = cpu.Statistics.Allocations;
        for (int i = 0; i < 20; i++)
            Step(w, b);
        Assert.Equal(warm, cpu.Statistics.Allocations);
        Assert.Equal(cpu.Statistics.BytesHeld - cpu.Statistics.BytesFree, InUse(w, b));
    }

    /// <summary>
    /// The tape is managed objects: a node and its output tensor, and the tensors of its backward pass, some hundred bytes each.
    /// </summary>
    [Fact]
    public void AWarmStepAllocatesAFewHundredManagedBytesPerOperation()
    {
        var cpu = new CpuBackend();
        var w = new Parameter(Tensor.Ones([33, 64], cpu));
        var b = new Parameter(Tensor.Ones([64], cpu));
        for (int i = 0; i < 3; i++)
            Step(w, b);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            Step(w, b);
        long perStep = (GC.GetAllocatedBytesForCurrentThread() - before) / 100;
        Assert.InRange(perStep, 0, Operations * 600);
    }

    private const int Operations = 5;

    private static void Step(Parameter w, Parameter b)
    {
        using var scope = new MemoryScope();
        w.ZeroGrad();
        b.ZeroGrad();
        var x = Tensor.Full([33, 64], 0.5, w.Device);
        var y = x * w + b;
        (y * y * 0.5).Mean().Backward();
    }

    /// <summary>Values and gradients of both, in blocks of their size classes.</summary>
    private static long InUse(Parameter w, Parameter b) =>
        2L * sizeof(float) * (CpuPool.SizeClass(w.Count).Capacity + CpuPool.SizeClass(b.Count).Capacity);
}
