namespace RawDiffusion.Diffusion.Models;

/// <summary>Tells a configuration that a <see cref="UNet2D"/> can be made of from one that it cannot.</summary>
internal static class UNet2DConfigChecks
{
    // Far beyond any network of this kind, and small enough that no product of two overflows.
    private const int MostChannels = 32_768, MostLevels = 16, MostLayers = 1_000;

    private static readonly string[] s_down = ["DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"];
    private static readonly string[] s_up = ["UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"];

    /// <exception cref="ArgumentException">A setting is impossible or not supported; the message names it and its value.</exception>
    public static void Check(UNet2DConfig c)
    {
        Range("in_channels", c.InChannels, 1, MostChannels);
        Range("out_channels", c.OutChannels, 1, MostChannels);
        Levels(c);
        OneOf("time_embedding_type", c.TimeEmbeddingType, "positional", "fourier", "learned");
        if (c.TimeEmbeddingDim is { } width)
            Range("time_embedding_dim", width, 0, 4 * MostChannels);
        if (c.TimeEmbeddingType == "positional" && (c.BlockOutChannels[0] < 2 || c.BlockOutChannels[0] / 2 == c.FreqShift || !double.IsFinite(c.FreqShift)))
            throw Wrong("freq_shift", c.FreqShift, $"it leaves nothing of the {c.BlockOutChannels[0] / 2} frequencies of an embedding");
        if (c.TimeEmbeddingType == "learned")
            Range("num_train_timesteps", c.NumTrainTimesteps ?? 0, 1, 100_000_000);
        if (c.MidBlockType is not (null or "UNetMidBlock2D"))
            throw Wrong("mid_block_type", Quote(c.MidBlockType), "there are: UNetMidBlock2D, and null for none");
        Range("layers_per_block", c.LayersPerBlock, 1, MostLayers);
        if (!(Math.Abs(c.MidBlockScaleFactor) > 0) || !double.IsFinite(c.MidBlockScaleFactor))
            throw Wrong("mid_block_scale_factor", c.MidBlockScaleFactor, "sums are divided by it");
        if (c.DownsamplePadding is not (0 or 1))
            throw Wrong("downsample_padding", c.DownsamplePadding, "0 and 1 halve an image, others do not");
        OneOf("downsample_type", c.DownsampleType, "conv", "resnet");
        OneOf("upsample_type", c.UpsampleType, "conv", "resnet");
        if (!(c.Dropout >= 0 && c.Dropout <= 1))
            throw Wrong("dropout", c.Dropout, "a probability is in [0, 1]");
        OneOf("act_fn", c.ActFn, Activation.Names);
        if (!(c.NormEps >= 0) || !double.IsFinite(c.NormEps))
            throw Wrong("norm_eps", c.NormEps, "it must not be negative");
        OneOf("resnet_time_scale_shift", c.ResnetTimeScaleShift, "default", "scale_shift");
        if (c.ClassEmbedType is not null)
            OneOf("class_embed_type", c.ClassEmbedType, "timestep", "identity");
        if (c.NumClassEmbeds is { } classes)
            Range("num_class_embeds", classes, 1, 100_000_000);
        Groups(c);
        Heads(c);
    }

    private static void Levels(UNet2DConfig c)
    {
        Range("the number of block_out_channels", c.Levels, 1, MostLevels);
        foreach (int channels in c.BlockOutChannels)
            Range("block_out_channels", channels, 1, MostChannels);
        if (c.DownBlockTypes.Count != c.Levels || c.UpBlockTypes.Count != c.Levels)
        {
            throw new ArgumentException(
                $"UNet2D: block_out_channels has {c.Levels} levels, down_block_types {c.DownBlockTypes.Count}, up_block_types {c.UpBlockTypes.Count}; they must agree");
        }
        foreach (string type in c.DownBlockTypes)
            OneOf("down_block_types", type, s_down);
        foreach (string type in c.UpBlockTypes)
            OneOf("up_block_types", type, s_up);
    }

    /// <summary>Every number of channels that is normalised can be cut into the groups; on the way up these are sums of two.</summary>
    private static void Groups(UNet2DConfig c)
    {
        Range("norm_num_groups", c.NormNumGroups, 1, MostChannels);
        foreach (int channels in c.BlockOutChannels)
        {
            if (channels % c.NormNumGroups != 0)
                throw Wrong("norm_num_groups", c.NormNumGroups, $"it does not divide the {channels} channels of a level");
        }
        if (c.AttnNormNumGroups is { } groups && (groups < 1 || c.BlockOutChannels[^1] % groups != 0))
            throw Wrong("attn_norm_num_groups", groups, $"it does not divide the {c.BlockOutChannels[^1]} channels of the middle block");
    }

    private static void Heads(UNet2DConfig c)
    {
        if (c.AttentionHeadDim is not { } width)
            return;
        Range("attention_head_dim", width, 1, MostChannels);
        for (int i = 0; i < c.Levels; i++)
        {
            bool attends = UNet2DConfig.HasAttention(c.DownBlockTypes[i]) || UNet2DConfig.HasAttention(c.UpBlockTypes[^(i + 1)])
                || i == c.Levels - 1 && c.MidBlockType is not null && c.AddAttention;
            if (attends && c.BlockOutChannels[i] < width)
                throw Wrong("attention_head_dim", width, $"a level with attention has only {c.BlockOutChannels[i]} channels");
        }
    }

    private static void Range(string key, int value, int least, int most)
    {
        if (value < least || value > most)
            throw Wrong(key, value, $"it must be in [{least}, {most}]");
    }

    private static void OneOf(string key, string value, params ReadOnlySpan<string> known)
    {
        if (!known.Contains(value))
            throw Wrong(key, Quote(value), $"there are: {string.Join(", ", known.ToArray())}");
    }

    private static string Quote(string value) => IO.FileFormatException.Quote(value);

    private static ArgumentException Wrong(string key, object value, string why) =>
        new(FormattableString.Invariant($"UNet2D: {key} cannot be {value}: {why}"));
}
