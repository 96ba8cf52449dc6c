using System.Diagnostics;
using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Training;

/// <summary>The options of the preset <c>mnist-classifier</c>; the defaults are the preset.</summary>
public sealed record MnistClassifierOptions
{
    /// <summary>The folder with the four IDX files.</summary>
    public required string DataDirectory { get; init; }

    public int Steps { get; init; } = 2500;

    public int Batch { get; init; } = 128;

    public double LearningRate { get; init; } = 6e-3;

    public double EmaDecay { get; init; } = 0.998;

    /// <summary>Training images are shifted by up to so many pixels along each axis.</summary>
    public int MaxShift { get; init; } = 2;

    public ulong Seed { get; init; }

    /// <exception cref="ArgumentException">An option makes no sense; the message names it and its value.</exception>
    public void Check()
    {
        OptionChecks.RequirePositive("steps", Steps);
        OptionChecks.RequirePositive("batch", Batch);
        OptionChecks.RequireLearningRate(LearningRate);
    }
}

/// <summary>
/// The preset <c>mnist-classifier</c> from beginning to end: trains <see cref="ConvClassifier"/> on the training digits and judges
/// its moving average on the test digits. Later it judges generated digits.
/// </summary>
public static class MnistClassifierRun
{
    private const int TestBatch = 1000;
    private const ulong WeightStream = 1;

    /// <returns>The metrics that were written to <c>metrics.json</c>.</returns>
    public static IReadOnlyDictionary<string, object> Execute(MnistClassifierOptions options, RunFolder folder, Backend device, IRunReporter reporter)
    {
        options.Check();
        var data = Mnist.Open(options.DataDirectory, options.MaxShift);
        folder.WriteConfiguration("mnist-classifier", options, device);

        var started = Stopwatch.StartNew();
        var model = new ConvClassifier(new Generator(options.Seed, WeightStream), device);
        var optimizer = new AdamW(model, options.LearningRate, weightDecay: 0.05);
        var ema = new Ema(model, options.EmaDecay);
        long drawn = 0;
        var trainer = new Trainer(
            optimizer, ema,
            new TrainerOptions
            {
                Steps = options.Steps,
                LearningRate = options.LearningRate,
                LearningRateFactor = step => Schedule.Cosine(step, options.Steps, warmup: Math.Min(200, options.Steps / 10)),
                MaxGradientNorm = 1,
            },
            () =>
            {
                var batch = data.Draw(drawn, options.Batch, options.Seed, device);
                drawn += options.Batch;
                return F.CrossEntropy(model.Forward(batch.X), batch.Labels!);
            });
        folder.BeginLog("step", "loss", "learningRate");
        trainer.Run(reporter, "train", options.Batch, t => folder.Log(t.Step, t.LastLoss, optimizer.LearningRate));
        double trainingSeconds = started.Elapsed.TotalSeconds;

        ema.CopyTo(model);
        double accuracy = Accuracy(model, data.HeldOut.Images, device, reporter);
        folder.WriteCheckpoint(options.Steps, ("model", model.StateDict()), ("optimizer", optimizer.StateDict()));
        var metrics = new Dictionary<string, object>
        {
            ["testAccuracy"] = accuracy,
            ["testImages"] = data.HeldOut.Images.Count,
            ["trainingImages"] = data.Images.Count,
            ["steps"] = options.Steps,
            ["finalLoss"] = trainer.LastLoss,
            ["parameters"] = model.ParameterCount,
            ["trainingSeconds"] = Math.Round(trainingSeconds, 2),
            ["totalSeconds"] = Math.Round(started.Elapsed.TotalSeconds, 2),
        };
        folder.WriteMetrics(metrics);
        return metrics;
    }

    /// <summary>The share of images whose largest logit is that of their label.</summary>
    public static double Accuracy(ConvClassifier model, LabelledImages images, Backend device, IRunReporter reporter)
    {
        using var noGrad = new NoGrad();
        int right = 0, batches = (images.Count + TestBatch - 1) / TestBatch;
        reporter.Begin("test", batches, TestBatch);
        for (int b = 0; b < batches; b++)
        {
            using var scope = new MemoryScope();
            int start = b * TestBatch;
            var picks = LabelledImages.Range(start, Math.Min(TestBatch, images.Count - start));
            int[] guesses = model.Forward(images.ImageTensor(picks, device: device)).ArgMax(1).ToInt32Array();
            for (int i = 0; i < guesses.Length; i++)
                right += guesses[i] == images.Labels[start + i] ? 1 : 0;
            reporter.Report(b + 1);
        }
        reporter.End();
        return (double)right / images.Count;
    }
}
