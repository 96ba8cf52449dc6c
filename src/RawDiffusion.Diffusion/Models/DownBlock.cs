using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>One level of a <see cref="UNet2D"/> on the way down: residual blocks, each with attention or none, then a halving.</summary>
public sealed class DownBlock : Module
{
    /// <param name="type">As in <see cref="UNet2DConfig.DownBlockTypes"/>.</param>
    /// <param name="last">The coarsest level: it does not halve.</param>
    internal DownBlock(string type, int inChannels, int outChannels, bool last, BlockSettings settings)
    {
        var config = settings.Config;
        Resnets = new ResnetBlock[config.LayersPerBlock];
        Attentions = new AttentionBlock[UNet2DConfig.HasAttention(type) ? Resnets.Length : 0];
        for (int i = 0; i < Resnets.Length; i++)
        {
            Resnets[i] = new ResnetBlock(i == 0 ? inChannels : outChannels, outChannels, settings);
            if (Attentions.Length > 0)
                Attentions[i] = new AttentionBlock(outChannels, config.NormNumGroups, settings);
        }
        Downsamplers = last ? []
            : UNet2DConfig.ResamplesByResnet(type, config.DownsampleType) ? [new ResnetResampler(outChannels, settings, Resample.Halve)]
            : [new Downsample(outChannels, settings)];
    }

    public ResnetBlock[] Resnets { get; }

    public AttentionBlock[] Attentions { get; }

    /// <summary>One, or none at the coarsest level.</summary>
    public Resampler[] Downsamplers { get; }

    /// <param name="time">The embedded time after the activation, [N, T].</param>
    /// <param name="skips">Receives what every part puts out, for the way up.</param>
    public Tensor Forward(Tensor x, Tensor time, Stack<Tensor> skips)
    {
        for (int i = 0; i < Resnets.Length; i++)
        {
            x = Resnets[i].Forward(x, time);
            if (Attentions.Length > 0)
                x = Attentions[i].Forward(x);
            skips.Push(x);
        }
        foreach (var downsampler in Downsamplers)
        {
            x = downsampler.Forward(x, time);
            skips.Push(x);
        }
        return x;
    }
}
