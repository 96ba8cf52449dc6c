using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// <c>config.json</c> of a model folder: one JSON object with the settings of a <see cref="UNet2DConfig"/> in snake case. Settings
/// that are left out have their defaults. Names that begin with an underscore describe the file and not the network.
/// </summary>
internal static class UNet2DConfigFile
{
    private const string ClassName = "UNet2DModel", ClassKey = "_class_name", VersionKey = "_diffusers_version";

    // The version whose settings these are.
    private const string Version = "0.40.0";

    private const int LongestFile = 1 << 20;

    /// <summary>A setting: its name, how it is written, and a configuration with another value.</summary>
    private sealed record Setting(string Name, Func<UNet2DConfig, JsonNode?> Write, Func<UNet2DConfig, ConfigValue, UNet2DConfig> With);

    // In the order of the alphabet, in which diffusers writes them.
    private static readonly Setting[] s_settings =
    [
        new("act_fn", c => c.ActFn, (c, v) => c with { ActFn = v.Text().ToLowerInvariant() }),
        new("add_attention", c => c.AddAttention, (c, v) => c with { AddAttention = v.Flag() }),
        new("attention_head_dim", c => c.AttentionHeadDim, (c, v) => c with { AttentionHeadDim = v.IsNull ? null : v.Int() }),
        new("attn_norm_num_groups", c => c.AttnNormNumGroups, (c, v) => c with { AttnNormNumGroups = v.IsNull ? null : v.Int() }),
        new("block_out_channels", c => List(c.BlockOutChannels), (c, v) => c with { BlockOutChannels = v.Ints() }),
        new("center_input_sample", c => c.CenterInputSample, (c, v) => c with { CenterInputSample = v.Flag() }),
        new("class_embed_type", c => c.ClassEmbedType, (c, v) => c with { ClassEmbedType = v.IsNull ? null : v.Text() }),
        new("down_block_types", c => List(c.DownBlockTypes), (c, v) => c with { DownBlockTypes = BlockTypes(v) }),
        new("downsample_padding", c => c.DownsamplePadding, (c, v) => c with { DownsamplePadding = v.Int() }),
        new("downsample_type", c => c.DownsampleType, (c, v) => c with { DownsampleType = v.IsNull ? "conv" : v.Text() }),
        new("dropout", c => c.Dropout, (c, v) => c with { Dropout = v.Number() }),
        new("flip_sin_to_cos", c => c.FlipSinToCos, (c, v) => c with { FlipSinToCos = v.Flag() }),
        new("freq_shift", c => c.FreqShift, (c, v) => c with { FreqShift = v.Number() }),
        new("in_channels", c => c.InChannels, (c, v) => c with { InChannels = v.Int() }),
        new("layers_per_block", c => c.LayersPerBlock, (c, v) => c with { LayersPerBlock = v.Int() }),
        new("mid_block_scale_factor", c => c.MidBlockScaleFactor, (c, v) => c with { MidBlockScaleFactor = v.Number() }),
        new("mid_block_type", c => c.MidBlockType, (c, v) => c with { MidBlockType = v.IsNull ? null : v.Text() }),
        new("norm_eps", c => c.NormEps, (c, v) => c with { NormEps = v.Number() }),
        new("norm_num_groups", c => c.NormNumGroups, (c, v) => c with { NormNumGroups = v.Int() }),
        new("num_class_embeds", c => c.NumClassEmbeds, (c, v) => c with { NumClassEmbeds = v.IsNull ? null : v.Int() }),
        new("num_train_timesteps", c => c.NumTrainTimesteps, (c, v) => c with { NumTrainTimesteps = v.IsNull ? null : v.Int() }),
        new("out_channels", c => c.OutChannels, (c, v) => c with { OutChannels = v.Int() }),
        new("resnet_time_scale_shift", c => c.ResnetTimeScaleShift, (c, v) => c with { ResnetTimeScaleShift = v.Text() }),
        new("sample_size", SampleSize, (c, v) => c with { SampleSize = v.IsNull ? null : v.IsList ? v.Ints() : [v.Int(), v.Int()] }),
        new("time_embedding_dim", c => c.TimeEmbeddingDim, (c, v) => c with { TimeEmbeddingDim = v.IsNull ? null : v.Int() }),
        new("time_embedding_type", c => c.TimeEmbeddingType, (c, v) => c with { TimeEmbeddingType = v.Text() }),
        new("up_block_types", c => List(c.UpBlockTypes), (c, v) => c with { UpBlockTypes = BlockTypes(v) }),
        new("upsample_type", c => c.UpsampleType, (c, v) => c with { UpsampleType = v.IsNull ? "conv" : v.Text() }),
    ];

