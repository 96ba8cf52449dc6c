using System.Diagnostics;
using System.Text.Json.Nodes;
using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;
using RawDiffusion.IO;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Training;

/// <summary>What came of a run.</summary>
/// <param name="Folder">Where it is kept.</param>
/// <param name="Step">Steps made.</param>
/// <param name="Rows">The results as rows of a table; none where the training was asked to stop.</param>
public sealed record RunOutcome(TrainingEnd End, string Folder, int Step, IReadOnlyList<(string Name, string Value)> Rows);

/// <summary>
/// A run from beginning to end: trains a diffusion model, samples it with the moving average of its weights, judges and draws the
/// samples. The configuration and what the folder already holds decide everything.
/// </summary>
public sealed class DiffusionRun
{
    private readonly RunConfig _config;
    private readonly RunFolder _folder;
    private readonly Backend _device;
    private readonly ITrainingData _data;
    private readonly DiffusionModel _model;
    private readonly Pictures _pictures;
    private readonly IRunReporter _reporter;

    private DiffusionRun(RunConfig config, ITrainingData data, DiffusionModel model, RunFolder folder, Backend device, IRunReporter reporter)
    {
        (_config, _data, _model, _folder, _device, _reporter) = (config, data, model, folder, device, reporter);
        _pictures = new Pictures(model, config, data);
    }

    /// <summary>Begins a run.</summary>
    /// <param name="makeFolder">Makes the run's folder, once everything else has proved possible.</param>
    /// <exception cref="ConfigException">A setting makes no sense; the message names it.</exception>
    /// <exception cref="IOException">The data or the folder cannot be used.</exception>
    /// <exception cref="DivergedException">The training came to nothing.</exception>
    public static RunOutcome Start(RunConfig config, Func<RunFolder> makeFolder, IRunReporter reporter, CancellationToken stop = default)
    {
        config.Check();
        UnusedSettings.Check(config);
        var device = Device.Parse(config.Device);
        var data = OpenData(config, reporter, stop);
        config = config with
        {
            Data = config.Data with
            {
                Directory = FullPath(config.Data.Directory),
                Shape = data.SampleShape.ToArray(),
                StandardDeviation = StandardDeviation(data, config.Seed),
                Classes = data.Classes,
                Labels = [.. data.LabelKinds.Select(kind => new LabelConfig { Name = kind.Name, Values = kind.Values })],
            },
            History = [RunStart.Now(0)],
        };
        config = config with { Model = DiffusionModel.Fit(config) };
        var model = DiffusionModel.Create(config, device);
        using var folder = makeFolder();
        folder.WriteConfig(config);
        return new DiffusionRun(config, data, model, folder, device, reporter).Execute(stop);
    }

    /// <summary>Goes on with a run from its latest checkpoint, to the same bits as if it had never stopped.</summary>
    /// <param name="changes">Settings to be changed from here on, in the form of <c>config.json</c>.</param>
    /// <inheritdoc cref="Start"/>
    public static RunOutcome Resume(string path, JsonObject changes, IRunReporter reporter, CancellationToken stop = default)
    {
        using var folder = RunFolder.Open(path);
        var config = RunConfig.Load(RunFolder.ConfigPath(path)).With(changes);
        config.Check();
        config.ExpectUsed(changes);
        var device = Device.Parse(config.Device);
        var data = OpenData(config, reporter, stop);
        var model = DiffusionModel.Create(config, device);
        var run = new DiffusionRun(config, data, model, folder, device, reporter);
        return run.Execute(stop, resumed: true);
    }

    /// <summary>Opens the data that a configuration names; shows and ends a download by the way.</summary>
    /// <exception cref="ArgumentException">There are no such data.</exception>
    /// <exception cref="IOException">Their files cannot be found or read; the message says which.</exception>
    internal static ITrainingData OpenData(RunConfig config, IRunReporter? reporter = null, CancellationToken stop = default) =>
        DataSets.Open(config.Data.Name, DownloadReport.Options(config.Data.Directory, config.Data.Offline, reporter, stop));

    // Of the batches that the training begins with; two thousand images say it to a part in a hundred.
    private static double StandardDeviation(ITrainingData data, ulong seed)
    {
        using var scope = new MemoryScope();
        return data.Draw(0, 2000, seed, RawDiffusion.Device.Cpu).X.Std().Item();
    }

    // A run can be gone on with from another folder than it was begun in.
    private static string? FullPath(string? directory) => directory is null ? null : Path.GetFullPath(directory);

