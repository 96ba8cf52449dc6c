using System.Diagnostics;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Training;

/// <summary>Why a training ended.</summary>
public enum TrainingEnd
{
    /// <summary>All steps are made.</summary>
    Finished,

    /// <summary>The time is up.</summary>
    TimeLimit,

    /// <summary>It was asked to stop.</summary>
    Stopped,
}

/// <summary>
/// The training loop: loss, backward pass, clipped optimizer step, moving average. Each step runs in a <see cref="MemoryScope"/>, so a
/// warm step allocates nothing. All that changes from step to step is in the <see cref="TrainingState"/>.
/// </summary>
/// <remarks>
/// A GPU is not waited for: losses are read when a line of the log, a picture or a checkpoint is due, every 50 steps and at the end. So a
/// loss that is not finite stops the training up to 50 steps late, but always before a checkpoint would hold what it has spoilt.
/// </remarks>
public sealed class Trainer(TrainingState state, TrainingConfig config, BatchSource source) : IDisposable
{
    private double _learningRate, _gradientNorm;

    // Steps a second in the last launch of Fused.
    private double _fusedPace;

    private TrainingStep? _step;

    /// <summary>
    /// Whether a step is given to the device as a whole, where the device can do so (<see cref="Optim.StepGraph"/>): the same bits, with
    /// less for the host to do. A network of your own that reads from the device in its forward pass needs false.
    /// </summary>
    public bool Records { get; init; } = true;

    /// <summary>
    /// The same training as one kernel, which then makes all steps that <see cref="Run"/> makes; null for the ordinary way. A step of it
    /// that is not finite leaves the weights as they were before it.
    /// </summary>
    public FusedMlpTraining? Fused { get; init; }

    /// <summary>Called every <see cref="TrainingConfig.LogEvery"/> steps, after the first and after the last.</summary>
    public Action<LogLine>? Log { get; init; }

    /// <summary>Called every <see cref="TrainingConfig.SampleEvery"/> steps, but not after the last.</summary>
    public Action? Sample { get; init; }

    /// <summary>Called every <see cref="TrainingConfig.CheckpointEvery"/> steps, but not after the last.</summary>
    public Action? Checkpoint { get; init; }

    /// <summary>A training of which only the network is wanted: trains to the end and leaves the averaged weights in it, ready to be asked.</summary>
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    /// <inheritdoc cref="Run"/>
    public static void Fit(TrainingState state, TrainingConfig config, BatchSource source, IRunReporter reporter, string phase, CancellationToken stop)
    {
        using var trainer = new Trainer(state, config, source);
        if (trainer.Run(reporter, phase, stop) == TrainingEnd.Stopped)
            throw new OperationCanceledException(stop);
        state.Ema?.CopyTo(state.Model);
        state.Model.Eval();
    }

    /// <summary>Trains to the end, or until it is asked to stop: the step that is being made is finished first.</summary>
    /// <exception cref="DivergedException">
    /// The loss or the gradient of a step is not finite. On a CPU the weights are still those before it; on a GPU they are spoilt.
    /// </exception>
    public TrainingEnd Run(IRunReporter reporter, string phase, CancellationToken stop)
    {
        var clock = Stopwatch.StartNew();
        double before = state.Seconds, limit = 60 * config.TimeLimit ?? double.PositiveInfinity;
        (long samples, double seconds) lastLine = (state.Samples, state.Seconds);
        reporter.Begin(phase, config.Steps, config.Batch, state.Step);
        try
        {
            while (true)
            {
                if (End() is { } end)
                {
                    ReadLosses();
                    state.Seconds = before + clock.Elapsed.TotalSeconds;
                    return end;
                }
                if (Fused is null)
                    RunStep();
                else
                    RunFused(Fused);
                bool logs = IsDue(config.LogEvery) || state.Step == 1 || state.Step == config.Steps;
                if (logs || IsDue(config.SampleEvery) || IsDue(config.CheckpointEvery))
                    ReadLosses();
                state.Seconds = before + clock.Elapsed.TotalSeconds;
                if (logs)
                {
                    state.LoggedLoss = state.LossSum / state.LossCount;
                    double rate = (state.Samples - lastLine.samples) / Math.Max(1e-9, state.Seconds - lastLine.seconds);
                    Log?.Invoke(new LogLine(state.Step, state.Samples, state.LoggedLoss.Value, _learningRate, _gradientNorm, state.Seconds, rate));
                    (state.LossSum, state.LossCount) = (0, 0);
                    lastLine = (state.Samples, state.Seconds);
                }
                if (IsDue(config.SampleEvery) && state.Step < config.Steps)
                    Sample?.Invoke();
                if (IsDue(config.CheckpointEvery) && state.Step < config.Steps)
                    Checkpoint?.Invoke();
                reporter.Report(state.Step, state.LoggedLoss);
            }
        }
        finally
        {
            reporter.End();
        }

        TrainingEnd? End() =>
            state.Step >= config.Steps ? TrainingEnd.Finished
            : state.Seconds >= limit ? TrainingEnd.TimeLimit
            : stop.IsCancellationRequested ? TrainingEnd.Stopped
            : null;
    }

