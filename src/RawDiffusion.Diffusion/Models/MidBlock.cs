using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>The middle of a <see cref="UNet2D"/>: a residual block, attention where there is any, a residual block.</summary>
public sealed class MidBlock : Module
{
    internal MidBlock(int channels, BlockSettings settings)
    {
        var config = settings.Config;
        double scale = config.MidBlockScaleFactor;
        Resnets = [new ResnetBlock(channels, channels, settings, scale), new ResnetBlock(channels, channels, settings, scale)];
        Attentions = config.AddAttention ? [new AttentionBlock(channels, config.MidAttentionGroups, settings, scale)] : [];
    }

    public ResnetBlock[] Resnets { get; }

    /// <summary>One, or none.</summary>
    public AttentionBlock[] Attentions { get; }

    /// <param name="time">The embedded time after the activation, [N, T].</param>
    public Tensor Forward(Tensor x, Tensor time)
    {
        x = Resnets[0].Forward(x, time);
        foreach (var attention in Attentions)
            x = attention.Forward(x);
        return Resnets[1].Forward(x, time);
    }
}
