using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;

namespace RawDiffusion.Diffusion.Training;

/// <summary>The settings of the preset <c>mnist-classifier</c>, which are its <c>config.json</c>; the defaults are the preset.</summary>
public sealed record MnistClassifierConfig
{
    public string Preset { get; init; } = MnistClassifierRun.Preset;

    public ulong Seed { get; init; }

    public string Device { get; init; } = "cpu";

    /// <summary>The folder with the four files of MNIST; null for the cache folder, where what is missing is downloaded.</summary>
    public string? DataDirectory { get; init; }

    /// <summary>Files that are not there are not downloaded.</summary>
    public bool Offline { get; init; }

    /// <summary>Training images are shifted by up to so many pixels along each axis.</summary>
    public int MaxShift { get; init; } = 2;

    public TrainingConfig Training { get; init; } = ClassifierTraining.Defaults;

    /// <summary>How the run was started and gone on with.</summary>
    public IReadOnlyList<RunStart> History { get; init; } = [];

    /// <inheritdoc cref="RunConfig.With"/>
    internal MnistClassifierConfig With(JsonObject overlay) => StrictJson.With(this, overlay);
}

/// <summary>
/// The preset <c>mnist-classifier</c> from beginning to end: trains <see cref="ConvClassifier"/> on the training digits and judges
/// its moving average on the test digits. Later it judges generated digits.
/// </summary>
public static class MnistClassifierRun
{
    public const string Preset = "mnist-classifier";

    /// <summary>Begins a run.</summary>
    /// <inheritdoc cref="DiffusionRun.Start"/>
    public static RunOutcome Start(MnistClassifierConfig config, Func<RunFolder> makeFolder, IRunReporter reporter, CancellationToken stop = default)
    {
        RunConfigChecks.Check(config.Training);
        var device = Device.Parse(config.Device);
        var data = OpenData(config, reporter, stop);
        using var folder = makeFolder();
        folder.WriteConfig(config with { History = [RunStart.Now(0)] });
        return Execute(config, folder, data, device, reporter, stop);
    }

    /// <summary>Goes on with a run from its latest checkpoint.</summary>
    /// <inheritdoc cref="DiffusionRun.Resume"/>
    public static RunOutcome Resume(string path, JsonObject changes, IRunReporter reporter, CancellationToken stop = default)
    {
        using var folder = RunFolder.Open(path);
        var config = StrictJson.Read<MnistClassifierConfig>(RunFolder.ConfigPath(path)).With(changes);
        RunConfigChecks.Check(config.Training);
        return Execute(config, folder, OpenData(config, reporter, stop), Device.Parse(config.Device), reporter, stop, resumed: true);
    }

    private static ImageData OpenData(MnistClassifierConfig config, IRunReporter reporter, CancellationToken stop) =>
        Mnist.Open(DownloadReport.Options(config.DataDirectory, config.Offline, reporter, stop), config.MaxShift);

    private static RunOutcome Execute(
        MnistClassifierConfig config, RunFolder folder, ImageData data, Backend device, IRunReporter reporter, CancellationToken stop, bool resumed = false)
    {
        var started = Stopwatch.StartNew();
        var training = config.Training;
        var state = ClassifierTraining.NewState(data, training, config.Seed, device);
        var model = (ConvClassifier)state.Model;
        var session = new TrainingSession(folder, training, state);
        if (resumed)
            folder.WriteConfig(config with { History = [.. config.History, RunStart.Now(state.Step)] });
        reporter.Line($"{Preset} on {device.Name}, seed {config.Seed}{(resumed ? $", from step {state.Step}" : "")} -> {folder.Path}");

        var end = session.Train(ClassifierTraining.Batches(model, data, config.Seed, device), reporter, stop);
        if (end == TrainingEnd.Stopped)
            return new RunOutcome(end, folder.Path, state.Step, []);

        state.Ema?.CopyTo(model);
        var (accuracy, tested) = ClassifierTraining.Accuracy(model, data.HeldOut, device, reporter);
        double seconds = started.Elapsed.TotalSeconds;
        folder.WriteMetrics(new Dictionary<string, object>
        {
            ["testAccuracy"] = accuracy,
            ["testImages"] = tested,
            ["trainingImages"] = data.Images.Count,
            ["steps"] = state.Step,
            ["finalLoss"] = state.LoggedLoss ?? double.NaN,
            ["parameters"] = model.ParameterCount,
            ["trainingSeconds"] = Math.Round(state.Seconds, 2),
            ["totalSeconds"] = Math.Round(seconds, 2),
        });
        return new RunOutcome(end, folder.Path, state.Step,
        [
            ("test accuracy", Text($"{100 * accuracy:0.00}% of {tested} digits")),
            ("parameters", Text($"{model.ParameterCount:#,0}")),
            ("time", Text($"{seconds:0.00} s, of which training {state.Seconds:0.00} s")),
        ]);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
