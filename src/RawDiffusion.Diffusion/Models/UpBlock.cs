using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// One level of a <see cref="UNet2D"/> on the way up: residual blocks that also see what the way down left, each with attention or
/// none, then a doubling.
/// </summary>
public sealed class UpBlock : Module
{
    /// <param name="type">As in <see cref="UNet2DConfig.UpBlockTypes"/>.</param>
    /// <param name="inChannels">Channels of what comes from the level below.</param>
    /// <param name="skipChannels">Channels of the last skip: those of the next finer level, whose halving made it.</param>
    /// <param name="last">The finest level: it does not double.</param>
    internal UpBlock(string type, int inChannels, int skipChannels, int outChannels, bool last, BlockSettings settings)
    {
        var config = settings.Config;
        Resnets = new ResnetBlock[config.LayersPerBlock + 1];
        Attentions = new AttentionBlock[UNet2DConfig.HasAttention(type) ? Resnets.Length : 0];
        for (int i = 0; i < Resnets.Length; i++)
        {
            int from = i == 0 ? inChannels : outChannels, skip = i == Resnets.Length - 1 ? skipChannels : outChannels;
            Resnets[i] = new ResnetBlock(from + skip, outChannels, settings);
            if (Attentions.Length > 0)
                Attentions[i] = new AttentionBlock(outChannels, config.NormNumGroups, settings);
        }
        Upsamplers = last ? []
            : UNet2DConfig.ResamplesByResnet(type, config.UpsampleType) ? [new ResnetResampler(outChannels, settings, Resample.Double)]
            : [new Upsample(outChannels, settings)];
    }

    public ResnetBlock[] Resnets { get; }

    public AttentionBlock[] Attentions { get; }

    /// <summary>One, or none at the finest level.</summary>
    public Resampler[] Upsamplers { get; }

    /// <param name="time">The embedded time after the activation, [N, T].</param>
    /// <param name="skips">What the way down left, the latest on top; one is taken for every residual block.</param>
    public Tensor Forward(Tensor x, Tensor time, Stack<Tensor> skips)
    {
        for (int i = 0; i < Resnets.Length; i++)
        {
            x = Joined(Resnets[i], x, skips.Pop(), time);
            if (Attentions.Length > 0)
                x = Attentions[i].Forward(x);
        }
        foreach (var upsampler in Upsamplers)
            x = upsampler.Forward(x, time);
        return x;
    }

    private static Tensor Joined(ResnetBlock resnet, Tensor x, Tensor skip, Tensor time) =>
        Intermediates.Drop(() => resnet.Forward(Tensor.Concat([x, skip], axis: 3), time));
}
