using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Training;

/// <summary>
/// A training step that a device repeats as a whole: noise, loss, backward pass, clipping, optimizer and moving average. Before each
/// run the inputs of the next batch are copied to where the step reads them; after it the loss lies where the step leaves it.
/// </summary>
internal sealed class RecordedTraining : IDisposable
{
    private readonly TrainingState _state;
    private readonly TrainingConfig _config;
    private readonly TrainingBatch _batch;
    private readonly Tensor[] _inputs;
    private readonly Tensor _loss;
    private readonly StepGraph _graph;

    /// <param name="batch">One like all that follow.</param>
    public RecordedTraining(TrainingState state, TrainingConfig config, TrainingBatch batch)
    {
        (_state, _config, _batch) = (state, config, batch);
        _inputs = [.. batch.Inputs.Select(input => MemoryScope.KeepForever(input.Clone()))];
        _loss = MemoryScope.KeepForever(Tensor.Zeros(Shape.Scalar, _inputs[0].Device));
        _graph = new StepGraph(_loss.Device, Step, state.Optimizer, state.Ema, [.. state.Generators.Select(named => named.Generator)]);
    }

    /// <returns>The loss. Waits for the device.</returns>
    public double Run(TrainingBatch batch)
    {
        for (int i = 0; i < _inputs.Length; i++)
            _inputs[i].CopyFrom(batch.Inputs[i]);
        _graph.Run();
        return _loss.Item();
    }

    public void Dispose() => _graph.Dispose();

    private void Step()
    {
        using var scope = new MemoryScope();
        int size = _config.Batch / _config.Accumulate;
        var drawn = _batch.Draw(_inputs);
        Tensor? sum = null;
        for (int part = 0; part < _config.Accumulate; part++)
        {
            using var inner = new MemoryScope();
            var loss = _batch.Loss(drawn, part * size, size);
            if (_config.Accumulate > 1)
                loss /= _config.Accumulate;
            loss.Backward();
            sum = inner.Keep(sum is null ? loss.Detach() : sum + loss.Detach());
        }
        _loss.CopyFrom(sum!);
        _state.Optimizer.ClipGradNorm(_config.ClipNorm ?? double.PositiveInfinity);
        _state.Optimizer.Step();
        _state.Optimizer.ZeroGrad();
        _state.Ema?.Update();
    }
}
