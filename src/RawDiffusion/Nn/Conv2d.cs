using RawDiffusion.Backends;

namespace RawDiffusion.Nn;

/// <summary>2-D convolution of images [N, H, W, inChannels] -> [N, Ho, Wo, outChannels].</summary>
public sealed class Conv2d : Layer
{
    private readonly Conv2dOptions _options;
    private readonly bool _silu;

    /// <param name="generator">Draws the initial values: PyTorch's defaults, uniform in +-1 / sqrt(kernel^2 inChannels / groups).</param>
    /// <param name="silu">Whether SiLU follows, after everything that is added, in the same pass over the output.</param>
    public Conv2d(
        int inChannels, int outChannels, int kernelSize, Generator generator,
        int stride = 1, int padding = 0, int groups = 1, bool bias = true, Backend? device = null, bool silu = false)
        : this(inChannels, outChannels, kernelSize, generator, new Conv2dOptions { Stride = stride, Padding = padding, Groups = groups }, bias, device, silu)
    {
    }

    /// <inheritdoc cref="Conv2d(int, int, int, Generator, int, int, int, bool, Backend?, bool)"/>
    public Conv2d(
        int inChannels, int outChannels, int kernelSize, Generator generator, Conv2dOptions options, bool bias = true, Backend? device = null,
        bool silu = false)
    {
        if (options.Groups < 1 || inChannels % options.Groups != 0 || outChannels % options.Groups != 0)
            throw new ArgumentException($"Conv2d: {inChannels} and {outChannels} channels cannot both be cut into {options.Groups} groups.");
        (_options, _silu) = (options, silu);
        int fanIn = kernelSize * kernelSize * (inChannels / options.Groups);
        Weight = Init.DefaultWeight([outChannels, kernelSize, kernelSize, inChannels / options.Groups], fanIn, generator, device);
        Bias = bias ? Init.DefaultBias([outChannels], fanIn, generator, device) : null;
    }

    /// <summary>[outChannels, kernelSize, kernelSize, inChannels / groups].</summary>
    public Parameter Weight { get; }

    /// <summary>[outChannels], or null.</summary>
    public Parameter? Bias { get; }

    public override Tensor Forward(Tensor x) => Forward(x, sampleBias: null);

    /// <inheritdoc cref="F.Conv2d(Tensor, Tensor, Tensor?, Conv2dOptions, Tensor?, Tensor?, bool)"/>
    public Tensor Forward(Tensor x, Tensor? sampleBias = null, Tensor? residual = null) =>
        F.Conv2d(x, Weight, Bias, _options, sampleBias, residual, _silu);

    protected override string Describe()
    {
        var o = _options;
        string text = $"{Weight.Shape[3] * o.Groups} -> {Weight.Shape[0]}, {Weight.Shape[1]}x{Weight.Shape[2]}";
        if (o.StrideHeight != 1 || o.StrideWidth != 1)
            text += $", stride {o.StrideHeight}x{o.StrideWidth}";
        if ((o.PadTop, o.PadBottom, o.PadLeft, o.PadRight) is var pad && pad != (0, 0, 0, 0))
            text += $", padding {(pad == (o.PadTop, o.PadTop, o.PadTop, o.PadTop) ? o.PadTop : pad)}";
        if (o.Groups != 1)
            text += $", {o.Groups} groups";
        if (Bias is null)
            text += ", no bias";
        return _silu ? text + ", SiLU" : text;
    }
}
