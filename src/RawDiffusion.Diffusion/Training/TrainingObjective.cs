using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Diffusion.Training;

/// <summary>
/// What a model learns by, as a configuration names it: L_simple at the steps of a DDPM unless it asks for more, else one loss over
/// continuous times with a weight, or the hybrid one that teaches the variance of the reverse steps too.
/// </summary>
internal sealed class TrainingObjective
{
    private readonly DiffusionModel _model;
    private readonly Denoiser _denoiser;
    private readonly Generator _noise;
    private readonly TimeSampler _times;
    private readonly LossWeight? _weight;
    private readonly bool _isSimple;

    /// <param name="noise">Draws times and noise.</param>
    public TrainingObjective(TrainingConfig training, DiffusionModel model, Generator noise, Backend device)
    {
        (_model, _noise, _isSimple) = (model, noise, IsSimple(training, model));
        _denoiser = model.Denoiser((x, times) => model.Forward(x, times, null));
        Schedule = new DiscreteSchedule(model.Process, device: device);
        _weight = Vocabulary.Weights[training.Weight]?.Invoke(model.DataStandardDeviation);
        _times = model.LearnsVariance ? TimeSampler.Steps(Schedule) : Vocabulary.Times[training.Times](model.Process);
    }

    /// <summary>The steps of a DDPM.</summary>
    public DiscreteSchedule Schedule { get; }

    /// <summary>Whether the objective is L_simple at equally likely steps.</summary>
    public static bool IsSimple(TrainingConfig training, DiffusionModel model) =>
        training.Weight == Vocabulary.PlainWeight && training.Times == Vocabulary.UniformTimes && !model.LearnsVariance
        && model.Parameterisation is Parameterisation.Epsilon or Parameterisation.X0 or Parameterisation.Velocity;

    /// <summary>A step's loss.</summary>
    /// <param name="x0">Data, [n, ...].</param>
    /// <param name="labels">What the network is told of them; null for nothing.</param>
    public TrainingBatch Batch(Tensor x0, Tensor? labels) =>
        _isSimple ? new NoisedBatch(_model.Forward, Schedule, x0, labels, _noise, _model.Parameterisation)
        : _model.LearnsVariance ? new HybridBatch(_model.Forward, _denoiser, x0, labels, _times, Schedule.Steps, x0.Rank == 2 ? Decoder.Gaussian : Decoder.Discretised, _noise)
        : new ContinuousBatch(_model.Forward, _denoiser, x0, labels, _times, _weight, _noise);
}
