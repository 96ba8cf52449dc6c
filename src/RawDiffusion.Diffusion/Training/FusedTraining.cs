using RawDiffusion.Backends.Cuda;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Training;

/// <summary>
/// Decides whether a training can be one kernel (<see cref="FusedMlpTraining"/>) and prepares it: an <see cref="MlpDenoiser"/> that
/// learns a <see cref="GaussianMixture"/> by L_simple in float32 on a GPU.
/// </summary>
internal static class FusedTraining
{
    /// <summary>The training as one kernel; null where it is not to be so or, unless it was asked for, cannot.</summary>
    /// <param name="told">Is told why it cannot be, where one might expect it.</param>
    /// <exception cref="ConfigException">It was asked for and cannot be.</exception>
    public static FusedMlpTraining? Create(
        RunConfig config, DiffusionModel model, ITrainingData data, DiscreteSchedule schedule, Generator noise, TrainingState state, Action<string> told)
    {
        var training = config.Training;
        // The emulator is not asked to hurry: there the ordinary kernels are what people come to see.
        bool expected = model.Network is MlpDenoiser && state.Model.Parameters()[0].Device.Name.StartsWith("cuda", StringComparison.Ordinal);
        if (training.Fused == "off" || (training.Fused == "auto" && !expected))
            return null;
        if (Try(config, model, data, schedule, noise, state, out string? obstacle) is { } fused)
            return fused;
        if (training.Fused == "on")
            throw new ConfigException("training.fused", $" cannot be on: {obstacle}");
        told($"each step is many kernels and not a part of one: {obstacle}");
        return null;
    }

    private static FusedMlpTraining? Try(
        RunConfig config, DiffusionModel model, ITrainingData data, DiscreteSchedule schedule, Generator noise, TrainingState state, out string? obstacle)
    {
        if (model.Network is not MlpDenoiser { Label: null } network)
            return No("the network must be an mlp that is told no classes", out obstacle);
        if (data is not PointData { Distribution: GaussianMixture mixture } points)
            return No($"the kernel draws mixtures of Gaussians only, and {data.Name} is none", out obstacle);
        if (!TrainingObjective.IsSimple(config.Training, model))
            return No("the kernel knows L_simple at equally likely steps only", out obstacle);
        if (config.Precision != "fp32")
            return No($"the kernel computes in fp32, not in {config.Precision}", out obstacle);
        if (config.Training.DetectAnomaly)
            return No("it could not name the operation that makes a value that is not finite", out obstacle);
        if (state.Optimizer is not AdamOptimizer optimizer)
            return No("the optimizer is not Adam", out obstacle);
        MlpTarget? target = model.Parameterisation switch
        {
            Parameterisation.Epsilon => MlpTarget.Noise,
            Parameterisation.X0 => MlpTarget.CleanSample,
            Parameterisation.Velocity => MlpTarget.Velocity,
            _ => null,
        };
        if (target is null)
            return No($"the kernel knows no {config.Process.Parameterisation}", out obstacle);

        var layers = Layers(network);
        var problem = Problem(network, mixture, points.Stream(0, config.Seed), schedule, noise, target.Value, config.Training.Batch);
        obstacle = FusedMlpTraining.Obstacle(layers, problem, optimizer, state.Ema);
        return obstacle is null ? new FusedMlpTraining(layers, problem, optimizer, state.Ema, config.Training.ClipNorm) : null;
    }

    internal static FusedMlpNetwork Layers(MlpDenoiser network) => new(network.Time, network.Hidden, network.Output);

    /// <summary>What <see cref="Objectives.NoisedBatch"/> draws and asks, as tables on the network's device.</summary>
    internal static FusedMlpProblem Problem(
        MlpDenoiser network, GaussianMixture mixture, Generator data, DiscreteSchedule schedule, Generator noise, MlpTarget target, int batch)
    {
        using var noGrad = new NoGrad();
        using var scope = new MemoryScope();
        var steps = Tensor.From(Enumerable.Range(0, schedule.Steps).ToArray(), [schedule.Steps], network.Output.Weight.Device);
        var (alpha, sigma, times) = schedule.At(steps);
        return new FusedMlpProblem(
            [.. mixture.Components.Zip(mixture.Cumulative, (c, sum) => new MlpMixtureComponent(c.Mean.X, c.Mean.Y, c.StandardDeviation, sum))],
            data, noise, MemoryScope.KeepForever(alpha), MemoryScope.KeepForever(sigma), MemoryScope.KeepForever(network.EmbedTimes(times)), target, batch);
    }

    private static FusedMlpTraining? No(string why, out string? obstacle)
    {
        obstacle = why;
        return null;
    }
}
