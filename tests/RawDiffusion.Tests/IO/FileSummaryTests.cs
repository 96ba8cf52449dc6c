using System.Text;
using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public sealed class FileSummaryTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>The name says nothing here, so that the contents must.</summary>
    private string Path => _folder["file"];

    [Fact]
    public void SafetensorsAreListedByTensor()
    {
        Safetensors.Save(Path,
        [
            ("conv_in.weight", Tensor.Zeros([32, 3, 3, 1])),
            ("steps\u001b[2J", Tensor.From([7], [])),
        ],
        new Dictionary<string, string> { ["format"] = "pt\nor not" });
        var summary = FileSummary.Read(Path);
        Assert.Equal(FileKind.Safetensors, summary.Kind);
        Assert.Equal(
            "tensors: 2; elements: 289; bytes of data: 1,156; tensors of F32: 1; tensors of I32: 1; metadata format: pt?or not", Facts(summary));
        Assert.Equal(["tensor", "dtype", "shape", "elements", "bytes"], summary.Columns);
        Assert.Equal(["conv_in.weight", "F32", "[32, 3, 3, 1]", "288", "1,152"], summary.Rows[0]);
        Assert.Equal(["steps?[2J", "I32", "[]", "1", "4"], summary.Rows[1]);
    }

    [Fact]
    public void ExtentsOfTensorsWithoutDataDoNotOverflow()
    {
        const string Header = """{"a":{"dtype":"F32","shape":[9223372036854775807,0,9223372036854775807],"data_offsets":[0,0]}}""";
        File.WriteAllBytes(Path, [(byte)Header.Length, 0, 0, 0, 0, 0, 0, 0, .. Encoding.ASCII.GetBytes(Header)]);
        Assert.Equal("0", FileSummary.Read(Path).Rows[0][3]);
    }

    [Fact]
    public void APictureHasASizeAndAColour()
    {
        new Image(1200, 2).Save(Path);
        var summary = FileSummary.Read(Path);
        Assert.Equal(FileKind.Png, summary.Kind);
        Assert.Equal("width: 1,200; height: 2; colour: grey", Facts(summary));
    }

    [Theory]
    [InlineData(false, FileKind.Idx)]
    [InlineData(true, FileKind.GzipIdx)]
    public void IdxHasExtents(bool compressed, FileKind kind)
    {
        byte[] file = IdxBytes.Make([2, 1, 3], [9, 8, 7, 6, 5, 4]);
        File.WriteAllBytes(Path, compressed ? IdxBytes.Gzip(file) : file);
        var summary = FileSummary.Read(Path);
        Assert.Equal(kind, summary.Kind);
        Assert.Equal("extents: 2 x 1 x 3; values: 6; least and greatest: 4 and 9", Facts(summary));
    }

    [Fact]
    public void AConfigurationIsListedByField()
    {
        File.WriteAllText(Path, """
            { "_class_name": "UNet2DModel", "act_fn": "silu", "block_out_channels": [32, 64],
              "norm_eps": 1e-05, "class_embed_type": null, "long": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxyy" }
            """);
        var summary = FileSummary.Read(Path);
        Assert.Equal((FileKind.Json, "configuration of a UNet2DModel"), (summary.Kind, summary.Description));
        Assert.Equal(["field", "value"], summary.Columns);
        Assert.Equal(["act_fn", "silu"], summary.Rows[1]);
        Assert.Equal(["block_out_channels", "[32, 64]"], summary.Rows[2]);
        Assert.Equal(["norm_eps", "1e-05"], summary.Rows[3]);
        Assert.Equal(["class_embed_type", "null"], summary.Rows[4]);
        Assert.Equal(["long", new string('x', 100) + "..."], summary.Rows[5]);
    }

    public static TheoryData<string, byte[], string> Refused => new()
    {
        { "file", [], "it is empty" },
        { "file", [1, 2, 3], "it begins with 010203; this is no safetensors, PNG, IDX or JSON file" },
        { "file", [.. "plain text"u8], "it begins with 706C61696E207465; this is no" },
        { "file.safetensors", [1, 2, 3], "3 bytes are too few for a safetensors file" },
        { "file.safetensors", [.. "plain text"u8], "longer than the format allows" },
        { "file", [50, 0, 0, 0, 0, 0, 0, 0, (byte)'{'], "cut short: its header needs 50 bytes" },
        { "file.PNG", [1, 2, 3], "does not begin like a PNG file" },
        { "file", [137, 80, 78, 71, 0], "does not begin like a PNG file" },
        { "file", [0, 0, 0x0D, 1, 0, 0, 0, 0], "type 0D" },
        { "file", [0x1F, 0x8B, 8], "cut short" },
        { "file", [.. "{\"a\":1,"u8], "not valid JSON" },
        { "file", [.. "{\"a\":1,\"a\":2}"u8], "not valid JSON" },
        { "file", [.. "{\"a\":\"\\ud800\"}"u8], "not valid Unicode" },
        { "file", [.. "{\""u8, 0xC3, 0x28, .. "\":1}"u8], "not valid" },
        { "file.json", [.. "[1]"u8], "its JSON is not an object" },
        { "file", [.. "{\"a\":"u8, .. Enumerable.Repeat((byte)'[', 100_000)], "not valid JSON" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void WhatCannotBeReadIsRefusedWithOneLine(string name, byte[] contents, string reason)
    {
        File.WriteAllBytes(_folder[name], contents);
        string message = Assert.Throws<FileFormatException>(() => FileSummary.Read(_folder[name])).Message;
        Assert.StartsWith($"{_folder[name]}: ", message);
        Assert.Contains(reason, message);
        Assert.DoesNotContain(message, char.IsControl);
    }

    [Fact]
    public void FoldersAndMissingFilesAreNamed()
    {
        Assert.Contains("this is a folder", Assert.Throws<FileFormatException>(() => FileSummary.Read(_folder.Path)).Message);
        Assert.Contains("none", Assert.Throws<FileNotFoundException>(() => FileSummary.Read(_folder["none"])).Message);
    }

    private static string Facts(FileSummary summary) => string.Join("; ", summary.Facts.Select(fact => $"{fact.Name}: {fact.Value}"));
}
