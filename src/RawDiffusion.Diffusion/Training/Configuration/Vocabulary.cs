using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Training.Configuration;

/// <summary>What the names in a configuration stand for.</summary>
internal static class Vocabulary
{
    /// <summary>The default of <see cref="TrainingConfig.Weight"/>: the squared error of what the network says.</summary>
    public const string PlainWeight = "plain";

    /// <summary>The default of <see cref="TrainingConfig.Times"/>.</summary>
    public const string UniformTimes = "uniform";

    /// <summary>Values of <see cref="ProcessConfig.Schedule"/>. All end at time 1.</summary>
    public static IReadOnlyDictionary<string, Func<ForwardProcess>> Processes { get; } = new Dictionary<string, Func<ForwardProcess>>
    {
        ["linear"] = () => new LinearSchedule(),
        ["cosine"] = () => new CosineSchedule(),
        ["sigmoid"] = () => new SigmoidSchedule(),
        ["sub-vp"] = () => new SubVariancePreserving(),
        ["flow"] = () => new StraightFlow(),
    };

    /// <summary>Values of <see cref="ProcessConfig.Parameterisation"/>.</summary>
    public static IReadOnlyDictionary<string, Parameterisation> Parameterisations { get; } = new Dictionary<string, Parameterisation>
    {
        ["epsilon"] = Parameterisation.Epsilon,
        ["x0"] = Parameterisation.X0,
        ["velocity"] = Parameterisation.Velocity,
        ["score"] = Parameterisation.Score,
        ["flow-velocity"] = Parameterisation.FlowVelocity,
        ["preconditioned"] = Parameterisation.Preconditioned,
    };

    /// <summary>Values of <see cref="TrainingConfig.Weight"/>, given the data's standard deviation; null for <see cref="PlainWeight"/>.</summary>
    public static IReadOnlyDictionary<string, Func<double, LossWeight>?> Weights { get; } = new Dictionary<string, Func<double, LossWeight>?>
    {
        [PlainWeight] = null,
        ["simple"] = _ => LossWeights.Simple,
        ["velocity"] = _ => LossWeights.Velocity,
        ["min-snr"] = _ => LossWeights.MinSnr(),
        ["p2"] = _ => LossWeights.P2(),
        ["edm"] = deviation => LossWeights.Edm(deviation),
        ["likelihood"] = _ => LossWeights.Likelihood,
    };

    /// <summary>Values of <see cref="TrainingConfig.Times"/>.</summary>
    public static IReadOnlyDictionary<string, Func<ForwardProcess, TimeSampler>> Times { get; } = new Dictionary<string, Func<ForwardProcess, TimeSampler>>
    {
        [UniformTimes] = process => TimeSampler.Uniform(process, FirstTime),
        ["log-snr"] = process => TimeSampler.LogSnr(process, process.NoiseToSignal(FirstTime), LargestNoise(process)),
    };

    /// <summary>Values of <see cref="SamplingConfig.Grid"/>.</summary>
    public static IReadOnlyDictionary<string, Func<ForwardProcess, int, double[]>> Grids { get; } = new Dictionary<string, Func<ForwardProcess, int, double[]>>
    {
        ["uniform"] = TimeGrid.Uniform,
        ["quadratic"] = TimeGrid.Quadratic,
        ["log-snr"] = (process, steps) => TimeGrid.LogSnr(process, steps, process.NoiseToSignal(FirstTime)),
        ["karras"] = (process, steps) => TimeGrid.Karras(process, steps, process.NoiseToSignal(FirstTime)),
    };

    /// <summary>The first step of a DDPM of 1,000: networks know of no less noise.</summary>
    private const double FirstTime = 1.0 / DiscreteSchedule.DefaultSteps;

    /// <summary>Whether a process ends in noise alone, where what divides by the signal is not defined.</summary>
    public static bool EndsWithoutSignal(ForwardProcess process) => !double.IsFinite(process.NoiseToSignal(process.EndTime));

    // Of a process that ends without signal all but the last step.
    private static double LargestNoise(ForwardProcess process) => process.NoiseToSignal(EndsWithoutSignal(process) ? 1 - FirstTime : process.EndTime);
}