    private RunOutcome Execute(CancellationToken stop, bool resumed = false)
    {
        var training = _config.Training;
        var noise = new Generator(_config.Seed, RandomStreams.Noise);
        var labelDropout = new Generator(_config.Seed, RandomStreams.LabelDropout);
        var state = TrainingState.New(_model.Network, _model.Files, training, [.. _model.Generators, ("noise", noise), ("labelDropout", labelDropout)]);
        var session = new TrainingSession(_folder, training, state);
        string where = resumed ? $", from step {state.Step}" : "";
        _reporter.Line($"{_config.Preset} on {_device.Name}, seed {_config.Seed}{where} -> {_folder.Path}");

        var objective = new TrainingObjective(training, _model, noise, _device);
        using var fused = FusedTraining.Create(_config, _model, _data, objective.Schedule, noise, state, _reporter.Line);
        if (resumed || fused is not null)
        {
            var earlier = resumed ? _config.History : [];
            _folder.WriteConfig(_config with { History = [.. earlier, RunStart.Now(state.Step) with { Fused = fused is not null }] });
        }
        var told = _model.Labels is { } table ? new ToldLabels(table, training.LabelDropout, labelDropout, _device) : null;
        var batches = new DataBatches(
            _data, _config.Seed, _device, samples => objective.Batch(samples.X, told is null ? null : samples.Labels), told);
        var end = session.Train(batches.Next, _reporter, stop, () => Preview(state), fused);
        if (end == TrainingEnd.Stopped)
            return new RunOutcome(end, _folder.Path, state.Step, []);
        try
        {
            return new RunOutcome(end, _folder.Path, state.Step, Finish(state, session.SecondsToFirstStep, stop));
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The training is complete and saved; whoever goes on with the run begins with the sampling.
            return new RunOutcome(TrainingEnd.Stopped, _folder.Path, state.Step, []);
        }
    }

    /// <summary>Samples of the present average, always from the same noise, so that the pictures of a run can be compared.</summary>
    private Image Preview(TrainingState state)
    {
        using var scope = new MemoryScope();
        using var average = state.Ema?.Use();
        var samples = _model.Sample(_pictures.PreviewSampling(_config.Sampling), new Generator(_config.Seed, RandomStreams.Preview), SilentReporter.Instance);
        return _pictures.Draw(samples.X, $"step {state.Step}");
    }

    /// <summary>Samples, judges and draws the trained model.</summary>
    private IReadOnlyList<(string Name, string Value)> Finish(TrainingState state, double? secondsToFirstStep, CancellationToken stop)
    {
        var clock = Stopwatch.StartNew();
        using var average = state.Ema?.Use();
        var figure = _data is PointData points
            ? new PointsFigure(points.Distribution.Sample(_config.Sampling.Count, new Generator(_config.Seed, RandomStreams.Judge), _device))
            : null;
        var guide = ClassifierGuide.For(_config, _model, () => _data, _folder.Path, _device, _reporter, stop);
        var samples = _model.Sample(
            _config.Sampling, new Generator(_config.Seed, RandomStreams.Sampling), _reporter, watch: figure is null ? null : figure.AddState, stop: stop, guide: guide);
        _folder.WriteSamples(samples);
        var judge = new Judge(_config, _data, _folder.Path, _device);
        var evaluation = judge.Evaluate(samples, _reporter, stop);
        judge.Save();
        string title = $"{_config.Sampling.Sampler}, {_config.Sampling.Steps} steps";
        string picture = _folder.Picture(state.Step);
        var image = figure is null ? _pictures.Draw(samples.X, title) : figure.Draw(samples.X, title, RunLog.ReadLosses(_folder.Path)).Render();
        image.Save(picture);
        double seconds = state.Seconds + clock.Elapsed.TotalSeconds;
        var metrics = new Dictionary<string, object>(evaluation.Metrics)
        {
            ["steps"] = state.Step,
            ["finalLoss"] = state.LoggedLoss ?? double.NaN,
            ["networkEvaluations"] = _model.Evaluations,
            ["parameters"] = _model.Network.ParameterCount,
            ["trainingSeconds"] = Math.Round(state.Seconds, 2),
            ["totalSeconds"] = Math.Round(seconds, 2),
        };
        if (secondsToFirstStep is { } first)
            metrics["secondsToFirstStep"] = Math.Round(first, 2);
        _folder.WriteMetrics(metrics);
        return
        [
            .. evaluation.Rows,
            ("picture", picture),
            ("time", FormattableString.Invariant($"{seconds:0.00} s, of which training {state.Seconds:0.00} s")),
        ];
    }
}