    /// <summary>Makes one step. On a GPU its loss is known after <see cref="ReadLosses"/>.</summary>
    /// <inheritdoc cref="Run" path="/exception"/>
    public void RunStep()
    {
        using var scope = new MemoryScope();
        using var anomaly = new DetectAnomaly(config.DetectAnomaly);
        try
        {
            var batch = source(FirstSample(state.Samples), config.Batch);
            state.Optimizer.LearningRate = _learningRate = LearningRate(state.Step);
            _step ??= new TrainingStep(state, config, batch, Records);
            _step.Run(batch);
        }
        catch (AnomalyException e)
        {
            throw new DivergedException(state.Step + 1, e.Message, e);
        }
        state.Samples += config.Batch;
        state.Step++;
        if (_step.ShouldTake)
            ReadLosses();
    }

    /// <summary>Takes the losses of all steps made so far into the <see cref="TrainingState"/>. Waits for the device.</summary>
    /// <inheritdoc cref="Run" path="/exception"/>
    public void ReadLosses()
    {
        if (_step is null)
            return;
        foreach (var outcome in _step.Take())
        {
            state.LossSum += outcome.Loss;
            state.LossCount++;
            _gradientNorm = outcome.GradientNorm;
        }
    }

    /// <summary>Ends the recording of the step, if there is one.</summary>
    public void Dispose() => _step?.Dispose();

    /// <summary>What is decided for the steps that come next.</summary>
    internal FusedMlpStep[] NextSteps(int count)
    {
        var steps = new FusedMlpStep[count];
        for (int i = 0; i < count; i++)
            steps[i] = new FusedMlpStep(LearningRate(state.Step + i), FirstSample(state.Samples + (long)i * config.Batch));
        return steps;
    }

    /// <summary>Makes the steps up to the next at which there is something else to do, or those of a quarter of a second.</summary>
    private void RunFused(FusedMlpTraining fused)
    {
        // The first step has a line of its own in the log.
        int count = state.Step == 0 ? 1 : config.Steps - state.Step;
        foreach (int every in (ReadOnlySpan<int>)[config.LogEvery, config.SampleEvery, config.CheckpointEvery])
            count = every > 0 ? Math.Min(count, every - state.Step % every) : count;
        count = Math.Min(count, Math.Max(1, (int)Math.Min(FusedMlpTraining.MostSteps, _fusedPace / 4)));
        var steps = NextSteps(count);
        var clock = Stopwatch.StartNew();
        var (losses, norms) = fused.Run(steps);
        _fusedPace = count / clock.Elapsed.TotalSeconds;
        _learningRate = steps[^1].LearningRate;
        for (int i = 0; i < losses.Length; i++)
        {
            _gradientNorm = norms.Span[i];
            TrainingStep.ExpectFinite(config, state.Step + 1, "loss", losses.Span[i]);
            TrainingStep.ExpectFinite(config, state.Step + 1, "gradient", _gradientNorm);
            state.LossSum += losses.Span[i];
            state.LossCount++;
            state.Samples += config.Batch;
            state.Step++;
        }
    }

    private long FirstSample(long samples) =>
        config.OverfitBatches is { } batches ? samples % ((long)batches * config.Batch) : samples;

    private double LearningRate(int step)
    {
        int warmup = Math.Min(config.Warmup, config.Steps / 10);
        double factor = config.LearningRateSchedule switch
        {
            "constant" => Schedule.Constant(step, warmup),
            "linear" => Schedule.Linear(step, config.Steps, warmup),
            _ => Schedule.Cosine(step, config.Steps, warmup),
        };
        return config.LearningRate * factor;
    }

    private bool IsDue(int every) => every > 0 && state.Step % every == 0;
}
