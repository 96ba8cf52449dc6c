using RawDiffusion.Backends;

namespace RawDiffusion.Nn;

/// <summary>2-D convolution of images [N, H, W, inChannels] -> [N, Ho, Wo, outChannels].</summary>
public sealed class Conv2d : Layer
{
    private readonly Conv2dOptions _options;

    /// <param name="generator">Draws the initial values: PyTorch's defaults, uniform in +-1 / sqrt(kernel^2 inChannels / groups).</param>
    public Conv2d(
        int inChannels, int outChannels, int kernelSize, Generator generator,
        int stride = 1, int padding = 0, int groups = 1, bool bias = true, Backend? device = null)
        : this(inChannels, outChannels, kernelSize, generator, new Conv2dOptions { Stride = stride, Padding = padding, Groups = groups }, bias, device)
    {
    }

    /// <inheritdoc cref="Conv2d(int, int, int, Generator, int, int, int, bool, Backend?)"/>
    public Conv2d(
        int inChannels, int outChannels, int kernelSize, Generator generator, Conv2dOptions options, bool bias = true, Backend? device = null)
    {
        if (options.Groups < 1 || inChannels % options.Groups != 0 || outChannels % options.Groups != 0)
            throw new ArgumentException($"Conv2d: {inChannels} and {outChannels} channels cannot both be cut into {options.Groups} groups.");
        _options = options;
        int fanIn = kernelSize * kernelSize * (inChannels / options.Groups);
        Weight = Init.DefaultWeight([outChannels, kernelSize, kernelSize, inChannels / options.Groups], fanIn, generator, device);
        Bias = bias ? Init.DefaultBias([outChannels], fanIn, generator, device) : null;
    }

    /// <summary>[outChannels, kernelSize, kernelSize, inChannels / groups].</summary>
    public Parameter Weight { get; }

    /// <summary>[outChannels], or null.</summary>
    public Parameter? Bias { get; }

    public override Tensor Forward(Tensor x) => Forward(x, sampleBias: null);

    /// <inheritdoc cref="F.Conv2d(Tensor, Tensor, Tensor?, Conv2dOptions, Tensor?, Tensor?)"/>
    public Tensor Forward(Tensor x, Tensor? sampleBias = null, Tensor? residual = null) =>
        F.Conv2d(x, Weight, Bias, _options, sampleBias, residual);

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
        return Bias is null ? text + ", no bias" : text;
    }
}
