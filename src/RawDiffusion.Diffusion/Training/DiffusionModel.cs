using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.IO;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Training;

/// <summary>Samples of a model.</summary>
/// <param name="X">[n, ...].</param>
/// <param name="Labels">The classes asked for, Int32 [n]; null for a model without classes, or where no class was told.</param>
/// <param name="Attributes">
/// All that was asked for, Int32 [n, k], a column for each of <see cref="DiffusionModel.LabelKinds"/>, <see cref="LabelTable.NotTold"/> where
/// nothing was; null for a model that is told the class at most.
/// </param>
public sealed record SampleSet(Tensor X, Tensor? Labels, Tensor? Attributes = null)
{
    /// <summary>Writes a safetensors file with <c>x</c> and, where there are classes and attributes, <c>labels</c> and <c>attributes</c>.</summary>
    public void Save(string path) => Safetensors.Save(
        path, new[] { ("x", X), ("labels", Labels), ("attributes", Attributes) }.Where(part => part.Item2 is not null).Select(part => (part.Item1, part.Item2!)));
}

/// <summary>A network with what makes it a generative model: a process, what it predicts, the shape of its samples, its classes.</summary>
public sealed class DiffusionModel
{
    // As many images as fit a small machine's memory beside the network; points take next to none.
    private const int ImagesAtOnce = 100, PointsAtOnce = 1 << 17;

    private readonly Backend _device;

    private DiffusionModel(RunConfig config, Backend device)
    {
        _device = device;
        SampleShape = new Shape([.. config.Data.Shape!]);
        LabelKinds = Told(config);
        Classes = LabelKinds.Count == 0 ? 0 : LabelKinds[0].Values.Count;
        Labels = TableOf(LabelKinds);
        Process = Vocabulary.Processes[config.Process.Schedule]();
        Parameterisation = Vocabulary.Parameterisations[config.Process.Parameterisation];
        LearnsVariance = config.Process.LearnVariance;
        // Runs of before it was noted down have no use for it.
        DataStandardDeviation = config.Data.StandardDeviation ?? 1;
        var precision = Precisions.Parse(config.Precision);
        if (!device.Precisions.Contains(precision))
        {
            throw new ConfigException(
                "precision", $" {config.Precision} is not for the {device.Name} device, which computes in {string.Join(", ", device.Precisions.Select(p => p.Name()))}");
        }
        device.AllowTf32 = precision == Precision.Tf32;
        var generator = new Generator(config.Seed, RandomStreams.Weights);
        int labels = Labels?.Rows ?? 0;
        if (config.Model.Mlp is { } mlp)
        {
            var network = new MlpDenoiser(generator, device, SampleShape.Count, mlp.Width, mlp.Layers, mlp.TimeWidth, labels, Outputs(config, SampleShape.Count));
            (Network, Forward, Files) = (network, InPrecision(network.Forward, precision), WeightFiles.Plain(network));
        }
        else
        {
            var network = new UNet2D(Fit(config).Unet2d!, generator, device);
            (Network, Forward, Files) = (network, InPrecision(network.Forward, precision), WeightFiles.UNet(network));
            Generators = [("dropout", network.DropoutGenerator)];
        }
    }

    /// <summary>A network whose input decides what it computes in, between float32 samples and float32 predictions.</summary>
    internal static ConditionalNetwork InPrecision(ConditionalNetwork network, Precision precision) => precision == Precision.BFloat16
        ? (x, times, labels) => network(x.To(DType.BFloat16), times, labels).To(x.DType)
        : network;

    /// <summary>The settings of the model with what the data decides: the size and channels of an image, the number of classes.</summary>
    internal static ModelConfig Fit(RunConfig config)
    {
        if (config.Model.Unet2d is not { } unet)
            return config.Model;
        int[] shape = [.. config.Data.Shape!];
        int? labels = TableOf(Told(config))?.Rows;
        return config.Model with
        {
            Unet2d = unet with { SampleSize = [shape[0], shape[1]], InChannels = shape[2], OutChannels = Outputs(config, shape[2]), NumClassEmbeds = labels },
        };
    }

    // With a learned variance each channel has a second one that says it.
    private static int Outputs(RunConfig config, int channels) => config.Process.LearnVariance ? 2 * channels : channels;

    /// <summary>What the network is told: nothing, the class, or all that is said of a sample.</summary>
    private static IReadOnlyList<LabelKind> Told(RunConfig config)
    {
        var all = SaidOf(config);
        return !config.Model.Conditional || all.Count == 0 ? [] : config.Model.Attributes ? all : [all[0]];
    }

