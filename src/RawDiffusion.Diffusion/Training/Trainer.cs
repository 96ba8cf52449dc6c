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
public sealed class Trainer(TrainingState state, TrainingConfig config, BatchSource source) : IDisposable
{
    private double _learningRate, _gradientNorm;
    private RecordedTraining? _recorded;

    /// <summary>
    /// Whether a step is given to the device as a whole, where the device can do so (<see cref="Optim.StepGraph"/>): the same bits, with
    /// less for the host to do. A network that reads from the device in its forward pass needs false.
    /// </summary>
    public bool Records { get; init; } = true;

    /// <summary>Called every <see cref="TrainingConfig.LogEvery"/> steps, after the first and after the last.</summary>
    public Action<LogLine>? Log { get; init; }

    /// <summary>Called every <see cref="TrainingConfig.SampleEvery"/> steps, but not after the last.</summary>
    public Action? Sample { get; init; }

    /// <summary>Called every <see cref="TrainingConfig.CheckpointEvery"/> steps, but not after the last.</summary>
    public Action? Checkpoint { get; init; }

    /// <summary>Trains to the end, or until it is asked to stop: the step that is being made is finished first.</summary>
    /// <exception cref="DivergedException">
    /// The loss or the gradient is not finite. The weights are still those before that step, unless it was recorded: then they are spoilt.
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
                if (state.Step >= config.Steps)
                    return TrainingEnd.Finished;
                if (state.Seconds >= limit)
                    return TrainingEnd.TimeLimit;
                if (stop.IsCancellationRequested)
                    return TrainingEnd.Stopped;
                RunStep();
                state.Seconds = before + clock.Elapsed.TotalSeconds;
                if (IsDue(config.LogEvery) || state.Step == 1 || state.Step == config.Steps)
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
    }

    /// <summary>Makes one step.</summary>
    /// <inheritdoc cref="Run" path="/exception"/>
    public void RunStep()
    {
        using var scope = new MemoryScope();
        using var anomaly = new DetectAnomaly(config.DetectAnomaly);
        try
        {
            var batch = source(FirstSample(), config.Batch);
            state.Optimizer.LearningRate = _learningRate = config.LearningRate * LearningRateFactor();
            state.LossSum += Records && !config.DetectAnomaly && batch.Inputs[0].Device.CanRecord ? RepeatStep(batch) : MakeStep(batch);
            state.LossCount++;
            state.Samples += config.Batch;
            state.Step++;
        }
        catch (AnomalyException e)
        {
            throw new DivergedException(state.Step + 1, e.Message, e);
        }
    }

    /// <summary>Ends the recording of the step, if there is one.</summary>
    public void Dispose() => _recorded?.Dispose();

    /// <summary>Makes a step call by call.</summary>
    /// <returns>The loss.</returns>
    private double MakeStep(TrainingBatch batch)
    {
        double loss = Accumulate(batch);
        var optimizer = state.Optimizer;
        optimizer.ClipGradNorm(config.ClipNorm ?? double.PositiveInfinity);
        _gradientNorm = optimizer.LastGradientNorm;
        ExpectFinite("gradient", _gradientNorm);
        optimizer.Step();
        optimizer.ZeroGrad();
        state.Ema?.Update();
        return loss;
    }

    /// <summary>Makes a step as a whole.</summary>
    private double RepeatStep(TrainingBatch batch)
    {
        _recorded ??= new RecordedTraining(state, config, batch);
        double loss = _recorded.Run(batch);
        _gradientNorm = state.Optimizer.LastGradientNorm;
        ExpectFinite("loss", loss);
        ExpectFinite("gradient", _gradientNorm);
        return loss;
    }

    /// <summary>The mean loss of a batch; its gradients are added up part by part.</summary>
    private double Accumulate(TrainingBatch batch)
    {
        int size = config.Batch / config.Accumulate;
        var drawn = batch.Draw(batch.Inputs);
        double sum = 0;
        for (int part = 0; part < config.Accumulate; part++)
        {
            using var scope = new MemoryScope();
            var loss = batch.Loss(drawn, part * size, size);
            if (config.Accumulate > 1)
                loss /= config.Accumulate;
            double value = loss.Item();
            ExpectFinite("loss", value);
            sum += value;
            loss.Backward();
        }
        return sum;
    }

    private long FirstSample() =>
        config.OverfitBatches is { } batches ? state.Samples % ((long)batches * config.Batch) : state.Samples;

    private double LearningRateFactor()
    {
        int warmup = Math.Min(config.Warmup, config.Steps / 10);
        return config.LearningRateSchedule switch
        {
            "constant" => Schedule.Constant(state.Step, warmup),
            "linear" => Schedule.Linear(state.Step, config.Steps, warmup),
            _ => Schedule.Cosine(state.Step, config.Steps, warmup),
        };
    }

    private bool IsDue(int every) => every > 0 && state.Step % every == 0;

    private void ExpectFinite(string what, double value)
    {
        if (double.IsFinite(value))
            return;
        string advice = config.DetectAnomaly ? "" : "; --detect-anomaly names the first operation that makes such a value";
        throw new DivergedException(state.Step + 1, $"the {what} is {value}{advice}; a smaller learning rate may help");
    }
}
