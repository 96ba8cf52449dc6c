using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Nn;

namespace RawDiffusion.Optim;

/// <summary>
/// A network for points of the plane, x[n, 2] -> [n, 2]: h_0 = x, h_i = silu(hidden_i(h_(i-1)) + time(embedding)), output(h_last).
/// </summary>
/// <param name="Time">[embedding] -> [width].</param>
/// <param name="Hidden">[2] -> [width], then [width] -> [width].</param>
/// <param name="Output">[width] -> [2].</param>
public sealed record FusedMlpNetwork(Linear Time, IReadOnlyList<Linear> Hidden, Linear Output);

/// <summary>
/// What the network learns: L_simple of DDPM (Ho et al. 2020, equation 14) on a mixture of Gaussians. Sample n of the data is made of
/// block n of <paramref name="Data"/>: integer 0 picks the component, integers 1 and 2 make two normals.
/// </summary>
/// <param name="Mixture">The components.</param>
/// <param name="Data">The stream of the data; its offset is not used.</param>
/// <param name="Noise">
/// Draws in each step first one integer, by which the times are spread, floor(times (i + u) / n), then the noise; goes on with each step.
/// </param>
/// <param name="Alpha">The signal's scale of each time, [times].</param>
/// <param name="Sigma">The noise's scale of each time, [times].</param>
/// <param name="Embedding">What the network is told of each time, [times, embedding].</param>
/// <param name="Target">What it should say.</param>
/// <param name="Batch">Samples of a step.</param>
public sealed record FusedMlpProblem(
    IReadOnlyList<MlpMixtureComponent> Mixture, Generator Data, Generator Noise, Tensor Alpha, Tensor Sigma, Tensor Embedding, MlpTarget Target,
    int Batch);

/// <summary>What is decided for one step.</summary>
/// <param name="FirstSample">The number of the batch's first sample.</param>
public readonly record struct FusedMlpStep(double LearningRate, long FirstSample);

/// <summary>
/// Many training steps of a small network in one launch of one kernel (<c>kernels/mlp_train.cu</c>), on a GPU: the same training as by
/// <see cref="StepGraph"/>, with the same random numbers and up to rounding the same results, without its some sixty launches a step.
/// How many steps are made in a launch changes no bit.
/// </summary>
public sealed class FusedMlpTraining : IDisposable
{
    private readonly FusedMlpProblem _problem;
    private readonly AdamOptimizer _optimizer;
    private readonly Ema? _ema;
    private readonly double _maxNorm;
    private readonly CudaBackend.MlpTraining _training;
    private readonly MlpTrainMove[] _moves = new MlpTrainMove[MostSteps];
    private readonly float[] _losses = new float[MostSteps], _norms = new float[MostSteps];
    private readonly StepScalars _scalars = new();

    /// <param name="optimizer">Has the parameters of the network and no others.</param>
    /// <param name="ema">An average of the same parameters, if any.</param>
    /// <param name="maxNorm">The gradient's largest norm; null for no limit.</param>
    /// <exception cref="NotSupportedException">The kernel cannot do it: <see cref="Obstacle"/> says why.</exception>
    public FusedMlpTraining(FusedMlpNetwork network, FusedMlpProblem problem, AdamOptimizer optimizer, Ema? ema, double? maxNorm)
        : this(network, problem, optimizer, ema, maxNorm, null)
    {
    }

    /// <summary>On so many multiprocessors at most.</summary>
    internal FusedMlpTraining(FusedMlpNetwork network, FusedMlpProblem problem, AdamOptimizer optimizer, Ema? ema, double? maxNorm, int? blocks)
    {
        if (Obstacle(network, problem, optimizer, ema) is { } obstacle)
            throw new NotSupportedException($"The training cannot be one kernel: {obstacle}.");
        (_problem, _optimizer, _ema, _maxNorm) = (problem, optimizer, ema, maxNorm ?? double.PositiveInfinity);
        var arena = optimizer.Arena;
        var storages = new MlpTrainStorages(
            arena.Values, arena.Gradients, optimizer.FirstMoment, optimizer.SecondMoment, ema?.AverageIn(arena),
            problem.Alpha.Storage, problem.Sigma.Storage, problem.Embedding.Storage);
        _training = new CudaBackend.MlpTraining((CudaBackend)arena.Device, Shape(network, problem, arena), storages, [.. problem.Mixture], blocks);
    }

    /// <summary>Steps that one launch makes, at most.</summary>
    public static int MostSteps => CudaBackend.MlpTraining.MostSteps;

