using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// The UNet of denoising diffusion models: images [N, H, W, inChannels] and times [N] -> [N, H, W, outChannels]. The network, the
/// arithmetic and the names of the parameters are those of diffusers' <c>UNet2DModel</c>, so weights go both ways (see
/// <see cref="ModelFolder"/>); images are NHWC and convolution weights [out, height, width, in], as everywhere here.
/// Source: Ho, Jain and Abbeel 2020, Denoising Diffusion Probabilistic Models; Song et al. 2021.
/// </summary>
public sealed class UNet2D : Module
{
    // Far from the streams that programs count up from 0.
    private const ulong DropoutStream = 0x6472_6F70_6F75_7400;

    private readonly BlockSettings _settings;

    /// <param name="generator">Draws the initial values: PyTorch's defaults.</param>
    /// <exception cref="ArgumentException">A setting is impossible; the message names it and its value.</exception>
    public UNet2D(UNet2DConfig config, Generator generator, Backend? device = null)
    {
        UNet2DConfigChecks.Check(config);
        Config = config;
        _settings = new BlockSettings(config, generator, generator.Fork(generator.Stream ^ DropoutStream), device ?? RawDiffusion.Device.Default);
        var channels = config.BlockOutChannels;
        int last = config.Levels - 1;
        ConvIn = _settings.Conv(config.InChannels, channels[0], 3);
        TimeProj = config.TimeEmbeddingType switch
        {
            "fourier" => new FourierProjection(channels[0], _settings),
            "learned" => new Embedding(config.NumTrainTimesteps!.Value, channels[0], generator, device),
            _ => null,
        };
        TimeEmbedding = new TimestepEmbedding(config.TimeFeatures, config.TimeChannels, _settings);
        ClassEmbedding = config.ClassEmbedType switch
        {
            "timestep" => new TimestepEmbedding(config.TimeFeatures, config.TimeChannels, _settings),
            null when config.NumClassEmbeds is { } classes => new Embedding(classes, config.TimeChannels, generator, device),
            _ => null,
        };
        DownBlocks = new DownBlock[config.Levels];
        for (int i = 0; i <= last; i++)
            DownBlocks[i] = new DownBlock(config.DownBlockTypes[i], channels[Math.Max(i - 1, 0)], channels[i], i == last, _settings);
        MidBlock = config.MidBlockType is null ? null : new MidBlock(channels[last], _settings);
        UpBlocks = new UpBlock[config.Levels];
        for (int i = 0; i <= last; i++)
        {
            UpBlocks[i] = new UpBlock(
                config.UpBlockTypes[i], channels[Math.Min(last - i + 1, last)], channels[Math.Max(last - i - 1, 0)], channels[last - i], i == last, _settings);
        }
        ConvNormOut = _settings.Norm(channels[0], silu: true);
        ConvOut = _settings.Conv(channels[0], config.OutChannels, 3);
    }

    public UNet2DConfig Config { get; }

    /// <summary>Draws the masks of dropout. To repeat a training exactly from its middle, set its offset as it was there.</summary>
    public Generator DropoutGenerator => _settings.DropoutGenerator;

    public Conv2d ConvIn { get; }

    /// <summary>What a time is turned into before <see cref="TimeEmbedding"/>; null for sinusoids, which have no parameters.</summary>
    public Layer? TimeProj { get; }

    public TimestepEmbedding TimeEmbedding { get; }

    /// <summary>From labels to what is added to the embedded time; null where there are none, or they are such vectors themselves.</summary>
    public Layer? ClassEmbedding { get; }

    public DownBlock[] DownBlocks { get; }

    public MidBlock? MidBlock { get; }

    public UpBlock[] UpBlocks { get; }

    /// <summary>With SiLU, whatever the activation of the blocks is.</summary>
    public GroupNorm ConvNormOut { get; }

    public Conv2d ConvOut { get; }

    /// <summary>Of a network that is told no labels.</summary>
    /// <inheritdoc cref="Forward(Tensor, Tensor, Tensor?)"/>
    public Tensor Forward(Tensor x, Tensor times) => Forward(x, times, null);

