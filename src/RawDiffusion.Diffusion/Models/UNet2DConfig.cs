namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// What a <see cref="UNet2D"/> is made of: the settings of diffusers' <c>UNet2DModel</c> with its names (snake case in
/// <c>config.json</c>), its defaults and its vocabulary.
/// </summary>
public sealed record UNet2DConfig
{
    /// <summary>Height and width of the images that the network was made for. Only noted down: other sizes work too.</summary>
    public IReadOnlyList<int>? SampleSize { get; init; }

    public int InChannels { get; init; } = 3;

    public int OutChannels { get; init; } = 3;

    /// <summary>Whether images in [0, 1] come in, to be stretched to [-1, 1] first.</summary>
    public bool CenterInputSample { get; init; }

    /// <summary><c>positional</c> (sinusoids), <c>fourier</c> (random frequencies of the time's logarithm) or <c>learned</c> (a table).</summary>
    public string TimeEmbeddingType { get; init; } = "positional";

    /// <summary>Width of the time's embedding; four times the first of <see cref="BlockOutChannels"/> when null.</summary>
    public int? TimeEmbeddingDim { get; init; }

    /// <summary>Subtracted from the number of frequencies in the exponent of a positional embedding.</summary>
    public double FreqShift { get; init; }

    /// <summary>Whether cosines stand before sines in a positional embedding.</summary>
    public bool FlipSinToCos { get; init; } = true;

    /// <summary>From the finest level to the coarsest: <c>DownBlock2D</c>, <c>AttnDownBlock2D</c> or <c>ResnetDownsampleBlock2D</c>.</summary>
    public IReadOnlyList<string> DownBlockTypes { get; init; } = ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"];

    /// <summary><c>UNetMidBlock2D</c>, or null for none.</summary>
    public string? MidBlockType { get; init; } = "UNetMidBlock2D";

    /// <summary>From the coarsest level to the finest: <c>UpBlock2D</c>, <c>AttnUpBlock2D</c> or <c>ResnetUpsampleBlock2D</c>.</summary>
    public IReadOnlyList<string> UpBlockTypes { get; init; } = ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"];

    /// <summary>Channels of each level, from the finest to the coarsest.</summary>
    public IReadOnlyList<int> BlockOutChannels { get; init; } = [224, 448, 672, 896];

    /// <summary>Residual blocks of each level on the way down; on the way up there is one more.</summary>
    public int LayersPerBlock { get; init; } = 2;

    /// <summary>What the sums of the middle block are divided by.</summary>
    public double MidBlockScaleFactor { get; init; } = 1;

    /// <summary>1: on all sides. 0: one row below and one column to the right, as the models of the DDPM paper have it.</summary>
    public int DownsamplePadding { get; init; } = 1;

    /// <summary><c>conv</c> or <c>resnet</c>: how the attention blocks halve the size. A plain block has a convolution always.</summary>
    public string DownsampleType { get; init; } = "conv";

    /// <summary><c>conv</c> or <c>resnet</c>: how the attention blocks double the size. A plain block has a convolution always.</summary>
    public string UpsampleType { get; init; } = "conv";

    /// <summary>Probability with which a value before the second convolution of a residual block is dropped in training.</summary>
    public double Dropout { get; init; }

    /// <summary><c>silu</c> (or <c>swish</c>), <c>relu</c>, <c>gelu</c> or <c>mish</c>.</summary>
    public string ActFn { get; init; } = "silu";

    /// <summary>Channels of one attention head; null for one head of all channels.</summary>
    public int? AttentionHeadDim { get; init; } = 8;

    /// <summary>Groups of every group norm; divides all numbers of channels that are normalised.</summary>
    public int NormNumGroups { get; init; } = 32;

    /// <summary>
    /// Groups of the norm before the middle block's attention; <see cref="NormNumGroups"/> when null, or no norm at all where
    /// <see cref="ResnetTimeScaleShift"/> is <c>scale_shift</c>.
    /// </summary>
    public int? AttnNormNumGroups { get; init; }

    public double NormEps { get; init; } = 1e-5;

    /// <summary><c>default</c>: the time is added before the second norm. <c>scale_shift</c>: it scales and shifts what the norm gives.</summary>
    public string ResnetTimeScaleShift { get; init; } = "default";

    /// <summary>Whether the middle block has attention; the other blocks say so by their type.</summary>
    public bool AddAttention { get; init; } = true;

    /// <summary>
    /// null: labels are looked up in a table of <see cref="NumClassEmbeds"/>. <c>timestep</c>: they are embedded as times are.
    /// <c>identity</c>: they are vectors of the width of the time's embedding. Whatever comes out is added to it.
    /// </summary>
    public string? ClassEmbedType { get; init; }

    /// <summary>Number of classes; null for a network without labels.</summary>
    public int? NumClassEmbeds { get; init; }

    /// <summary>Size of the table of a <c>learned</c> time embedding.</summary>
    public int? NumTrainTimesteps { get; init; }

    /// <summary>Number of resolutions.</summary>
    internal int Levels => BlockOutChannels.Count;

    /// <summary>Width of the time's embedding.</summary>
    internal int TimeChannels => TimeEmbeddingDim is null or 0 ? checked(4 * BlockOutChannels[0]) : TimeEmbeddingDim.Value;

    /// <summary>Width of a time before the two linear layers that embed it.</summary>
    internal int TimeFeatures => TimeEmbeddingType == "fourier" ? checked(2 * BlockOutChannels[0]) : BlockOutChannels[0];

    internal bool HasClasses => ClassEmbedType is not null || NumClassEmbeds is not null;

    internal bool ScaleShift => ResnetTimeScaleShift == "scale_shift";

    /// <summary>Groups of the norm before the middle block's attention, or null for no norm.</summary>
    internal int? MidAttentionGroups => AttnNormNumGroups ?? (ScaleShift ? null : NormNumGroups);

    /// <summary>Heads of attention over so many channels; where the head's width does not divide them, the rest has no head.</summary>
    internal int Heads(int channels) => channels / HeadWidth(channels);

    internal int HeadWidth(int channels) => AttentionHeadDim ?? channels;

    internal static bool HasAttention(string blockType) => blockType.StartsWith("Attn", StringComparison.Ordinal);

    /// <summary>Whether a block of this type changes the size by a residual block instead of one convolution.</summary>
    internal static bool ResamplesByResnet(string blockType, string resampleType) =>
        blockType.StartsWith("Resnet", StringComparison.Ordinal) || HasAttention(blockType) && resampleType == "resnet";
}
