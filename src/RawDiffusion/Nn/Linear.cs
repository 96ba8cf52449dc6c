using RawDiffusion.Backends;

namespace RawDiffusion.Nn;

/// <summary>y = x W^T + b over the last axis: [..., inFeatures] -> [..., outFeatures].</summary>
public sealed class Linear : Layer
{
    /// <param name="generator">Draws the initial values: PyTorch's defaults, uniform in +-1 / sqrt(inFeatures).</param>
    public Linear(int inFeatures, int outFeatures, Generator generator, bool bias = true, Backend? device = null)
    {
        Weight = Init.DefaultWeight([outFeatures, inFeatures], inFeatures, generator, device);
        Bias = bias ? Init.DefaultBias([outFeatures], inFeatures, generator, device) : null;
    }

    /// <summary>[outFeatures, inFeatures].</summary>
    public Parameter Weight { get; }

    /// <summary>[outFeatures], or null.</summary>
    public Parameter? Bias { get; }

    public override Tensor Forward(Tensor x) => F.Linear(x, Weight, Bias);

    protected override string Describe() => $"{Weight.Shape[1]} -> {Weight.Shape[0]}{(Bias is null ? ", no bias" : "")}";
}