    /// <summary>What is said of the data, the class first; empty for nothing.</summary>
    internal static IReadOnlyList<LabelKind> SaidOf(RunConfig config) =>
        config.Data.Classes == 0 ? []
        // Runs of before attributes have noted down the number of classes alone.
        : config.Data.Labels is { Count: > 0 } labels ? [.. labels.Select(label => new LabelKind(label.Name, label.Values))]
        : [new LabelKind("class", [.. Enumerable.Range(0, config.Data.Classes).Select(i => $"{i}")])];

    private static LabelTable? TableOf(IReadOnlyList<LabelKind> kinds) =>
        kinds.Count == 0 ? null : new LabelTable([.. kinds.Select(kind => kind.Values.Count)]);

    public Module Network { get; }

    public ConditionalNetwork Forward { get; }

    /// <summary>How the network's weights are kept.</summary>
    public WeightFiles Files { get; }

    /// <summary>What the network draws random numbers from in training.</summary>
    public IReadOnlyList<(string Name, Generator Generator)> Generators { get; } = [];

    public ForwardProcess Process { get; }

    public Parameterisation Parameterisation { get; }

    /// <summary>Whether the network says the variance of the reverse steps too.</summary>
    public bool LearnsVariance { get; }

    /// <summary>That of the numbers of the data, for <see cref="Parameterisation.Preconditioned"/>.</summary>
    public double DataStandardDeviation { get; }

    /// <summary>The shape of one sample.</summary>
    public Shape SampleShape { get; }

    /// <summary>Number of classes that the network is told; 0 for none.</summary>
    public int Classes { get; }

    /// <summary>What the network is told of a sample, the class first; empty for nothing.</summary>
    public IReadOnlyList<LabelKind> LabelKinds { get; }

    /// <summary>How that is put to the network; null for one that is told nothing.</summary>
    public LabelTable? Labels { get; }

    /// <summary>The label that says that the class is not told.</summary>
    public int NullLabel => Classes;

    /// <summary>How often samplers have asked the network.</summary>
    public int Evaluations { get; private set; }

    /// <summary>The denoiser of the network, or of one made of it: told labels, or recorded.</summary>
    public Denoiser Denoiser(DenoisingNetwork network) => new(network, Process, Parameterisation, DataStandardDeviation, LearnsVariance);

    /// <summary>Makes the untrained model of a configuration whose data section says what the data are.</summary>
    /// <exception cref="ConfigException">The network does not suit the data.</exception>
    public static DiffusionModel Create(RunConfig config, Backend device)
    {
        if (config.Model.Conditional && config.Data.Classes == 0)
            throw new ConfigException("model.conditional", $" needs data with classes, and {config.Data.Name} has none");
        if (config.Model.Attributes && config.Data.Labels is not { Count: > 1 })
            throw new ConfigException("model.attributes", $" needs data of which more is said than the class, and {config.Data.Name} has no more");
        if (config.Data.Shape is not ([> 0] or [> 0, > 0, > 0]))
            throw new ConfigException("data.shape", " must be [dimensions] or [height, width, channels]; a run notes it down when it begins");
        bool points = config.Data.Shape.Count == 1;
        if (points != config.Model.Mlp is not null)
        {
            string needed = points ? $" must be an mlp for the points of {config.Data.Name}" : $" must be a unet2d for the images of {config.Data.Name}";
            throw new ConfigException("model", needed);
        }
        ClassifierGuide.Check(config);
        var model = new DiffusionModel(config, device);
        model.CheckScales(config.Sampling);
        return model;
    }

