using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.IO;

namespace RawDiffusion.Tests.Diffusion.Models;

/// <summary>Networks as diffusers keeps them.</summary>
public sealed class ModelFolderTests : IDisposable
{
    private readonly TemporaryFolder _temporary = new();

    private static string Golden => Path.Combine(AppContext.BaseDirectory, "golden", "unet2d-google");

    public void Dispose() => _temporary.Dispose();

    [Theory]
    [MemberData(nameof(GoldenUNetTests.Folders), MemberType = typeof(GoldenUNetTests))]
    public void What_is_loaded_and_saved_is_the_same_tensors_and_settings(string golden)
    {
        string original = Path.Combine(AppContext.BaseDirectory, "golden", golden);
        var model = ModelFolder.Load(original);
        ModelFolder.Save(_temporary["copy"], model);

        AssertSameWeights(original, _temporary["copy"]);
        var again = ModelFolder.Load(_temporary["copy"]);
        Assert.Equal(model.NamedParameters().Select(p => p.Name), again.NamedParameters().Select(p => p.Name));
        Assert.All(model.Parameters().Zip(again.Parameters()), pair => Assert.Equal(pair.First.ToArray(), pair.Second.ToArray()));
        JsonObject written = Config(_temporary["copy"]), read = Config(original);
        foreach (var (key, value) in read)
        {
            if (key != "_diffusers_version")
                Assert.True(JsonNode.DeepEquals(value, written[key]) || $"{value}" == "swish", $"{key}: {value} became {written[key]}");
        }
    }

    [Fact]
    public void A_saved_configuration_has_all_keys_of_diffusers()
    {
        ModelFolder.Save(_temporary["copy"], ModelFolder.Load(Golden));

        Assert.Equal(Config(Golden).Select(p => p.Key), Config(_temporary["copy"]).Select(p => p.Key));
        using var weights = Safetensors.Load(Path.Combine(_temporary["copy"], ModelFolder.WeightsFile));
        Assert.Equal("pt", weights.Metadata["format"]);
        Assert.Equal([16, 3, 3, 3], weights["conv_in.weight"].Shape);
    }

    [Fact]
    public void A_network_goes_to_the_reference_device_and_back()
    {
        var model = ModelFolder.Load(Golden, Device.Reference);
        ModelFolder.Save(_temporary["copy"], model);

        Assert.Equal(model.Parameters()[0].ToArray(), ModelFolder.Load(_temporary["copy"]).Parameters()[0].ToArray());
    }

    [Fact]
    public void The_names_and_shapes_that_attention_had_once_are_known()
    {
        string Old(string name) => name.Replace("to_q", "query").Replace("to_k", "key").Replace("to_v", "value").Replace("to_out.0", "proj_attn");
        bool Renamed(string name) => Old(name) != name;
        WriteCopy("old", (name, value) => (Old(name), Renamed(name) && value.Rank == 2 ? value.Reshape(value.Shape[0], value.Shape[1], 1, 1) : value));
        ModelFolder.Save(_temporary["new"], ModelFolder.Load(_temporary["old"]));

        AssertSameWeights(Golden, _temporary["new"]);
    }

    [Fact]
    public void An_old_configuration_gets_the_defaults_of_what_it_leaves_out()
    {
        WriteCopy("old", (name, value) => (name, value), config =>
        {
            foreach (string key in (string[])["add_attention", "attn_norm_num_groups", "class_embed_type", "downsample_type", "dropout", "mid_block_type", "resnet_time_scale_shift", "upsample_type", "time_embedding_dim"])
                config.Remove(key);
            config["_name_or_path"] = "somewhere/else";
            config["down_block_types"] = new JsonArray("UNetResDownBlock2D", "UNetResAttnDownBlock2D");
        });

        Assert.Equal(["DownBlock2D", "AttnDownBlock2D"], ModelFolder.Load(_temporary["old"]).Config.DownBlockTypes);
    }

