using RawDiffusion.Backends;
using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Optim;

namespace RawDiffusion.Benchmarks;

/// <summary>The reference UNet, 1,623,169 parameters on images of 28 x 28 x 1: the network of <c>peers/torch_unet.py</c>.</summary>
internal static class UNetCases
{
    private const int Size = 28;

    public static UNet2DConfig Config { get; } = new()
    {
        InChannels = 1, OutChannels = 1, BlockOutChannels = [32, 64, 64], DownBlockTypes = ["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"],
        UpBlockTypes = ["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"], NormNumGroups = 8,
    };

    /// <summary>A training step: noise, network, mean squared error, backward pass, AdamW.</summary>
    public static Action Step(int batch, Backend device)
    {
        var generator = new Generator(0);
        var model = new UNet2D(Config, generator, device);
        var schedule = new DiscreteSchedule(new LinearSchedule(), device: device);
        var x0 = Tensor.Randn(generator, [batch, Size, Size, 1], device);
        var optimizer = new AdamW(model.NamedParameters(), 1e-4);
        var trainer = new Trainer(
            new TrainingState(model, WeightFiles.UNet(model), optimizer, ema: null),
            new TrainingConfig { Steps = int.MaxValue, Batch = batch, LearningRate = 1e-4, ClipNorm = null },
            (_, _) => new NoisedBatch(model.Forward, schedule, x0, null, generator));
        return trainer.RunStep;
    }

    /// <summary>One evaluation of the network without the tape, as in sampling.</summary>
    public static Action Forward(int batch, Backend device)
    {
        var generator = new Generator(0);
        var model = new UNet2D(Config, generator, device);
        Tensor x = Tensor.Randn(generator, [batch, Size, Size, 1], device), t = Tensor.Full([batch], 500, device);
        return () =>
        {
            using var noGrad = new NoGrad();
            using var scope = new MemoryScope();
            model.Forward(x, t);
        };
    }

    /// <summary>DDIM with eta 0 from noise to images.</summary>
    public static Action Sample(int count, int steps)
    {
        var generator = new Generator(0);
        var model = new UNet2D(Config, generator, Device.Cpu);
        model.Eval();
        var denoiser = new Denoiser((x, t) => model.Forward(x, t), new LinearSchedule());
        return () =>
        {
            using var scope = new MemoryScope();
            Sampler.Ddim(denoiser, Tensor.Randn(generator, [count, Size, Size, 1], Device.Cpu), TimeGrid.Uniform(steps), generator);
        };
    }
}
