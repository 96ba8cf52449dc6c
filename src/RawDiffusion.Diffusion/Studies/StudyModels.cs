using System.Text.Json.Nodes;
using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>
/// The networks of images that several studies ask about. Each is trained by the first study that needs it, as a run of its own
/// (<see cref="DiffusionRun"/>) in a common folder, and found there by the others. A run that was broken off is gone on with.
/// </summary>
public sealed class StudyModels
{
    // To be told the class makes digits easier, and drawn ones are easier to tell than written ones: fewer steps do.
    private const int Steps = 3000, ConditionalSteps = 2000, QuickSteps = 30, ClassifierSteps = 2500, DrawnClassifierSteps = 800;

    private readonly StudySettings _settings;
    private readonly string _folder;
    private readonly Dictionary<string, ITrainingData> _data = [];
    private readonly Dictionary<string, TrainedRun> _runs = [];
    private readonly Dictionary<string, ConvClassifier> _classifiers = [];

    internal StudyModels(string folder, StudySettings settings) => (_folder, _settings) = (folder, settings);

    /// <summary>Handwritten digits told no class, [28, 28, 1].</summary>
    public TrainedRun Mnist => Diffusion("mnist", Config("mnist", conditional: false));

    /// <summary>Handwritten digits of a class, or of none: a tenth of the training's labels are left out.</summary>
    public TrainedRun MnistConditional => Diffusion("mnist-conditional", Config("mnist", conditional: true));

    /// <summary>The settings of a run over a data set of images, of the size that studies have time for.</summary>
    /// <param name="data">As in <see cref="DataSets"/>.</param>
    public RunConfig Config(string data, bool conditional)
    {
        var preset = Presets.Find(data).Config;
        int steps = _settings.Quick ? QuickSteps : conditional ? ConditionalSteps : Steps;
        return preset with
        {
            Device = _settings.Device.Name,
            Data = preset.Data with { Directory = _settings.DataDirectory, Offline = _settings.Offline },
            Model = preset.Model with { Conditional = conditional, Unet2d = preset.Model.Unet2d! with { BlockOutChannels = [16, 32, 64] } },
            Training = preset.Training with { Steps = steps, SampleEvery = 0, CheckpointEvery = 250, LearningRate = 2e-3 },
            Sampling = preset.Sampling with { Count = _settings.Quick ? 16 : 200, Steps = _settings.Quick ? 5 : 50 },
            Evaluation = preset.Evaluation with { ClassifierSteps = _settings.Quick ? QuickSteps : 600 },
        };
    }

    /// <summary>A data set that needs no more than its name and where files are.</summary>
    /// <exception cref="IOException">Its files cannot be found or read; the message says which.</exception>
    public ITrainingData Data(string name)
    {
        if (!_data.TryGetValue(name, out var data))
            _data[name] = data = DataSets.Open(name, DownloadReport.Options(_settings.DataDirectory, _settings.Offline, _settings.Reporter, _settings.Stop));
        return data;
    }

    /// <summary>A trained model, with the average of its weights.</summary>
    /// <param name="name">Of its folder; models of other settings must have other names.</param>
    /// <exception cref="OperationCanceledException">It was asked to stop; what is trained so far is kept.</exception>
    public TrainedRun Diffusion(string name, RunConfig config)
    {
        if (_runs.TryGetValue(name, out var run))
            return run;
        string path = FolderOf(name);
        if (!File.Exists(Path.Combine(path, "config.json")))
            Expect(DiffusionRun.Start(config, () => RunFolder.Create(path), _settings.Reporter, _settings.Stop));
        else if (!File.Exists(Path.Combine(path, "metrics.json")))
            Expect(DiffusionRun.Resume(path, new JsonObject(), _settings.Reporter, _settings.Stop));
        return _runs[name] = TrainedRun.Open(path, _settings.Device);
    }

    /// <summary>A classifier of clean images, to judge with: no model has seen it.</summary>
    /// <param name="data">As in <see cref="DataSets"/>.</param>
    /// <param name="kind">Which of the data's labels it tells: the first are the classes.</param>
    public ConvClassifier Classifier(string data, int kind = 0)
    {
        var source = Data(data);
        string name = kind == 0 ? $"{data}-classifier" : $"{data}-{source.LabelKinds[kind].Name}-classifier";
        if (_classifiers.TryGetValue(name, out var known))
            return known;
        var untrained = (ConvClassifier)ClassifierTraining.NewState(source, ClassifierTraining.Defaults, 0, _settings.Device, kind).Model;
        return _classifiers[name] = Trained(name, untrained, _ => ClassifierTraining.Train(
            source, _settings.Quick ? QuickSteps : source.Count is null ? DrawnClassifierSteps : ClassifierSteps, 0, _settings.Device, _settings.Reporter, _settings.Stop, kind));
    }

    /// <summary>A network of any kind: its weights are read if they are there, or else trained and kept.</summary>
    /// <param name="name">Of its folder.</param>
    /// <param name="network">A fresh one, which the weights are read into.</param>
    /// <param name="train">Trains it, or another of the same kind; gives the trained one.</param>
    public T Trained<T>(string name, T network, Func<T, T> train)
        where T : Module
    {
        string path = FolderOf(name);
        if (File.Exists(Path.Combine(path, WeightFiles.PlainFile)))
        {
            WeightFiles.Plain(network).Load(path);
        }
        else
        {
            network = train(network);
            WeightFiles.Plain(network).Save(path);
        }
        network.Eval();
        return network;
    }

    /// <summary>Where a model of a name is kept. Quick ones are kept apart: no study should take them for trained ones.</summary>
    public string FolderOf(string name) => Path.Combine(_folder, _settings.Quick ? name + "-quick" : name);

    private void Expect(RunOutcome outcome)
    {
        if (outcome.End == TrainingEnd.Stopped)
            throw new OperationCanceledException(_settings.Stop);
    }
}
