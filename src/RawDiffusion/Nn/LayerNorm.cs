using RawDiffusion.Backends;

namespace RawDiffusion.Nn;

/// <summary>Layer normalisation over the last axis of [..., channels]. Scale starts at 1 and shift at 0.</summary>
public sealed class LayerNorm(int channels, double eps = 1e-5, Backend? device = null) : Layer
{
    /// <summary>[channels].</summary>
    public Parameter Weight { get; } = Init.Ones([channels], device);

    /// <summary>[channels].</summary>
    public Parameter Bias { get; } = Init.Zeros([channels], device);

    public override Tensor Forward(Tensor x) => F.LayerNorm(x, Weight, Bias, eps);

    protected override string Describe() => $"{Weight.Count} channels";
}
