using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Peers;

/// <summary>
/// The two networks by which the project is compared with others, and what is timed of them: a training step and sampling. The same as in
/// <c>benchmarks/peers/torch_unet.py</c>.
/// </summary>
public static class PeerModels
{
    /// <summary>28 x 28 x 1, 1,623,169 parameters.</summary>
    public static UNet2DConfig Mnist { get; } = new()
    {
        SampleSize = [28, 28], InChannels = 1, OutChannels = 1, BlockOutChannels = [32, 64, 64],
        DownBlockTypes = ["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"], UpBlockTypes = ["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"], NormNumGroups = 8,
    };

    /// <summary>The network of DDPM for CIFAR-10 (Ho et al. 2020, appendix B; google/ddpm-cifar10-32): 32 x 32 x 3, 35,746,307 parameters.</summary>
    public static UNet2DConfig Cifar { get; } = new()
    {
        SampleSize = [32, 32], BlockOutChannels = [128, 256, 256, 256],
        DownBlockTypes = ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
        UpBlockTypes = ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"], AttentionHeadDim = null, DownsamplePadding = 0,
        FlipSinToCos = false, FreqShift = 1, NormEps = 1e-6,
    };

    /// <exception cref="ArgumentException">It is neither <c>mnist</c> nor <c>cifar</c>.</exception>
    public static UNet2DConfig Find(string name) => name switch
    {
        "mnist" => Mnist,
        "cifar" => Cifar,
        _ => throw new ArgumentException($"no network is called '{name}'; there are mnist and cifar"),
    };

    /// <summary>A training step on a batch that stays the same: noise, network, mean squared error, backward pass, clipping where asked, AdamW, average where asked.</summary>
    /// <param name="clipAndAverage">Whether the step clips the gradients' norm at 1 and keeps a moving average of the weights.</param>
    /// <param name="records">Whether a GPU may be given the step as a whole.</param>
    public static Trainer TrainingStep(
        UNet2DConfig config, int batch, Backend device, Precision precision = Precision.Float32, bool clipAndAverage = false, bool records = true)
    {
        device.AllowTf32 = precision == Precision.Tf32;
        var generator = new Generator(0);
        var model = new UNet2D(config, new Generator(1), device);
        var schedule = new DiscreteSchedule(new LinearSchedule(), device: device);
        var x0 = MemoryScope.KeepForever(Tensor.Randn(generator, [batch, config.SampleSize![0], config.SampleSize[1], config.InChannels], device));
        var optimizer = new AdamW(model.NamedParameters(), 1e-4);
        var state = new TrainingState(model, WeightFiles.UNet(model), optimizer, clipAndAverage ? new Ema(model) : null, ("noise", generator));
        var forward = DiffusionModel.InPrecision(model.Forward, precision);
        TrainingBatch? noised = null;
        return new Trainer(
            state, new TrainingConfig { Steps = int.MaxValue, Batch = batch, LearningRate = 1e-4, ClipNorm = clipAndAverage ? 1 : null },
            (_, _) =>
            {
                noised?.Redraw();
                return noised ??= new NoisedBatch(forward, schedule, x0, null, generator).KeepForever();
            })
        { Records = records };
    }

    /// <summary>A step of the preset eight-gaussians: fresh data, noise, the network of three layers of 128, clipped AdamW, average.</summary>
    /// <param name="records">Whether a GPU may be given the step as a whole.</param>
    public static Trainer ToyStep(int batch, Backend device, bool records = true)
    {
        var (model, schedule, state, noise) = Toy(device);
        var data = new PointData("eight-gaussians", new EightGaussians());
        var batches = new DataBatches(data, 0, device, samples => new NoisedBatch(model.Forward, schedule, samples.X, null, noise));
        return new Trainer(state, new TrainingConfig { Steps = int.MaxValue, Batch = batch }, batches.Next) { Records = records };
    }

    /// <summary>The same as one kernel that makes many steps in a launch; null where the device cannot.</summary>
    /// <param name="steps">Steps of one call, at most <see cref="FusedMlpTraining.MostSteps"/>.</param>
    public static Action? FusedToySteps(int batch, int steps, Backend device, out IDisposable? training)
    {
        var (model, schedule, state, noise) = Toy(device);
        var data = new PointData("eight-gaussians", new EightGaussians());
        var layers = FusedTraining.Layers(model);
        var problem = FusedTraining.Problem(model, new EightGaussians(), data.Stream(0, 0), schedule, noise, MlpTarget.Noise, batch);
        training = null;
        if (FusedMlpTraining.Obstacle(layers, problem, state.Optimizer, state.Ema) is not null)
            return null;
        var fused = new FusedMlpTraining(layers, problem, (AdamOptimizer)state.Optimizer, state.Ema, maxNorm: 1);
        training = fused;
        var moves = new FusedMlpStep[steps];
        long sample = 0;
        return () =>
        {
            for (int i = 0; i < moves.Length; i++, sample += batch)
                moves[i] = new FusedMlpStep(1e-3, sample);
            fused.Run(moves);
        };
    }

    /// <summary>From noise to images by DDIM with eta 0.</summary>
    /// <param name="network">To be disposed of when the last images are made; null where the network is called kernel by kernel.</param>
    public static Action Sampling(UNet2DConfig config, int count, int steps, Backend device, Precision precision, bool records, out RecordedNetwork? network)
    {
        device.AllowTf32 = precision == Precision.Tf32;
        var generator = new Generator(0);
        var model = new UNet2D(config, new Generator(1), device);
        model.Eval();
        var forward = DiffusionModel.InPrecision(model.Forward, precision);
        DenoisingNetwork direct = (x, times) => forward(x, times, null);
        network = records ? new RecordedNetwork(direct) : null;
        var denoiser = new Denoiser(network is null ? direct : network.Forward, new LinearSchedule());
        Shape shape = [count, config.SampleSize![0], config.SampleSize[1], config.InChannels];
        double[] times = TimeGrid.Uniform(denoiser.Process, steps);
        return () =>
        {
            using var scope = new MemoryScope();
            Sampler.Ddim(denoiser, Tensor.Randn(generator, shape, device), times, generator);
        };
    }

    private static (MlpDenoiser Model, DiscreteSchedule Schedule, TrainingState State, Generator Noise) Toy(Backend device)
    {
        device.AllowTf32 = false;
        var noise = new Generator(0);
        var model = new MlpDenoiser(new Generator(1), device);
        var schedule = new DiscreteSchedule(new LinearSchedule(), device: device);
        var state = new TrainingState(model, WeightFiles.Plain(model), new AdamW(model.NamedParameters(), 1e-3), new Ema(model, 0.999), ("noise", noise));
        return (model, schedule, state, noise);
    }

    /// <summary>One evaluation of a network without the tape, as in sampling.</summary>
    public static Action Forward(UNet2DConfig config, int batch, Backend device)
    {
        var generator = new Generator(0);
        var model = new UNet2D(config, generator, device);
        Tensor x = Tensor.Randn(generator, [batch, config.SampleSize![0], config.SampleSize[1], config.InChannels], device), t = Tensor.Full([batch], 500, device);
        return () =>
        {
            using var noGrad = new NoGrad();
            using var scope = new MemoryScope();
            model.Forward(x, t);
        };
    }
}