    /// <summary>Every float32 of the golden network cut to its upper half, which is a bfloat16.</summary>
    [Fact]
    public void Half_precision_weights_are_read()
    {
        string path = Path.Combine(WriteCopy("half", (name, value) => (name, value)), ModelFolder.WeightsFile);
        byte[] file = File.ReadAllBytes(path);
        int start = 8 + (int)BitConverter.ToInt64(file);
        var header = JsonNode.Parse(file.AsSpan(8, start - 8))!.AsObject();
        foreach (var (_, entry) in header)
        {
            entry!["dtype"] = "BF16";
            entry["data_offsets"] = new JsonArray([.. entry["data_offsets"]!.AsArray().Select(offset => JsonValue.Create(offset!.GetValue<int>() / 2))]);
        }
        byte[] text = System.Text.Encoding.UTF8.GetBytes(header.ToJsonString());
        byte[] halves = [.. file.Skip(start).Chunk(4).SelectMany(value => value[2..])];
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((long)text.Length), .. text, .. halves]);

        // A bfloat16 that was cut off is at most 2^-7 of the value away.
        float[] exact = ModelFolder.Load(Golden).ConvOut.Weight.ToArray(), read = ModelFolder.Load(_temporary["half"]).ConvOut.Weight.ToArray();
        Assert.All(exact.Zip(read), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, Math.Abs(pair.First) / 128));
    }

    [Fact]
    public void Weights_that_do_not_fit_are_all_named_in_one_line()
    {
        WriteCopy("wrong", (name, value) => name switch
        {
            "conv_in.bias" => ("conv_in.offset", value),
            "conv_out.weight" => (name, Tensor.Zeros([3, 16, 3, 5])),
            "conv_norm_out.bias" => (name, Tensor.From(new int[16], [16])),
            _ => (name, value),
        });

        Refused(
            "wrong", "missing (1): conv_in.bias|unexpected (1): conv_in.offset|wrong shape or type (2)|conv_out.weight: [3, 3, 5, 16] does not fit [3, 3, 3, 16]|conv_norm_out.bias: Int32");
    }

    [Fact]
    public void Two_names_for_one_tensor_are_refused()
    {
        var tensors = Weights(Golden);
        string name = tensors.Keys.First(key => key.EndsWith("to_q.weight"));
        tensors.Add(name.Replace("to_q", "query"), tensors[name]);
        string folder = WriteCopy("twice", (key, value) => (key, value));
        Safetensors.Save(Path.Combine(folder, ModelFolder.WeightsFile), tensors.Select(pair => (pair.Key, pair.Value)));

        Refused("twice", "query.weight|to_q.weight");
    }

    [Theory]
    [InlineData("_class_name", "\"UNet2DConditionModel\"", "UNet2DConditionModel")]
    [InlineData("act_fn", "\"tanh\"", "act_fn cannot be 'tanh'")]
    [InlineData("act_fn", "null", "act_fn is 'null'; a string is needed")]
    [InlineData("down_block_types", "[\"SkipDownBlock2D\",\"DownBlock2D\"]", "'SkipDownBlock2D'")]
    [InlineData("down_block_types", "[\"DownBlock2D\", 7]", "down_block_types[1] is '7'; a string is needed")]
    [InlineData("block_out_channels", "16", "block_out_channels is '16'; a list of whole numbers is needed")]
    [InlineData("block_out_channels", "[16, 32.5]", "block_out_channels[1] is '32.5'; a whole number is needed")]
    [InlineData("block_out_channels", "[2000000000, 2000000000]", "block_out_channels cannot be 2000000000")]
    [InlineData("norm_num_groups", "null", "norm_num_groups is 'null'; a whole number is needed")]
    [InlineData("norm_num_groups", "1e300", "norm_num_groups is '1e300'; a whole number is needed")]
    [InlineData("norm_eps", "\"small\"", "norm_eps is '\"small\"'; a number is needed")]
    [InlineData("norm_eps", "1e999", "norm_eps is '1e999'; a number is needed")]
    [InlineData("flip_sin_to_cos", "1", "flip_sin_to_cos is '1'; true or false is needed")]
    [InlineData("cross_attention_dim", "64", "'cross_attention_dim': '64' is no setting")]
    [InlineData("layers_per_block", "900", "config.json has")]
    [InlineData("num_class_embeds", "50000000", "config.json has")]
    public void A_configuration_that_is_wrong_is_refused_by_key_and_value(string key, string value, string message)
    {
        WriteCopy("wrong", (name, tensor) => (name, tensor), config => config[key] = JsonNode.Parse(value));

        Refused("wrong", message);
    }

    [Theory]
    [InlineData("", "not valid JSON")]
    [InlineData("[]", "no JSON object")]
    [InlineData("{\"in_channels\": 3, \"in_channels\": 3}", "not valid JSON")]
    [InlineData("{\"in_channels\": [[[[[[[[[[3]]]]]]]]]]}", "not valid JSON")]
    [InlineData("{\"act_fn\": \"\\ud800\"}", "not valid Unicode")]
    [InlineData("{\"in_channels\": \"\u0001\"}", "not valid JSON")]
    public void A_configuration_that_is_no_such_file_is_refused(string text, string message)
    {
        string folder = WriteCopy("wrong", (name, value) => (name, value));
        File.WriteAllText(Path.Combine(folder, ModelFolder.ConfigFile), text);

        Refused("wrong", message);
    }

    [Fact]
    public void A_configuration_of_megabytes_is_not_read()
    {
        string folder = WriteCopy("large", (name, value) => (name, value));
        File.WriteAllText(Path.Combine(folder, ModelFolder.ConfigFile), new string(' ', 2 << 20));

        Refused("large", "too many for a configuration");
    }

    [Fact]
    public void A_folder_that_is_not_there_or_lacks_a_file_is_named()
    {
        Assert.Contains("no such folder", Assert.Throws<DirectoryNotFoundException>(() => ModelFolder.Load(_temporary["none"])).Message);
        string folder = WriteCopy("part", (name, value) => (name, value));
        File.Move(Path.Combine(folder, ModelFolder.WeightsFile), Path.Combine(folder, "diffusion_pytorch_model.bin"));
        Assert.Contains("is a pickle", Assert.Throws<FileNotFoundException>(() => ModelFolder.Load(folder)).Message);
        File.Delete(Path.Combine(folder, ModelFolder.ConfigFile));
        Assert.Contains("no config.json", Assert.Throws<FileNotFoundException>(() => ModelFolder.Load(folder)).Message);
    }

    /// <summary>A copy of the golden folder with changed tensors and settings.</summary>
    private string WriteCopy(string name, Func<string, Tensor, (string, Tensor)> change, Action<JsonObject>? edit = null)
    {
        string folder = Directory.CreateDirectory(_temporary[name]).FullName;
        Safetensors.Save(Path.Combine(folder, ModelFolder.WeightsFile), Weights(Golden).Select(pair => change(pair.Key, pair.Value)));
        var config = Config(Golden);
        edit?.Invoke(config);
        File.WriteAllText(Path.Combine(folder, ModelFolder.ConfigFile), config.ToJsonString());
        return folder;
    }

    /// <summary>Loading names the file and the reasons, parted by '|', in one line.</summary>
    private void Refused(string name, string reasons)
    {
        var error = Assert.Throws<FileFormatException>(() => ModelFolder.Load(_temporary[name]));
        Assert.StartsWith(_temporary[name], error.Message);
        Assert.DoesNotContain('\n', error.Message);
        Assert.All(reasons.Split('|'), reason => Assert.Contains(reason, error.Message));
    }

    private static void AssertSameWeights(string expected, string actual)
    {
        Dictionary<string, Tensor> e = Weights(expected), a = Weights(actual);
        Assert.Equal(e.Keys.Order(), a.Keys.Order());
        Assert.All(e, pair => Assert.Equal(pair.Value.Shape, a[pair.Key].Shape));
        Assert.All(e, pair => Assert.Equal(pair.Value.ToArray(), a[pair.Key].ToArray()));
    }

    private static Dictionary<string, Tensor> Weights(string folder)
    {
        using var file = Safetensors.Load(Path.Combine(folder, ModelFolder.WeightsFile));
        return file.Entries.ToDictionary(entry => entry.Name, entry => file.Read(entry.Name));
    }

    private static JsonObject Config(string folder) => JsonNode.Parse(File.ReadAllText(Path.Combine(folder, ModelFolder.ConfigFile)))!.AsObject();
}