    private static readonly Dictionary<string, Setting> s_byName = s_settings.ToDictionary(setting => setting.Name);

    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="FileFormatException">The file is no such configuration, or has a setting that is not supported.</exception>
    public static UNet2DConfig Read(string path)
    {
        using var stream = File.OpenRead(path);
        return Read(path, stream);
    }

    /// <param name="path">The file's name in messages.</param>
    internal static UNet2DConfig Read(string path, Stream stream)
    {
        using var document = Parse(path, stream);
        UNet2DConfig config;
        try
        {
            config = Interpret(path, document.RootElement);
        }
        catch (InvalidOperationException e)
        {
            // From JsonElement: bytes that are not UTF-8, or an escape such as \ud800 that is half a character.
            throw new FileFormatException(path, "it holds a string that is not valid Unicode", e);
        }
        try
        {
            UNet2DConfigChecks.Check(config);
        }
        catch (ArgumentException e)
        {
            throw new FileFormatException(path, e.Message, e);
        }
        return config;
    }

    private static UNet2DConfig Interpret(string path, JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object)
            throw new FileFormatException(path, "this is no JSON object");
        var config = new UNet2DConfig();
        foreach (var property in root.EnumerateObject())
        {
            var value = new ConfigValue(path, property.Name, property.Value);
            if (property.Name == ClassKey && value.Text() != ClassName)
                throw new FileFormatException(path, $"{ClassKey} is {FileFormatException.Quote(value.Text())}; only {ClassName} can be read");
            if (property.Name.StartsWith('_'))
                continue;
            if (s_byName.TryGetValue(property.Name, out var setting))
                config = setting.With(config, value);
            else if (!value.IsNull)
                throw new FileFormatException(path, $"{FileFormatException.Quote(property.Name)}: {value} is no setting of a {ClassName} that is known here");
        }
        return config;
    }

    public static void Write(string path, UNet2DConfig config) => AtomicFile.WriteAllText(path, Format(config));

    /// <summary>The text of the file.</summary>
    internal static string Format(UNet2DConfig config)
    {
        var json = new JsonObject { [ClassKey] = ClassName, [VersionKey] = Version };
        foreach (var setting in s_settings)
            json[setting.Name] = setting.Write(config);
        var options = new JsonSerializerOptions { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        return json.ToJsonString(options) + "\n";
    }

    private static JsonDocument Parse(string path, Stream stream)
    {
        if (stream.Length > LongestFile)
            throw new FileFormatException(path, $"{stream.Length} bytes are too many for a configuration");
        try
        {
            return JsonDocument.Parse(stream, new JsonDocumentOptions { MaxDepth = 8, AllowDuplicateProperties = false });
        }
        catch (JsonException e)
        {
            throw new FileFormatException(path, $"this is not valid JSON ({FileFormatException.Describe(e)})", e);
        }
    }

    private static JsonArray List<T>(IEnumerable<T> values) => [.. values.Select(value => (JsonNode?)JsonValue.Create(value))];

    /// <summary>One number for a square, as diffusers' own files have it.</summary>
    private static JsonNode? SampleSize(UNet2DConfig c) => c.SampleSize switch
    {
        null => null,
        [int height, int width] when height == width => height,
        var size => List(size),
    };

    /// <summary>Block types without the prefix that their first release had.</summary>
    private static string[] BlockTypes(ConfigValue value)
    {
        const string oldPrefix = "UNetRes";
        return Array.ConvertAll(value.Texts(), static type => type.StartsWith(oldPrefix, StringComparison.Ordinal) ? type[oldPrefix.Length..] : type);
    }
}

/// <summary>A value in a configuration file; one of another type than asked for is an error that names the file and the key.</summary>
internal readonly struct ConfigValue(string path, string key, JsonElement value)
{
    public bool IsNull => value.ValueKind == JsonValueKind.Null;

    public bool IsList => value.ValueKind == JsonValueKind.Array;

    public string Text() => value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Wrong("a string");

    public bool Flag() => value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong("true or false");

    public double Number() => value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && double.IsFinite(number) ? number : throw Wrong("a number");

    public int Int()
    {
        double number = value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double found) ? found : throw Wrong("a whole number");
        return number == (int)number ? (int)number : throw Wrong("a whole number");
    }

    public int[] Ints() => Items("a list of whole numbers", static item => item.Int());

    public string[] Texts() => Items("a list of strings", static item => item.Text());

    public override string ToString() => FileFormatException.Quote(value.GetRawText());

    private T[] Items<T>(string expected, Func<ConfigValue, T> read)
    {
        if (!IsList)
            throw Wrong(expected);
        var items = new T[value.GetArrayLength()];
        for (int i = 0; i < items.Length; i++)
            items[i] = read(new ConfigValue(path, $"{key}[{i}]", value[i]));
        return items;
    }

    private FileFormatException Wrong(string expected) => new(path, $"{key} is {this}; {expected} is needed");
}
