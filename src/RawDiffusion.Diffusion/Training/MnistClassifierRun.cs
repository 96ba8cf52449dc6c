using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Training;

/// <summary>The settings of the preset <c>mnist-classifier</c>, which are its <c>config.json</c>; the defaults are the preset.</summary>
public sealed record MnistClassifierConfig
{
    public string Preset { get; init; } = MnistClassifierRun.Preset;

    public ulong Seed { get; init; }

    public string Device { get; init; } = "cpu";

    /// <summary>The folder with the four IDX files.</summary>
    public string DataDirectory { get; init; } = "";

    /// <summary>Training images are shifted by up to so many pixels along each axis.</summary>
    public int MaxShift { get; init; } = 2;

    public TrainingConfig Training { get; init; } = new()
    {
        Steps = 2500,
        Batch = 128,
        LearningRate = 6e-3,
        WeightDecay = 0.05,
        EmaDecay = 0.998,
    };

    /// <summary>How the run was started and gone on with.</summary>
    public IReadOnlyList<RunStart> History { get; init; } = [];
}

/// <summary>
/// The preset <c>mnist-classifier</c> from beginning to end: trains <see cref="ConvClassifier"/> on the training digits and judges
/// its moving average on the test digits. Later it judges generated digits.
/// </summary>
public static class MnistClassifierRun
{
    public const string Preset = "mnist-classifier";

    private const int TestBatch = 1000;

    /// <summary>Begins a run.</summary>
    /// <inheritdoc cref="DiffusionRun.Start"/>
    public static RunOutcome Start(MnistClassifierConfig config, Func<RunFolder> makeFolder, IRunReporter reporter, CancellationToken stop = default)
    {
        RunConfigChecks.Check(config.Training);
        var device = Device.Parse(config.Device);
        var data = Mnist.Open(config.DataDirectory, config.MaxShift);
        using var folder = makeFolder();
        folder.WriteConfig(config with { History = [RunStart.Now(0)] });
        return Execute(config, folder, data, device, reporter, stop);
    }

    /// <summary>Goes on with a run from its latest checkpoint.</summary>
    /// <inheritdoc cref="DiffusionRun.Resume"/>
    public static RunOutcome Resume(string path, JsonObject changes, IRunReporter reporter, CancellationToken stop = default)
    {
        using var folder = RunFolder.Open(path);
        var merged = StrictJson.ReadFile(RunFolder.ConfigPath(path));
        StrictJson.Merge(merged, changes);
        var config = StrictJson.Read<MnistClassifierConfig>(merged);
        RunConfigChecks.Check(config.Training);
        return Execute(config, folder, Mnist.Open(config.DataDirectory, config.MaxShift), Device.Parse(config.Device), reporter, stop, resumed: true);
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

    private static RunOutcome Execute(
        MnistClassifierConfig config, RunFolder folder, ImageData data, Backend device, IRunReporter reporter, CancellationToken stop, bool resumed = false)
    {
        var started = Stopwatch.StartNew();
        var training = config.Training;
        var model = new ConvClassifier(new Generator(config.Seed, RandomStreams.Weights), device);
        var optimizer = new AdamW(model, training.LearningRate, training.Beta1, training.Beta2, weightDecay: training.WeightDecay);
        var ema = training.EmaDecay is { } decay ? new Ema(model, decay, training.EmaWarmup) : null;
        var state = new TrainingState(model, WeightFiles.Plain(model), optimizer, ema);
        var session = new TrainingSession(folder, training, state);
        if (resumed)
            folder.WriteConfig(config with { History = [.. config.History, RunStart.Now(state.Step)] });
        reporter.Line($"{Preset} on {device.Name}, seed {config.Seed}{(resumed ? $", from step {state.Step}" : "")} -> {folder.Path}");

        var end = session.Train((first, count) => new LabelledBatch(model, data.Draw(first, count, config.Seed, device)), reporter, stop);
        if (end == TrainingEnd.Stopped)
            return new RunOutcome(end, folder.Path, state.Step, []);

        ema?.CopyTo(model);
        double accuracy = Accuracy(model, data.HeldOut.Images, device, reporter), seconds = started.Elapsed.TotalSeconds;
        folder.WriteMetrics(new Dictionary<string, object>
        {
            ["testAccuracy"] = accuracy,
            ["testImages"] = data.HeldOut.Images.Count,
            ["trainingImages"] = data.Images.Count,
            ["steps"] = state.Step,
            ["finalLoss"] = state.LoggedLoss ?? double.NaN,
            ["parameters"] = model.ParameterCount,
            ["trainingSeconds"] = Math.Round(state.Seconds, 2),
            ["totalSeconds"] = Math.Round(seconds, 2),
        });
        return new RunOutcome(end, folder.Path, state.Step,
        [
            ("test accuracy", Text($"{100 * accuracy:0.00}% of {data.HeldOut.Images.Count} digits")),
            ("parameters", Text($"{model.ParameterCount:#,0}")),
            ("time", Text($"{seconds:0.00} s, of which training {state.Seconds:0.00} s")),
        ]);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    /// <summary>Images with their classes and the cross-entropy of what the classifier says.</summary>
    private sealed class LabelledBatch(ConvClassifier model, Batch batch) : TrainingBatch
    {
        public override Tensor Loss(int start, int count) =>
            F.CrossEntropy(model.Forward(batch.X.Slice(0, start, count)), batch.Labels!.Slice(0, start, count));
    }
}
