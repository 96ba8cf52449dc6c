using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Tests.Diffusion;

/// <summary>All samplers by name, so that what holds of every one can be asked of every one.</summary>
internal static class EverySampler
{
    public delegate Tensor Method(Denoiser denoiser, Tensor x, double[] times, Generator generator, Action<SamplerProgress>? watch);

    /// <summary>Those that walk a list of times to its end.</summary>
    public static IReadOnlyDictionary<string, Method> OnGrids { get; } = new Dictionary<string, Method>
    {
        ["ddpm"] = (d, x, t, g, watch) => Sampler.Ddpm(d, x, t, g, callback: watch),
        ["ddpm-large"] = (d, x, t, g, watch) => Sampler.Ddpm(d, x, t, g, ReverseVariance.FixedLarge, callback: watch),
        ["ddpm-clipped"] = (d, x, t, g, watch) => Sampler.Ddpm(d, x, t, g, clipX0: 2, callback: watch),
        ["ddim"] = (d, x, t, g, watch) => Sampler.Ddim(d, x, t, g, callback: watch),
        ["ddim-eta"] = (d, x, t, g, watch) => Sampler.Ddim(d, x, t, g, eta: 1, callback: watch),
        ["ddim-clipped"] = (d, x, t, g, watch) => Sampler.Ddim(d, x, t, g, clipX0: 2, callback: watch),
        ["euler"] = (d, x, t, g, watch) => Sampler.Euler(d, x, t, g, callback: watch),
        ["euler-churn"] = (d, x, t, g, watch) => Sampler.Euler(d, x, t, g, new Sampler.Churn(5, 0.05, 10), watch),
        ["heun"] = (d, x, t, g, watch) => Sampler.Heun(d, x, t, g, callback: watch),
        ["dpm-solver-2m"] = (d, x, t, g, watch) => Sampler.DpmSolver2M(d, x, t, watch),
        ["dpm-solver-2s"] = (d, x, t, g, watch) => Sampler.DpmSolver2S(d, x, t, g, callback: watch),
        ["dpm-solver-2s-eta"] = (d, x, t, g, watch) => Sampler.DpmSolver2S(d, x, t, g, eta: 1, callback: watch),
        ["dpm-solver-sde-2m"] = (d, x, t, g, watch) => Sampler.DpmSolverSde2M(d, x, t, g, callback: watch),
        ["euler-maruyama"] = (d, x, t, g, watch) => Sampler.EulerMaruyama(d, x, t, g, callback: watch),
        ["predictor"] = (d, x, t, g, watch) => Sampler.PredictorCorrector(d, x, ReverseStep.Between(d.Process, t), g, corrector: 0, callback: watch),
        ["predictor-corrector"] = (d, x, t, g, watch) => Sampler.PredictorCorrector(d, x, ReverseStep.Between(d.Process, t), g, callback: watch),
    };

    /// <summary>And those that end elsewhere, or choose their times themselves.</summary>
    public static IReadOnlyDictionary<string, Method> All { get; } = new Dictionary<string, Method>(OnGrids)
    {
        ["langevin"] = (d, x, t, g, watch) => Sampler.AnnealedLangevin(d, x, t[..^1], g, stepsPerLevel: 2, stepSize: 1e-4, watch),
        ["probability-flow"] = (d, x, t, g, watch) => Sampler.ProbabilityFlow(d, x, t[0], t[^2], new OdeTolerance(1e-3, 1e-3), callback: watch),
        ["inversion"] = (d, x, t, g, watch) => Sampler.Invert(d, x, [.. t.Reverse()], watch),
    };

    public static TheoryData<string> NamesOnGrids => [.. OnGrids.Keys];

    public static TheoryData<string> Names => [.. All.Keys];

    public static Tensor Run(string name, Denoiser denoiser, Tensor x, double[] times, Generator? generator = null, Action<SamplerProgress>? watch = null) =>
        All[name](denoiser, x, times, generator ?? new Generator(1), watch);
}
