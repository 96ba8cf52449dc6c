using RawDiffusion.Backends.Cpu;
using RawDiffusion.Nn;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests;

/// <summary>
/// A warm training step of a small denoiser, from the noise to the average of the weights, takes nothing from the system and
/// little from the garbage collector.
/// </summary>
public class SteadyStateTests
{
    [Fact]
    public void AWarmStepAllocatesNoMemoryForTensors()
    {
        var training = new Training();
        for (int i = 0; i < 3; i++)
            training.Step();
        var warm = training.Cpu.Statistics;
        for (int i = 0; i < 20; i++)
            training.Step();
        Assert.Equal(warm, training.Cpu.Statistics);
    }

    /// <summary>
    /// What is left are the objects of the tape: a node and a tensor for each of about 15 operations, and the tensors of their
    /// backward passes, about 100 bytes each.
    /// </summary>
    [Fact]
    public void AWarmStepAllocatesAtMostAFewKilobytesOfManagedMemory()
    {
        var training = new Training();
        for (int i = 0; i < 3; i++)
            training.Step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            training.Step();
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / 100, 0, 6 * 1024);
    }

    private sealed class Training
    {
        private const int Batch = 64;

        private readonly Generator _noise = new(1);
        private readonly Denoiser _network;
        private readonly AdamW _optimizer;
        private readonly Ema _ema;
        private readonly Tensor _x, _alpha, _sigma, _weights;

        public Training()
        {
            _network = new Denoiser(new Generator(2), Cpu);
            _optimizer = new AdamW(_network);
            _ema = new Ema(_network);
            _x = Tensor.Ones([Batch, 2], Cpu);
            _alpha = Tensor.Full([Batch], 0.8, Cpu);
            _sigma = Tensor.Full([Batch], 0.6, Cpu);
            _weights = Tensor.Ones([Batch], Cpu);
        }

        /// <summary>A pool of its own, which no other test uses.</summary>
        public CpuBackend Cpu { get; } = new();

        public void Step()
        {
            using var scope = new MemoryScope();
            var (xt, noise) = F.ForwardDiffusion(_x, _alpha, _sigma, _noise);
            _optimizer.ZeroGrad();
            F.WeightedMse(_network.Forward(xt), noise, _weights).Mean().Backward();
            _optimizer.ClipGradNorm(1);
            _optimizer.Step();
            _ema.Update();
        }
    }

    private sealed class Denoiser(Generator generator, CpuBackend cpu) : Layer
    {
        public Linear First { get; } = new(2, 32, generator, device: cpu);

        public Linear Second { get; } = new(32, 32, generator, device: cpu);

        public Linear Third { get; } = new(32, 32, generator, device: cpu);

        public Linear Last { get; } = new(32, 2, generator, device: cpu);

        public override Tensor Forward(Tensor x) =>
            Last.Forward(F.Silu(Third.Forward(F.Silu(Second.Forward(F.Silu(First.Forward(x)))))));
    }
}
