using RawDiffusion.Nn;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests.Optim;

[Collection(nameof(Alone))]
public class OptimizerAllocationTests
{
    [Fact]
    public void A_warm_step_allocates_nothing()
    {
        var model = new One();
        var optimizer = new AdamW(model);
        var ema = new Ema(model);
        model.Weight.AccumulateGrad(Tensor.Ones(model.Weight.Shape, Device.Cpu));
        for (int i = 0; i < 3; i++)
            Step();
        long native = Device.Cpu.Statistics.Allocations, managed = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10; i++)
            Step();

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - managed);
        Assert.Equal(native, Device.Cpu.Statistics.Allocations);

        void Step()
        {
            optimizer.ClipGradNorm(1);
            optimizer.Step();
            ema.Update();
        }
    }

    private sealed class One : Module
    {
        public Parameter Weight { get; } = Init.Ones([101, 103], Device.Cpu);
    }
}
