using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Training;

/// <summary>What a step has left.</summary>
/// <param name="GradientNorm">Before clipping.</param>
internal readonly record struct StepOutcome(double Loss, double GradientNorm);

/// <summary>
/// A training step: noise, loss, backward pass, clipping, optimizer and moving average. Where the device repeats work as a whole, it is
/// given the step as a whole: before each run the inputs of the next batch are copied to where the step reads them. What comes of the
/// steps lies on the device until it is asked for (<see cref="Take"/>), so a step waits for nothing; only a device that does at once what
/// it is asked is looked at within the step, before a number that is not finite reaches the weights.
/// </summary>
internal sealed class TrainingStep : IDisposable
{
    /// <summary>Steps whose outcome may be unknown: after so many at the latest it is noticed that a training has come to nothing.</summary>
    private const int MostUnknown = 50;

    private readonly TrainingState _state;
    private readonly TrainingConfig _config;
    private readonly Tensor _loss;
    private readonly ScalarTrace _losses, _gradientNorms;
    private readonly StepOutcome[] _outcomes = new StepOutcome[MostUnknown];
    private readonly bool _looksAtOnce;
    private readonly Tensor[]? _inputs;
    private readonly StepGraph? _graph;
    private TrainingBatch _batch;

    /// <param name="batch">One like all that follow.</param>
    /// <param name="records">Whether the device may record the step.</param>
    public TrainingStep(TrainingState state, TrainingConfig config, TrainingBatch batch, bool records)
    {
        (_state, _config, _batch) = (state, config, batch);
        var device = batch.Inputs[0].Device;
        _looksAtOnce = !device.CanRecord || config.DetectAnomaly;
        _loss = MemoryScope.KeepForever(Tensor.Zeros(Shape.Scalar, device));
        _losses = new ScalarTrace(device, MostUnknown);
        _gradientNorms = new ScalarTrace(device, MostUnknown);
        if (_looksAtOnce || !records)
            return;
        _inputs = [.. batch.Inputs.Select(input => MemoryScope.KeepForever(input.Clone()))];
        _graph = new StepGraph(device, () => Make(_inputs), state.Optimizer, state.Ema, [.. state.Generators.Select(named => named.Generator)]);
    }

    /// <summary>Steps made whose outcome has not been taken.</summary>
    public int Unknown => _losses.Count;

    /// <summary>Whether the outcome should be taken now: there is no room for more, or it costs nothing.</summary>
    public bool ShouldTake => _looksAtOnce || _losses.IsFull;

    /// <summary>Makes the step of a batch.</summary>
    /// <exception cref="DivergedException">
    /// The loss or the gradient is not finite, on a device that is looked at within the step. The weights are still those before it.
    /// </exception>
    public void Run(TrainingBatch batch)
    {
        if (_graph is null)
        {
            _batch = batch;
            Make(batch.Inputs);
        }
        else
        {
            // The first batch's code runs; what others have of their own are the inputs.
            for (int i = 0; i < _inputs!.Length; i++)
                _inputs[i].CopyFrom(batch.Inputs[i]);
            _graph.Run();
        }
        _losses.Add(_loss);
        _gradientNorms.Add(_state.Optimizer.GradientNorm);
    }

    /// <summary>What has come of the steps since the last call, the oldest first. Waits for the device.</summary>
    /// <returns>Memory that the next call uses again.</returns>
    /// <exception cref="DivergedException">A loss or a gradient was not finite. The weights are spoilt.</exception>
    public ReadOnlySpan<StepOutcome> Take()
    {
        var losses = _losses.Take();
        var gradientNorms = _gradientNorms.Take();
        var outcomes = _outcomes.AsSpan(0, losses.Length);
        for (int i = 0; i < outcomes.Length; i++)
        {
            int step = _state.Step - outcomes.Length + i + 1;
            ExpectFinite(_config, step, "loss", losses[i]);
            ExpectFinite(_config, step, "gradient", gradientNorms[i]);
            outcomes[i] = new StepOutcome(losses[i], gradientNorms[i]);
        }
        return outcomes;
    }

    public void Dispose() => _graph?.Dispose();

    private void Make(IReadOnlyList<Tensor> inputs)
    {
        using var scope = new MemoryScope();
        int size = _config.Batch / _config.Accumulate;
        var drawn = _batch.Draw(inputs);
        Tensor? sum = null;
        for (int part = 0; part < _config.Accumulate; part++)
        {
            using var inner = new MemoryScope();
            var loss = _config.Accumulate > 1 ? _batch.Loss(drawn, part * size, size) : _batch.Loss(drawn);
            if (_config.Accumulate > 1)
                loss /= _config.Accumulate;
            if (_looksAtOnce)
                ExpectFinite(_config, _state.Step + 1, "loss", loss.Item());
            loss.Backward();
            sum = inner.Keep(sum is null ? loss.Detach() : sum + loss.Detach());
        }
        _loss.CopyFrom(sum!);
        var optimizer = _state.Optimizer;
        optimizer.ClipGradNorm(_config.ClipNorm ?? double.PositiveInfinity);
        if (_looksAtOnce)
            ExpectFinite(_config, _state.Step + 1, "gradient", optimizer.LastGradientNorm);
        optimizer.Step(_state.Ema);
        optimizer.ZeroGrad();
    }

    /// <exception cref="DivergedException">A number of a step is not finite.</exception>
    internal static void ExpectFinite(TrainingConfig config, int step, string what, double value)
    {
        if (double.IsFinite(value))
            return;
        string advice = config.DetectAnomaly ? "" : "; --detect-anomaly names the first operation that makes such a value";
        throw new DivergedException(step, $"the {what} is {value}{advice}; a smaller learning rate may help");
    }
}
