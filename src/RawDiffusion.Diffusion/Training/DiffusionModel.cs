using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.IO;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Training;

/// <summary>Samples of a model.</summary>
/// <param name="X">[n, ...].</param>
/// <param name="Labels">The classes asked for, Int32 [n]; null for a model without classes.</param>
public sealed record SampleSet(Tensor X, Tensor? Labels)
{
    /// <summary>Writes a safetensors file with <c>x</c> and, where there are classes, <c>labels</c>.</summary>
    public void Save(string path) => Safetensors.Save(path, Labels is null ? [("x", X)] : [("x", X), ("labels", Labels)]);
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
        Classes = config.Model.Conditional ? config.Data.Classes : 0;
        Process = config.Process.Schedule switch
        {
            "cosine" => new CosineSchedule(),
            _ => new LinearSchedule(),
        };
        Parameterisation = config.Process.Parameterisation switch
        {
            "x0" => Parameterisation.X0,
            "velocity" => Parameterisation.Velocity,
            _ => Parameterisation.Epsilon,
        };
        var precision = Precisions.Parse(config.Precision);
        if (!device.Precisions.Contains(precision))
        {
            throw new ConfigException(
                "precision", $" {config.Precision} is not for the {device.Name} device, which computes in {string.Join(", ", device.Precisions.Select(p => p.Name()))}");
        }
        device.AllowTf32 = precision == Precision.Tf32;
        var generator = new Generator(config.Seed, RandomStreams.Weights);
        int labels = LabelCount(config);
        if (config.Model.Mlp is { } mlp)
        {
            var network = new MlpDenoiser(generator, device, SampleShape.Count, mlp.Width, mlp.Layers, mlp.TimeWidth, labels);
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
        int labels = LabelCount(config);
        return config.Model with
        {
            Unet2d = unet with { SampleSize = [shape[0], shape[1]], InChannels = shape[2], OutChannels = shape[2], NumClassEmbeds = labels == 0 ? null : labels },
        };
    }

    /// <summary>The classes of the data and one that says "any"; 0 for a model that is told none.</summary>
    private static int LabelCount(RunConfig config) => config.Model.Conditional && config.Data.Classes > 0 ? config.Data.Classes + 1 : 0;

    public Module Network { get; }

    public ConditionalNetwork Forward { get; }

    /// <summary>How the network's weights are kept.</summary>
    public WeightFiles Files { get; }

    /// <summary>What the network draws random numbers from in training.</summary>
    public IReadOnlyList<(string Name, Generator Generator)> Generators { get; } = [];

    public ForwardProcess Process { get; }

    public Parameterisation Parameterisation { get; }

    /// <summary>The shape of one sample.</summary>
    public Shape SampleShape { get; }

    /// <summary>Number of classes that the network is told; 0 for none.</summary>
    public int Classes { get; }

    /// <summary>The label that says that the class is not told.</summary>
    public int NullLabel => Classes;

    /// <summary>How often samplers have asked the network.</summary>
    public int Evaluations { get; private set; }

    /// <summary>Makes the untrained model of a configuration whose data section says what the data are.</summary>
    /// <exception cref="ConfigException">The network does not suit the data.</exception>
    public static DiffusionModel Create(RunConfig config, Backend device)
    {
        if (config.Model.Conditional && config.Data.Classes == 0)
            throw new ConfigException("model.conditional", $" needs data with classes, and {config.Data.Name} has none");
        if (config.Data.Shape is not ([> 0] or [> 0, > 0, > 0]))
            throw new ConfigException("data.shape", " must be [dimensions] or [height, width, channels]; a run notes it down when it begins");
        bool points = config.Data.Shape.Count == 1;
        if (points != config.Model.Mlp is not null)
        {
            string needed = points ? $" must be an mlp for the points of {config.Data.Name}" : $" must be a unet2d for the images of {config.Data.Name}";
            throw new ConfigException("model", needed);
        }
        return new DiffusionModel(config, device);
    }

    /// <summary>Draws samples with the present weights, so many at once as memory easily holds.</summary>
    /// <param name="label">The class of all samples; by default the classes take turns.</param>
    /// <param name="watch">Is shown the start and every step of the first samples: the time and the state, which it must not keep.</param>
    /// <exception cref="ConfigException">The label is not one of the classes.</exception>
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    public SampleSet Sample(
        SamplingConfig sampling, Generator generator, IRunReporter reporter, int? label = null, Action<double, Tensor>? watch = null,
        CancellationToken stop = default)
    {
        int[] labels = Labels(sampling.Count, label);
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
                    sampling, count, Classes == 0 ? null : Tensor.From(labels.AsSpan(start, count), [count], _device), generator,
                    step =>
                    {
                        stop.ThrowIfCancellationRequested();
                        reporter.Report(before + step);
                    },
                    start == 0 ? watch : null)));
            }
            return new SampleSet(Tensor.Concat(parts.ToArray()), Classes == 0 ? null : Tensor.From(labels, [labels.Length], _device));
        }
        finally
        {
            reporter.End();
            Network.Train(training);
        }
    }

    private int AtOnce => SampleShape.Rank == 1 ? PointsAtOnce : ImagesAtOnce;

    private Tensor SamplePart(
        SamplingConfig sampling, int count, Tensor? labels, Generator generator, Action<int> progress, Action<double, Tensor>? watch)
    {
        var network = labels is null ? (x, times) => Forward(x, times, null) : Guidance.Guided(Forward, labels, NullLabel, sampling.Guidance);
        // Of these weights for these samples: what was made of them in another precision is recorded too.
        using var recorded = new RecordedNetwork(network);
        var denoiser = new Denoiser(recorded.Forward, Process, Parameterisation);
        var x = Sampler.Prior(Process, new Shape([count, .. SampleShape.ToArray()]), generator, _device);
        watch?.Invoke(1, x);
        double[] times = TimeGrid.Uniform(sampling.Steps);
        double clip = sampling.ClipX0 ?? double.PositiveInfinity;
        var samples = sampling.Sampler == "ddim"
            ? Sampler.Ddim(denoiser, x, times, generator, sampling.Eta, clip, Watch)
            : Sampler.Ddpm(denoiser, x, times, generator, clipX0: clip, callback: Watch);
        Evaluations += denoiser.Evaluations;
        return samples;

        void Watch(SamplerProgress at)
        {
            progress(at.Step);
            watch?.Invoke(at.Time, at.State);
        }
    }

    private int[] Labels(int count, int? label)
    {
        if (label is { } wanted && (wanted < 0 || wanted >= Classes))
        {
            throw new ConfigException(
                "label", Classes == 0 ? " cannot be asked for: the model was trained without classes" : $" must be in [0, {Classes - 1}], not {wanted}");
        }
        var labels = new int[count];
        for (int i = 0; i < count; i++)
            labels[i] = label ?? i % Math.Max(1, Classes);
        return labels;
    }
}