    /// <param name="x">[N, H, W, inChannels]; H and W are multiples of 2^(levels - 1).</param>
    /// <param name="times">[N], floating or Int32; see <see cref="Processes.ForwardProcess.NetworkTime"/>.</param>
    /// <param name="labels">
    /// Int32 [N] for a network with classes, or [N, K] to add up the embeddings of K labels of each image (see <see cref="LabelTable"/>);
    /// [N, T] for class embeddings of type <c>identity</c>; otherwise null.
    /// </param>
    /// <returns>[N, H, W, outChannels], computed in the type of x.</returns>
    /// <exception cref="ArgumentException">A shape does not fit, or labels are missing, unexpected or no class.</exception>
    public Tensor Forward(Tensor x, Tensor times, Tensor? labels)
    {
        CheckInputs(x, times, labels);
        times = AsFloat(times);
        var embedding = TimeEmbedding.Forward(TimeFeatures(times).To(x.DType));
        if (labels is not null)
            embedding += EmbedLabels(labels, x.DType);
        // Every residual block wants the embedded time activated, so it is done once.
        var time = Activation.Apply(Config.ActFn, embedding);

        if (Config.CenterInputSample)
            x = x * 2 - 1;
        var skips = new Stack<Tensor>();
        x = ConvIn.Forward(x);
        skips.Push(x);
        foreach (var block in DownBlocks)
            x = block.Forward(x, time, skips);
        if (MidBlock is not null)
            x = MidBlock.Forward(x, time);
        foreach (var block in UpBlocks)
            x = block.Forward(x, time, skips);
        x = ConvOut.Forward(ConvNormOut.Forward(x));
        // A network that is told log t predicts a score, whose size is that of 1 / t.
        return Config.TimeEmbeddingType == "fourier" ? x.To(times.DType) / times.Reshape(times.Count, 1, 1, 1) : x;
    }

    protected override string Describe() =>
        $"{Config.InChannels} -> {Config.OutChannels}, levels of {string.Join(", ", Config.BlockOutChannels)}";

    private Tensor TimeFeatures(Tensor times) => TimeProj switch
    {
        FourierProjection fourier => fourier.Forward(times),
        Embedding table => table.Forward(AsIndices(times)),
        _ => F.TimeEmbedding(times, Config.BlockOutChannels[0], flipSinToCos: Config.FlipSinToCos, frequencyShift: Config.FreqShift),
    };

    private Tensor EmbedLabels(Tensor labels, DType type) => ClassEmbedding switch
    {
        Embedding table => (labels.Rank == 1 ? table.Forward(labels) : table.Forward(labels).Sum(1)).To(type),
        TimestepEmbedding embedding => embedding.Forward(TimeFeatures(AsFloat(labels)).To(type)),
        _ => labels.To(type),
    };

    private void CheckInputs(Tensor x, Tensor times, Tensor? labels)
    {
        const string name = nameof(UNet2D);
        if (x.Rank != 4 || x.Shape[3] != Config.InChannels)
            throw new ArgumentException($"{name}: images are [N, H, W, {Config.InChannels}], not {x.Shape}.");
        int multiple = 1 << (Config.Levels - 1);
        if (x.Shape[1] % multiple != 0 || x.Shape[2] % multiple != 0 || x.Count == 0)
        {
            throw new ArgumentException(
                $"{name}: images of {x.Shape[1]} x {x.Shape[2]} cannot be halved {Config.Levels - 1} times; height and width must be multiples of {multiple}.");
        }
        if (times.Rank != 1 || times.Count != x.Shape[0])
            throw new ArgumentException($"{name}: {x.Shape[0]} images need as many times [N], not {times.Shape}.");
        if (Config.HasClasses != labels is not null)
            throw new ArgumentException($"{name}: {(Config.HasClasses ? "a network with classes needs labels" : "a network without classes takes no labels")}.");
        Shape expected = Config.ClassEmbedType == "identity" ? [x.Shape[0], Config.TimeChannels] : [x.Shape[0]];
        bool several = labels is { Rank: 2 } && ClassEmbedding is Embedding && labels.Shape[0] == x.Shape[0] && labels.Shape[1] > 0;
        if (labels is not null && labels.Shape != expected && !several)
            throw new ArgumentException($"{name}: labels of {x.Shape[0]} images have shape {expected}, not {labels.Shape}.");
    }

    private static Tensor AsFloat(Tensor x) => x.DType == DType.Int32 ? x.To(x.Device.FloatType) : x;

    private static Tensor AsIndices(Tensor times)
    {
        // As with the indices of an embedding: what is recorded has been checked when it ran for the first time.
        if (!times.Device.IsRecording)
        {
            foreach (float value in times.ToArray())
            {
                if (value != MathF.Round(value) || Math.Abs(value) > 1 << 24)
                    throw new ArgumentException($"{nameof(UNet2D)}: a learned embedding knows whole times only, not {value}.");
            }
        }
        return times.To(DType.Int32);
    }
}
