using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Diffusion.Training;

/// <summary>
/// Judges the samples of a run: points by themselves, labelled images by a classifier that learned from the same data. The classifier
/// is kept in the run's folder, so that later evaluations use the same.
/// </summary>
internal sealed class Judge(RunConfig config, ITrainingData data, string folder, Backend device)
{
    /// <summary>Where the classifier is, in the folder of the run.</summary>
    public const string FolderName = "classifier";

    private ConvClassifier? _classifier;

    private string ClassifierFolder => Path.Combine(folder, FolderName);

    private bool HasClassifier => File.Exists(Path.Combine(ClassifierFolder, WeightFiles.PlainFile));

    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    public Evaluation Evaluate(SampleSet samples, IRunReporter reporter, CancellationToken stop)
    {
        if (data is PointData points)
            return Evaluation.OfPoints(samples.X, points.Distribution, config.Seed, device);
        // A distance between sets needs a spread on both sides.
        if (data.Classes == 0 || samples.X.Shape[0] < 2)
            return Evaluation.None;
        _classifier ??= Load() ?? ClassifierTraining.Train(data, config.Evaluation.ClassifierSteps, config.Seed, device, reporter, stop);
        var accuracy = ClassifierTraining.Accuracy(_classifier, data.HeldOut, device, reporter);
        return Evaluation.OfImages(new ImageJudge(_classifier, data).Judge(samples.X, samples.Labels), accuracy);
    }

    /// <summary>Keeps the classifier, if there is a new one.</summary>
    public void Save()
    {
        if (_classifier is not null && !HasClassifier)
            WeightFiles.Plain(_classifier).Save(ClassifierFolder);
    }

    private ConvClassifier? Load()
    {
        if (!HasClassifier)
            return null;
        var model = (ConvClassifier)ClassifierTraining.NewState(data, ClassifierTraining.Defaults, config.Seed, device).Model;
        WeightFiles.Plain(model).Load(ClassifierFolder);
        return model;
    }
}
