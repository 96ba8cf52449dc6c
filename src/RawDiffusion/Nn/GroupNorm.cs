using RawDiffusion.Backends;

namespace RawDiffusion.Nn;

/// <summary>
/// Group normalisation of [N, ..., channels], followed by SiLU in the same pass where asked. Scale starts at 1 and shift at 0.
/// </summary>
public sealed class GroupNorm(int groups, int channels, double eps = 1e-5, bool silu = false, Backend? device = null) : Layer
{
    private readonly int _groups = groups >= 1 && channels % groups == 0
        ? groups
        : throw new ArgumentException($"GroupNorm: {channels} channels cannot be cut into {groups} groups.");

    /// <summary>[channels].</summary>
    public Parameter Weight { get; } = Init.Ones([channels], device);

    /// <summary>[channels].</summary>
    public Parameter Bias { get; } = Init.Zeros([channels], device);

    public override Tensor Forward(Tensor x) =>
        silu ? F.GroupNormSilu(x, _groups, Weight, Bias, eps) : F.GroupNorm(x, _groups, Weight, Bias, eps);

    protected override string Describe() => $"{_groups} groups of {Weight.Count} channels{(silu ? ", SiLU" : "")}";
}
