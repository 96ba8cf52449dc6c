namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// How large the network of a configuration is, counted without making it: before a file is believed, and before a machine is
/// asked for memory.
/// </summary>
/// <param name="Tensors">Number of parameters by name.</param>
/// <param name="Values">Number of values in all of them.</param>
public readonly record struct UNet2DSize(int Tensors, long Values)
{
    /// <exception cref="ArgumentException">A setting is impossible; the message names it and its value.</exception>
    public static UNet2DSize Of(UNet2DConfig config)
    {
        UNet2DConfigChecks.Check(config);
        var c = config.BlockOutChannels;
        int last = config.Levels - 1;
        var size = Conv(config.InChannels, c[0], 3) + Embedding(config) + Norm(c[0]) + Conv(c[0], config.OutChannels, 3);
        if (config.TimeEmbeddingType == "fourier")
            size += new UNet2DSize(1, c[0]);
        else if (config.TimeEmbeddingType == "learned")
            size += new UNet2DSize(1, (long)config.NumTrainTimesteps!.Value * c[0]);
        if (config.ClassEmbedType == "timestep")
            size += Embedding(config);
        else if (config is { ClassEmbedType: null, NumClassEmbeds: { } classes })
            size += new UNet2DSize(1, (long)classes * config.TimeChannels);
        for (int i = 0; i <= last; i++)
        {
            int from = c[Math.Max(i - 1, 0)], below = c[Math.Min(i + 1, last)];
            string down = config.DownBlockTypes[i], up = config.UpBlockTypes[last - i];
            size += Resnet(config, from, c[i]) + Resnet(config, c[i], c[i]) * (config.LayersPerBlock - 1);
            for (int layer = 0; layer <= config.LayersPerBlock; layer++)
                size += Resnet(config, (layer == 0 ? below : c[i]) + (layer == config.LayersPerBlock ? from : c[i]), c[i]);
            if (UNet2DConfig.HasAttention(down))
                size += Attention(config, c[i], norm: true) * config.LayersPerBlock;
            if (UNet2DConfig.HasAttention(up))
                size += Attention(config, c[i], norm: true) * (config.LayersPerBlock + 1);
            if (i < last)
                size += UNet2DConfig.ResamplesByResnet(down, config.DownsampleType) ? Resnet(config, c[i], c[i]) : Conv(c[i], c[i], 3);
            if (i > 0)
                size += UNet2DConfig.ResamplesByResnet(up, config.UpsampleType) ? Resnet(config, c[i], c[i]) : Conv(c[i], c[i], 3);
        }
        if (config.MidBlockType is null)
            return size;
        size += Resnet(config, c[last], c[last]) * 2;
        return config.AddAttention ? size + Attention(config, c[last], config.MidAttentionGroups is not null) : size;
    }

    public static UNet2DSize operator +(UNet2DSize a, UNet2DSize b) => new(a.Tensors + b.Tensors, checked(a.Values + b.Values));

    public static UNet2DSize operator *(UNet2DSize a, int times) => new(a.Tensors * times, checked(a.Values * times));

    private static UNet2DSize Conv(long inChannels, long outChannels, int kernelSize) => new(2, outChannels * (inChannels * kernelSize * kernelSize + 1));

    private static UNet2DSize Linear(long inFeatures, long outFeatures) => new(2, outFeatures * (inFeatures + 1));

    private static UNet2DSize Norm(int channels) => new(2, 2L * channels);

    private static UNet2DSize Embedding(UNet2DConfig config) =>
        Linear(config.TimeFeatures, config.TimeChannels) + Linear(config.TimeChannels, config.TimeChannels);

    private static UNet2DSize Resnet(UNet2DConfig config, int inChannels, int outChannels)
    {
        var size = Norm(inChannels) + Conv(inChannels, outChannels, 3) + Linear(config.TimeChannels, (config.ScaleShift ? 2 : 1) * outChannels)
            + Norm(outChannels) + Conv(outChannels, outChannels, 3);
        return inChannels == outChannels ? size : size + Conv(inChannels, outChannels, 1);
    }

    private static UNet2DSize Attention(UNet2DConfig config, int channels, bool norm)
    {
        int inner = config.Heads(channels) * config.HeadWidth(channels);
        var size = Linear(channels, inner) * 3 + Linear(inner, channels);
        return norm ? size + Norm(channels) : size;
    }
}
