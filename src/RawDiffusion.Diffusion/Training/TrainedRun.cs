using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;

namespace RawDiffusion.Diffusion.Training;

/// <summary>The model that a run came to, ready to be sampled: that of its latest checkpoint, or of any one of them.</summary>
public sealed class TrainedRun
{
    private TrainedRun(string folder, RunConfig config, DiffusionModel model, int step, Backend device)
    {
        (Folder, Config, Model, Step, Device) = (folder, config, model, step, device);
    }

    /// <summary>The run's folder.</summary>
    public string Folder { get; }

    public RunConfig Config { get; }

    /// <summary>With the moving average of the weights, where the run has one.</summary>
    public DiffusionModel Model { get; }

    /// <summary>The step of the checkpoint.</summary>
    public int Step { get; }

    public Backend Device { get; }

    /// <summary>Opens a run.</summary>
    /// <param name="path">The folder of a run, or that of one of its checkpoints.</param>
    /// <param name="device">Where the model is to compute; null: where the run did.</param>
    /// <exception cref="IOException">There is no run, it has no checkpoint yet, or a file is damaged; the message says which.</exception>
    public static TrainedRun Open(string path, Backend? device = null)
    {
        bool isCheckpoint = File.Exists(Path.Combine(path, TrainingState.FileName));
        string folder = isCheckpoint ? Path.GetFullPath(Path.Combine(path, "..", "..")) : path;
        if (RunFolder.PresetOf(folder) == MnistClassifierRun.Preset)
            throw new IOException($"{path}: this is a classifier, which cannot be sampled");
        var config = RunConfig.Load(RunFolder.ConfigPath(folder));
        string checkpoint = isCheckpoint ? path : new CheckpointFolder(folder).Latest
            ?? throw new IOException($"{path}: this run has no checkpoint yet");
        device ??= RawDiffusion.Device.Parse(config.Device);
        var model = DiffusionModel.Create(config, device);
        return new TrainedRun(folder, config, model, TrainingState.LoadForSampling(checkpoint, model.Files), device);
    }

    /// <summary>Draws samples; the same settings and seed give the same bits as at the end of the run.</summary>
    /// <param name="label">See <see cref="DiffusionModel.Sample"/>.</param>
    /// <param name="attributes">See <see cref="DiffusionModel.Sample"/>.</param>
    /// <param name="watch">See <see cref="DiffusionModel.Sample"/>.</param>
    /// <param name="data">Where the data are, which a guiding classifier is trained on when it is needed first; where the run had them when null.</param>
    public SampleSet Sample(
        SamplingConfig sampling, ulong seed, IRunReporter reporter, int? label = null, Action<double, Tensor>? watch = null, CancellationToken stop = default,
        IReadOnlyDictionary<string, string>? attributes = null, DataConfig? data = null)
    {
        var config = Config with { Sampling = sampling, Data = data ?? Config.Data };
        config.Check();
        var guide = ClassifierGuide.For(config, Model, () => DiffusionRun.OpenData(config, reporter, stop), Folder, Device, reporter, stop);
        return Model.Sample(sampling, new Generator(seed, RandomStreams.Sampling), reporter, label, watch, stop, attributes, guide);
    }

    /// <summary>Judges samples as at the end of the run; images by the classifier that the run trained, or by a new one.</summary>
    /// <param name="config">Says where the data are.</param>
    /// <exception cref="IOException">The data cannot be found or read.</exception>
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    public Evaluation Evaluate(SampleSet samples, RunConfig config, IRunReporter reporter, CancellationToken stop = default) =>
        new Judge(config, DiffusionRun.OpenData(config, reporter, stop), Folder, Device).Evaluate(samples, reporter, stop);
}
