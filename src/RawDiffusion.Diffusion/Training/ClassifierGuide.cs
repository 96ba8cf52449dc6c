using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Diffusion.Training;

/// <summary>
/// A classifier of noised images that leads samplers to a class (<see cref="Guidance.ByClassifier(Denoiser, DenoisingNetwork, Tensor, double, GuidanceInterval?)"/>).
/// It is trained when it is needed first and kept in the run's folder.
/// </summary>
/// <param name="Network">From x_t and the network's times to logits.</param>
/// <param name="Classes">What it tells apart.</param>
/// <param name="Scale">How much it leads.</param>
public sealed record ClassifierGuide(DenoisingNetwork Network, LabelKind Classes, double Scale)
{
    /// <summary>Where the classifier is, in the folder of the run.</summary>
    public const string FolderName = "noisy-classifier";

    /// <exception cref="ConfigException">It is asked for, and the data have no classes.</exception>
    internal static void Check(RunConfig config)
    {
        if (config.Sampling.ClassifierGuidance != 0 && config.Data.Classes == 0)
            throw new ConfigException("sampling.classifierGuidance", $" needs data with classes, and {config.Data.Name} has none");
    }

    /// <summary>What a run's settings ask for; null where they ask for none.</summary>
    /// <param name="data">Opens the data, where there is no classifier yet.</param>
    /// <param name="folder">That of the run.</param>
    /// <exception cref="ConfigException">The data have no classes.</exception>
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    internal static ClassifierGuide? For(
        RunConfig config, DiffusionModel model, Func<ITrainingData> data, string folder, Backend device, IRunReporter reporter, CancellationToken stop)
    {
        if (config.Sampling.ClassifierGuidance == 0)
            return null;
        Check(config);
        var classes = DiffusionModel.SaidOf(config)[0];
        var network = new NoisyImageClassifier(
            new Generator(config.Seed, RandomStreams.Weights), device, model.SampleShape[0], model.SampleShape[2], classes.Values.Count);
        string path = Path.Combine(folder, FolderName);
        var files = WeightFiles.Plain(network);
        if (File.Exists(Path.Combine(path, WeightFiles.PlainFile)))
        {
            files.Load(path);
        }
        else
        {
            ClassifierTraining.TrainNoisy(network, data(), model.Process, ClassifierTraining.NoisySteps(config.Evaluation), config.Seed, reporter, stop);
            files.Save(path);
        }
        network.Eval();
        return new ClassifierGuide(network.Forward, classes, config.Sampling.ClassifierGuidance);
    }
}