    /// <summary>Draws samples with the present weights, so many at once as memory easily holds.</summary>
    /// <param name="label">The class of all samples; by default the classes take turns.</param>
    /// <param name="attributes">
    /// By the name of a label what all samples are to be, or <c>any</c> for not telling the network; what is not named is another for each.
    /// </param>
    /// <param name="watch">Is shown the start and every step of the first samples: the time and the state, which it must not keep.</param>
    /// <param name="guide">Leads the samples to their classes; a model that is told none is led to those that it tells apart.</param>
    /// <exception cref="ConfigException">
    /// The label is not one of the classes, an attribute or its value is not known, a model that is told nothing is to be guided, or a
    /// classifier is to lead to no class.
    /// </exception>
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    public SampleSet Sample(
        SamplingConfig sampling, Generator generator, IRunReporter reporter, int? label = null, Action<double, Tensor>? watch = null,
        CancellationToken stop = default, IReadOnlyDictionary<string, string>? attributes = null, ClassifierGuide? guide = null)
    {
        CheckScales(sampling);
        IReadOnlyList<LabelKind> wanted = guide is not null && LabelKinds.Count == 0 ? [guide.Classes] : LabelKinds;
        int[] values = new WantedLabels(wanted, label, attributes).Of(sampling.Count);
        if (guide is not null && values.Where((_, i) => i % wanted.Count == 0).Contains(LabelTable.NotTold))
            throw new ConfigException("sampling.classifierGuidance", $" leads to a {wanted[0].Name}, and any was asked for");
        reporter.Begin("sample", (sampling.Count + AtOnce - 1) / AtOnce * sampling.Steps);
        bool training = Network.IsTraining;
        Network.Eval();
        try
        {
            var parts = new List<Tensor>();
            for (int start = 0; start < sampling.Count; start += AtOnce)
            {
                int count = Math.Min(AtOnce, sampling.Count - start), before = parts.Count * sampling.Steps;
                using var scope = new MemoryScope();
                parts.Add(scope.Keep(SamplePart(
                    sampling, count, values[(start * wanted.Count)..((start + count) * wanted.Count)], guide, generator,
                    step =>
                    {
                        stop.ThrowIfCancellationRequested();
                        reporter.Report(before + step);
                    },
                    start == 0 ? watch : null)));
            }
            return Labelled(Tensor.Concat(parts.ToArray()), values, wanted.Count);
        }
        finally
        {
            reporter.End();
            Network.Train(training);
        }
    }

    /// <summary>
    /// The model as a denoiser of any number of samples, all of one class or told nothing; what else the network can be told, it is not. For
    /// what <see cref="Sample"/> does not do: other samplers, editing.
    /// </summary>
    /// <param name="label">The class; null for not telling it.</param>
    /// <param name="guidance">Scale of classifier-free guidance to the class; 1 for none.</param>
    /// <exception cref="ConfigException">The label is not one of the classes.</exception>
    public Denoiser Denoiser(int? label = null, double guidance = 1)
    {
        var untold = Told(null);
        return label is null ? untold : Guidance.ClassifierFree(Told(label), untold, guidance);

        Denoiser Told(int? of)
        {
            var others = LabelKinds.Skip(of is null ? 0 : 1);
            var wanted = new WantedLabels(LabelKinds, of, others.ToDictionary(kind => kind.Name, _ => WantedLabels.Any));
            return Denoiser((x, times) => Forward(x, times, Labels?.Indices(wanted.Of(x.Shape[0]), _device)));
        }
    }

    private int AtOnce => SampleShape.Rank == 1 ? PointsAtOnce : ImagesAtOnce;

    private Tensor SamplePart(
        SamplingConfig sampling, int count, int[] values, ClassifierGuide? guide, Generator generator, Action<int> progress,
        Action<double, Tensor>? watch)
    {
        using var guided = new GuidedDenoiser(this, values, sampling, _device, guide);
        var denoiser = guided.Denoiser;
        var x = Sampler.Prior(Process, new Shape([count, .. SampleShape.ToArray()]), generator, _device);
        watch?.Invoke(Process.EndTime, x);
        var samples = NamedSampler.Run(sampling, denoiser, x, generator, Watch);
        Evaluations += denoiser.Evaluations;
        return samples;

        void Watch(SamplerProgress at)
        {
            progress(at.Step);
            watch?.Invoke(at.Time, at.State);
        }
    }

    private SampleSet Labelled(Tensor x, int[] values, int kinds)
    {
        int n = x.Shape[0];
        if (kinds == 0)
            return new SampleSet(x, null);
        int[] classes = [.. Enumerable.Range(0, n).Select(i => values[i * kinds])];
        return new SampleSet(
            x, classes.Contains(LabelTable.NotTold) ? null : Tensor.From(classes, [n], _device), kinds == 1 ? null : Tensor.From(values, [n, kinds], _device));
    }

    private void CheckScales(SamplingConfig sampling)
    {
        RunConfigChecks.CheckGuidance(sampling, conditional: Labels is not null);
        foreach (string name in sampling.GuidanceOf?.Keys ?? [])
        {
            if (LabelKinds.All(kind => kind.Name != name))
            {
                throw new ConfigException(
                    "sampling.guidanceOf", $" has a scale for {FileFormatException.Quote(name)}, which the model is not told; it is told: {string.Join(", ", LabelKinds.Select(kind => kind.Name))}");
            }
        }
    }
}
