using RawDiffusion.Backends.Cpu;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
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

    /// <summary>
    /// The trainer with all that it does in a step: data, noise, a network with labels, parts of a batch, clipping, the average. What is
    /// left of managed memory are the objects of the tape, of two parts here.
    /// </summary>
    [Fact]
    public void AWarmStepOfTheTrainerAllocatesNoMemoryForTensorsAndLittleManagedMemory()
    {
        var cpu = new CpuBackend();
        var data = new PointData("eight-gaussians", new EightGaussians());
        var model = new MlpDenoiser(new Generator(1), cpu, width: 32, labels: 3);
        var state = new TrainingState(model, WeightFiles.Plain(model), new AdamW(model), new Ema(model));
        var schedule = new DiscreteSchedule(new LinearSchedule(), device: cpu);
        var noise = new Generator(2);
        int[] labels = new int[64];
        var trainer = new Trainer(state, new TrainingConfig { Steps = 1000, Batch = labels.Length, Accumulate = 2 }, (first, count) =>
            new NoisedBatch(model.Forward, schedule, data.Draw(first, count, 0, cpu).X, Tensor.From(labels, [count], cpu), noise));
        for (int i = 0; i < 3; i++)
            trainer.RunStep();
        var warm = cpu.Statistics;
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            trainer.RunStep();
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / 100, 0, 24 * 1024);
        Assert.Equal(warm, cpu.Statistics);
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
