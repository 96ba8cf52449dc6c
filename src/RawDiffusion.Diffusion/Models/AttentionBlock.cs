using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// Self attention over the pixels of an image: x[N, H, W, C] -> (attention(norm(x)) + x) / scale. The parameters of the attention
/// stand beside those of the norm: <c>group_norm</c>, <c>to_q</c>, <c>to_k</c>, <c>to_v</c>, <c>to_out.0</c>.
/// </summary>
public sealed class AttentionBlock : Layer
{
    private readonly double _scale;

    /// <param name="groups">Groups of the norm, or null for none.</param>
    internal AttentionBlock(int channels, int? groups, BlockSettings settings, double scale = 1)
    {
        _scale = scale;
        GroupNorm = groups is null ? null : settings.Norm(channels, groups: groups);
        Attention = new Attention(
            channels, settings.Config.Heads(channels), settings.Generator, settings.Config.HeadWidth(channels), device: settings.Device);
    }

    public GroupNorm? GroupNorm { get; }

    [Name("")]
    public Attention Attention { get; }

    public override Tensor Forward(Tensor x) => Intermediates.Drop(() => Compute(x));

    private Tensor Compute(Tensor x)
    {
        var h = GroupNorm?.Forward(x) ?? x;
        var y = Attention.Forward(h.Reshape(x.Shape[0], x.Shape[1] * x.Shape[2], x.Shape[3])).Reshape(x.Shape) + x;
        return _scale == 1 ? y : y / _scale;
    }
}
