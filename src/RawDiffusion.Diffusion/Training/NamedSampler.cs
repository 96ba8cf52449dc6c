using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Diffusion.Training;

/// <summary>A sampler that a configuration can name, on a list of times, with the settings of that configuration.</summary>
internal sealed class NamedSampler
{
    private delegate Tensor Method(Denoiser denoiser, Tensor x, double[] times, NoiseSource noise, SamplingConfig sampling, Action<SamplerProgress>? callback);

    private readonly Method _run;

    private NamedSampler(Method run, bool startsWithoutSignal = false, bool takesEta = false) =>
        (_run, StartsWithoutSignal, TakesEta) = (run, startsWithoutSignal, takesEta);

    /// <summary>Values of <see cref="SamplingConfig.Sampler"/>.</summary>
    public static IReadOnlyDictionary<string, NamedSampler> All { get; } = new Dictionary<string, NamedSampler>
    {
        ["ddpm"] = new((d, x, t, noise, s, watch) => Sampler.Ddpm(
            d, x, t, noise, d.LearnsVariance ? ReverseVariance.Learned : ReverseVariance.FixedSmall, Limit(s), watch)),
        ["ddim"] = new((d, x, t, noise, s, watch) => Sampler.Ddim(d, x, t, noise, s.Eta, Limit(s), watch), takesEta: true),
        ["euler"] = new((d, x, t, noise, s, watch) => Sampler.Euler(Limited(d, s), x, t, noise, callback: watch), startsWithoutSignal: true),
        ["heun"] = new((d, x, t, noise, s, watch) => Sampler.Heun(Limited(d, s), x, t, noise, callback: watch)),
        ["dpm-solver-2m"] = new((d, x, t, _, s, watch) => Sampler.DpmSolver2M(Limited(d, s), x, t, watch), startsWithoutSignal: true),
        ["dpm-solver-2s"] = new((d, x, t, noise, s, watch) => Sampler.DpmSolver2S(Limited(d, s), x, t, noise, callback: watch)),
        ["dpm-solver-sde-2m"] = new((d, x, t, noise, s, watch) => Sampler.DpmSolverSde2M(Limited(d, s), x, t, noise, callback: watch)),
        ["euler-maruyama"] = new((d, x, t, noise, s, watch) => Sampler.EulerMaruyama(Limited(d, s), x, t, noise, callback: watch)),
        ["predictor-corrector"] = new((d, x, t, noise, s, watch) => Sampler.PredictorCorrector(
            Limited(d, s), x, ReverseStep.Between(d.Process, t), noise, callback: watch)),
    };

    /// <summary>Whether it can begin where there is noise alone.</summary>
    public bool StartsWithoutSignal { get; }

    /// <summary>Whether <see cref="SamplingConfig.Eta"/> means something to it.</summary>
    public bool TakesEta { get; }

    /// <summary>Samples from the end of the process.</summary>
    public static Tensor Run(SamplingConfig sampling, Denoiser denoiser, Tensor x, NoiseSource noise, Action<SamplerProgress>? callback) =>
        All[sampling.Sampler]._run(denoiser, x, Vocabulary.Grids[sampling.Grid](denoiser.Process, sampling.Steps), noise, sampling, callback);

    private static double Limit(SamplingConfig sampling) => sampling.ClipX0 ?? double.PositiveInfinity;

    /// <summary>A denoiser whose clean samples keep the limit, for samplers that have no limit of their own.</summary>
    private static Denoiser Limited(Denoiser denoiser, SamplingConfig sampling) => sampling.ClipX0 is { } limit
        ? Denoiser.FromFunction((x, t) => denoiser.X0(x, t).Clamp(-limit, limit), denoiser.Process, Parameterisation.X0, parts: denoiser)
        : denoiser;
}