    /// <summary>Why the kernel cannot do a training, half a sentence; null where it can.</summary>
    public static string? Obstacle(FusedMlpNetwork network, FusedMlpProblem problem, Optimizer optimizer, Ema? ema)
    {
        var arena = optimizer.Arena;
        if (arena.Device is not CudaBackend device)
            return $"{arena.Device.Name} is no GPU";
        if (optimizer is not AdamOptimizer)
            return $"the optimizer must be Adam or AdamW, not {optimizer.GetType().Name}";
        Linear[] layers = [network.Time, .. network.Hidden, network.Output];
        if (layers.Any(layer => layer.Bias is null))
            return "every layer must have a bias";
        var parameters = layers.SelectMany(layer => new[] { layer.Weight, layer.Bias! }).ToHashSet();
        if (!parameters.SetEquals(arena.Parameters.Select(named => named.Parameter)))
            return "the optimizer must have the network's parameters and no others";
        if (ema is not null && ema.AverageIn(arena) is null)
            return "the moving average must be of the optimizer's parameters";
        int width = network.Output.Weight.Shape[1], embedding = problem.Embedding.Shape[1];
        bool fits = network.Time.Weight.Shape == [width, embedding] && network.Output.Weight.Shape == [2, width]
            && network.Hidden.Select((layer, i) => layer.Weight.Shape == [width, i == 0 ? 2 : width]).All(fitting => fitting);
        return fits
            ? CudaBackend.MlpTraining.Obstacle(device, Shape(network, problem, arena))
            : "the network must lead from the plane through equally wide layers to the plane";
    }

    /// <summary>
    /// Makes steps and waits for them; at most <see cref="MostSteps"/>. Ends early at a step whose loss or gradient is not finite, which
    /// then is the last of the results and, unlike those before it, has changed nothing.
    /// </summary>
    /// <returns>The loss of each step and the norm of its gradient before clipping; valid until the next call.</returns>
    public (ReadOnlyMemory<float> Losses, ReadOnlyMemory<float> Norms) Run(ReadOnlySpan<FusedMlpStep> steps)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(steps.Length, MostSteps);
        int optimizerSteps = _optimizer.StepCount, emaSteps = _ema?.StepCount ?? 0, made = 0;
        ulong noiseStart = _problem.Noise.Offset, noiseBlocks = PhiloxState.Blocks(1) + PhiloxState.Blocks(2 * _problem.Batch);
        try
        {
            for (int i = 0; i < steps.Length; i++)
            {
                _optimizer.LearningRate = steps[i].LearningRate;
                _optimizer.BeginReplay(_scalars);
                _ema?.BeginReplay(_scalars);
                _moves[i] = new MlpTrainMove(
                    new PhiloxState(_problem.Data.Seed, _problem.Data.Stream, (ulong)steps[i].FirstSample),
                    new PhiloxState(_problem.Noise.Seed, _problem.Noise.Stream, noiseStart + (ulong)i * noiseBlocks),
                    _scalars.AdamW!.Value, _ema is null ? 1 : _scalars.EmaDecay!.Value);
            }
            _training.Run(_moves.AsSpan(0, steps.Length), _maxNorm, _losses, _norms);
            while (made < steps.Length && float.IsFinite(_losses[made]) && float.IsFinite(_norms[made]))
                made++;
        }
        finally
        {
            _optimizer.StepCount = optimizerSteps + made;
            if (_ema is not null)
                _ema.StepCount = emaSteps + made;
            _problem.Noise.Offset = noiseStart + (ulong)made * noiseBlocks;
        }
        int known = Math.Min(made + 1, steps.Length);
        return (_losses.AsMemory(0, known), _norms.AsMemory(0, known));
    }

    public void Dispose() => _training.Dispose();

    private static MlpTrainShape Shape(FusedMlpNetwork network, FusedMlpProblem problem, ParameterArena arena) => new()
    {
        Width = network.Output.Weight.Shape[1],
        TimeWidth = problem.Embedding.Shape[1],
        Batch = problem.Batch,
        Target = problem.Target,
        TimeWeight = arena.OffsetOf(network.Time.Weight),
        TimeBias = arena.OffsetOf(network.Time.Bias!),
        Hidden = [.. network.Hidden.Select(layer => (arena.OffsetOf(layer.Weight), arena.OffsetOf(layer.Bias!)))],
        OutputWeight = arena.OffsetOf(network.Output.Weight),
        OutputBias = arena.OffsetOf(network.Output.Bias!),
    };
}
