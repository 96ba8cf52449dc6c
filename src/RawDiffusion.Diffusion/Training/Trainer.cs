using RawDiffusion.Nn;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Training;

/// <summary>How a training runs, apart from what it trains.</summary>
public sealed record TrainerOptions
{
    /// <summary>Number of optimizer steps.</summary>
    public required int Steps { get; init; }

    /// <summary>Largest learning rate; multiplied by <see cref="LearningRateFactor"/>.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Factor in [0, 1] for the step about to be made, from 0.</summary>
    public Func<int, double> LearningRateFactor { get; init; } = _ => 1;

    /// <summary>Gradients are scaled down to this norm; infinity for no limit.</summary>
    public double MaxGradientNorm { get; init; } = double.PositiveInfinity;

    /// <summary>The loss is read from the device, checked and logged every so many steps: reading makes a device wait.</summary>
    public int LogEvery { get; init; } = 50;
}

/// <summary>
/// The training loop: loss, backward pass, clipped optimizer step, moving average. Each step runs in a
/// <see cref="MemoryScope"/>, so a warm step allocates nothing.
/// </summary>
/// <param name="loss">Makes the scalar loss of one batch.</param>
public sealed class Trainer(Optimizer optimizer, Ema? ema, TrainerOptions options, Func<Tensor> loss)
{
    /// <summary>Steps made so far.</summary>
    public int Step { get; private set; }

    /// <summary>The loss that was read last; NaN before the first.</summary>
    public double LastLoss { get; private set; } = double.NaN;

    /// <summary>Trains to the end.</summary>
    /// <param name="logged">Called after every step whose loss was read.</param>
    /// <exception cref="ArithmeticException">The loss is not finite; the message names the step.</exception>
    public void Run(IRunReporter reporter, string phase, int samplesPerStep, Action<Trainer>? logged = null)
    {
        reporter.Begin(phase, options.Steps, samplesPerStep);
        while (Step < options.Steps)
        {
            bool read = (Step + 1) % options.LogEvery == 0 || Step + 1 == options.Steps || Step == 0;
            RunStep(read);
            if (read)
                logged?.Invoke(this);
            reporter.Report(Step, LastLoss);
        }
        reporter.End();
    }

    /// <summary>Makes one step.</summary>
    /// <param name="readLoss">Whether to read and check the loss.</param>
    public void RunStep(bool readLoss)
    {
        using var scope = new MemoryScope();
        optimizer.LearningRate = options.LearningRate * options.LearningRateFactor(Step);
        var value = loss();
        if (readLoss)
        {
            LastLoss = value.Item();
            if (!double.IsFinite(LastLoss))
                throw new ArithmeticException($"the loss of step {Step + 1} is {LastLoss}; a smaller learning rate or gradient clipping may help");
        }
        value.Backward();
        if (double.IsFinite(options.MaxGradientNorm))
            optimizer.ClipGradNorm(options.MaxGradientNorm);
        optimizer.Step();
        optimizer.ZeroGrad();
        ema?.Update();
        Step++;
    }
}
