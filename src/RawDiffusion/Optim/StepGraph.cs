using RawDiffusion.Backends;

namespace RawDiffusion.Optim;

/// <summary>
/// A step that is made again and again with the same shapes, given to a GPU as a whole: the first run is made call by call, the second
/// is recorded, and from then on a run is one launch, which waits for nothing. Elsewhere every run is made call by call. The results are
/// the same bits either way.
/// </summary>
/// <remarks>
/// The step reads its inputs from tensors that live as long as the graph and whose contents are replaced between runs
/// (<see cref="Tensor.CopyFrom"/>), and leaves its results in others. Only what it asks of the device is repeated: C# in it runs no more
/// once it is recorded. What changes from run to run nevertheless is known to the graph: the step count and learning rate of the
/// optimizer, the decay of the average, and where the random numbers of the generators stand. Nothing in it may read from the device.
/// </remarks>
/// <example><code>
/// using var graph = new StepGraph(device, () =>
/// {
///     using var scope = new MemoryScope();
///     var loss = F.MseLoss(model.Forward(x), y);
///     loss.Backward();
///     optimizer.Step();
///     optimizer.ZeroGrad();
///     total.Add(loss);
/// }, optimizer);
/// for (int i = 0; i &lt; steps; i++)
/// {
///     x.CopyFrom(...);
///     graph.Run();
/// }
/// </code></example>
public sealed class StepGraph : IDisposable
{
    private readonly Backend _device;
    private readonly Action _step;
    private readonly Optimizer? _optimizer;
    private readonly Ema? _ema;
    private readonly Generator[] _generators;
    private readonly ulong[] _draws;
    private readonly StepScalars _scalars = new();
    private RecordedWork? _recorded;
    private bool _hasRun, _isDirect, _hasLackedMemory;
    private int _optimizerSteps, _emaSteps;

    /// <param name="step">What one run does.</param>
    /// <param name="optimizer">Whose step it holds, if any.</param>
    /// <param name="ema">Whose update it holds, if any.</param>
    /// <param name="generators">Those that it draws from.</param>
    public StepGraph(Backend device, Action step, Optimizer? optimizer = null, Ema? ema = null, params ReadOnlySpan<Generator> generators)
    {
        (_device, _step, _optimizer, _ema) = (device, step, optimizer, ema);
        _generators = generators.ToArray();
        _draws = new ulong[_generators.Length];
    }

    /// <summary>Whether a run is one launch by now.</summary>
    public bool IsRecorded => _recorded is not null;

    /// <summary>Makes the step once.</summary>
    /// <exception cref="InvalidOperationException">The step cannot be recorded: it reads from the device, uploads, or needs more than its first run did.</exception>
    public void Run()
    {
        if (_hasRun && !_isDirect && _recorded is null)
            TryRecord();
        if (_recorded is null)
            _step();
        else
            Replay(_recorded);
        _hasRun = true;
    }

    public void Dispose()
    {
        _recorded?.Dispose();
        _recorded = null;
        _isDirect = true;
    }

    private void TryRecord()
    {
        try
        {
            Record();
        }
        catch (RecordingMemoryException) when (!_hasLackedMemory)
        {
            // Another graph has taken what the first run left. This run is made call by call as well, and the next one is recorded.
            _hasLackedMemory = true;
        }
    }

    /// <summary>Records the step and takes back what that did to the counts: no step has been made by it.</summary>
    private void Record()
    {
        int optimizerSteps = _optimizer?.StepCount ?? 0, emaSteps = _ema?.StepCount ?? 0;
        ulong[] offsets = [.. _generators.Select(generator => generator.Offset)];
        RecordedWork? recorded = null;
        try
        {
            recorded = _device.Record(_step);
            if (recorded is null)
            {
                _isDirect = true;
                return;
            }
            _optimizerSteps = (_optimizer?.StepCount ?? 0) - optimizerSteps;
            _emaSteps = (_ema?.StepCount ?? 0) - emaSteps;
            if (_optimizerSteps > 1 || _emaSteps > 1)
                throw new InvalidOperationException("A graph holds at most one step of an optimizer and one update of an average: each has its numbers only once.");
            for (int i = 0; i < offsets.Length; i++)
                _draws[i] = _generators[i].Offset - offsets[i];
            _recorded = recorded;
        }
        finally
        {
            if (_recorded is null)
                recorded?.Dispose();
            if (_optimizer is not null)
                _optimizer.StepCount = optimizerSteps;
            if (_ema is not null)
                _ema.StepCount = emaSteps;
            for (int i = 0; i < offsets.Length; i++)
                _generators[i].Offset = offsets[i];
        }
    }

    private void Replay(RecordedWork recorded)
    {
        _scalars.Streams.Clear();
        for (int i = 0; i < _generators.Length; i++)
            _scalars.Streams.Add(new PhiloxState(_generators[i].Seed, _generators[i].Stream, _generators[i].Offset));
        if (_optimizerSteps > 0)
            _optimizer!.BeginReplay(_scalars);
        if (_emaSteps > 0)
            _ema!.BeginReplay(_scalars);
        recorded.Replay(_scalars);
        for (int i = 0; i < _generators.Length; i++)
            _generators[i].Offset += _draws[i];
    }
}
