using System.Text;
using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Models;
using Xunit.Abstractions;

namespace RawDiffusion.Tests.Diffusion.Models;

public class UNet2DConfigFuzzTests(ITestOutputHelper output)
{
    private static readonly string[] s_whole =
        [.. GoldenUNetTests.FolderNames.Select(name => File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "golden", name, ModelFolder.ConfigFile)))];

    private static readonly string[] s_values =
    [
        "null", "true", "0", "-1", "3", "1e9", "2147483647", "2147483648", "1e999", "-0.5", "\"\"", "\"silu\"", "\"conv\"", "\"resnet\"", "\"\\ud800\"",
        "[]", "[1]", "[8, 8]", "[8, 16, 24]", "[\"DownBlock2D\"]", "{}", "[[[[[[[[]]]]]]]]",
    ];

    [Fact]
    public void DamagedFilesAreReadOrRefused() => Fuzz.Run(
        output, Damaged, file => UNet2DConfigFile.Read("x", new MemoryStream(file)), (_, config) => Check(config),
        // A document, its settings one after the other, and a message.
        file => Fuzz.Slack + 100L * file.Length,
        "not valid JSON", "no JSON object", "only UNet2DModel can be read", "is no setting", "a whole number is needed", "a string is needed", "a number is needed",
        "true or false is needed", "not valid Unicode", "they must agree", "cannot be");

    private static byte[] Damaged(Random random)
    {
        string text = random.Pick<string>(s_whole);
        if (random.Next(100) == 0)
            return Encoding.UTF8.GetBytes(random.Pick<string>(s_values));
        if (random.Next(3) == 0)
            return Damage.Bytes(random, Encoding.UTF8.GetBytes(text));
        // Another value for one to three settings.
        var config = JsonNode.Parse(text)!.AsObject();
        for (int i = random.Next(1, 4); i > 0; i--)
            config[config.ElementAt(random.Next(config.Count)).Key] = "value";
        string changed = config.ToJsonString();
        while (changed.IndexOf("\"value\"", StringComparison.Ordinal) is >= 0 and var at)
            changed = string.Concat(changed.AsSpan(0, at), random.Pick<string>(s_values), changed.AsSpan(at + "\"value\"".Length));
        return Encoding.UTF8.GetBytes(changed);
    }

    /// <summary>What is accepted has a size and is written as it was read.</summary>
    private static void Check(UNet2DConfig config)
    {
        Assert.True(UNet2DSize.Of(config).Values > 0);
        string text = UNet2DConfigFile.Format(config);
        Assert.Equal(text, UNet2DConfigFile.Format(UNet2DConfigFile.Read("x", new MemoryStream(Encoding.UTF8.GetBytes(text)))));
    }
}
