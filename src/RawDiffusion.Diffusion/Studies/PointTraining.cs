using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>The training that studies of the plane share: an MLP, AdamW, a cosine schedule and a moving average.</summary>
internal static class PointTraining
{
    private const double LearningRate = 2e-3, EmaDecay = 0.998;
    private const int Batch = 512;

    /// <summary>Learns a denoiser.</summary>
    /// <param name="times">Which times it is asked about; uniform ones from the process's first thousandth when left out.</param>
    /// <param name="weight">How much errors count; the plain error of the network's output when left out.</param>
    public static Denoiser Train(
        IPointDistribution data, ForwardProcess process, Parameterisation parameterisation, ulong seed, int steps, StudyContext context,
        TimeSampler? times = null, LossWeight? weight = null, double dataStandardDeviation = 1)
    {
        var generator = new Generator(seed, 91);
        var model = new MlpDenoiser(generator, context.Device);
        var denoiser = new Denoiser(model.Forward, process, parameterisation, dataStandardDeviation);
        times ??= TimeSampler.Uniform(process, 1e-3 * process.EndTime);
        Learn(model, steps, context, () =>
        {
            var x0 = Draw(data, generator, context.Device);
            var batch = new ContinuousBatch((x, t, _) => model.Forward(x, t), denoiser, x0, null, times, weight, generator);
            return batch.Loss(batch.Draw(batch.Inputs));
        });
        return denoiser;
    }

    /// <summary>Makes the steps of a training and leaves the averaged weights in the model.</summary>
    /// <param name="loss">The loss of a fresh batch.</param>
    public static void Learn(Nn.Module model, int steps, StudyContext context, Func<Tensor> loss)
    {
        var optimizer = new AdamW(model.NamedParameters(), LearningRate);
        var ema = new Ema(model, EmaDecay);
        for (int step = 0; step < steps; step++)
        {
            context.ThrowIfStopped();
            using var scope = new MemoryScope();
            optimizer.ZeroGrad();
            loss().Backward();
            optimizer.ClipGradNorm(1);
            optimizer.LearningRate = LearningRate * Schedule.Cosine(step, steps, warmup: steps / 20);
            optimizer.Step();
            ema.Update();
        }
        ema.CopyTo(model);
        model.Eval();
    }

    public static Tensor Draw(IPointDistribution data, Generator generator, Backend device) => data.Sample(Batch, generator).To(device);
}
