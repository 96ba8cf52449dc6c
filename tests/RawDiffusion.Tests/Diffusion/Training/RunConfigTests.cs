using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.IO;

namespace RawDiffusion.Tests.Diffusion.Training;

public sealed class RunConfigTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> PresetNames => [.. Presets.All.Select(preset => preset.Name)];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(PresetNames))]
    public void A_preset_survives_its_file(string name)
    {
        var config = Presets.Find(name).Config;
        config.Check();
        string text = config.ToJson().ToJsonString();
        Assert.Equal(text, Read(text).ToJson().ToJsonString());
    }

    [Theory]
    [MemberData(nameof(PresetNames))]
    public void A_preset_says_what_it_needs(string name)
    {
        var preset = Presets.Find(name);
        Assert.Matches("(second|minute|hour).* and .*[MG]B", preset.Needs);
        Assert.NotEmpty(preset.Description);
    }

    [Fact]
    public void What_a_file_leaves_out_is_the_presets()
    {
        var config = Read("""{ "preset": "eight-gaussians", "training": { "steps": 7 }, "model": { "mlp": { "width": 16 } } }""");
        var preset = Presets.Find("eight-gaussians").Config;

        Assert.Equal(preset with
        {
            Training = preset.Training with { Steps = 7 },
            Model = preset.Model with { Mlp = preset.Model.Mlp! with { Width = 16 } },
        }, config with { History = preset.History });
    }

    [Theory]
    [InlineData("", "it is no JSON at line 1")]
    [InlineData("{\n  \"preset\": \"eight-gaussians\",\n}", "it is no JSON at line 3")]
    [InlineData("[1, 2]", "it holds no JSON object")]
    [InlineData("""{ "seed": 1, "seed": 2 }""", "Duplicate property 'seed'")]
    [InlineData("{}", "preset must name a preset; there are: eight-gaussians")]
    [InlineData("""{ "preset": "nine-gaussians" }""", "unknown preset 'nine-gaussians'; there are: eight-gaussians")]
    [InlineData("""{ "preset": "eight-gaussians", "trainning": {} }""", "unknown key 'trainning'; there are: preset, seed")]
    [InlineData("""{ "preset": "eight-gaussians", "training": { "stpes": 5 } }""", "unknown key 'stpes' in training; there are: steps")]
    [InlineData("""{ "preset": "eight-gaussians", "training": { "steps": "many" } }""", "training.steps must be a whole number, not '\"many\"'")]
    [InlineData("""{ "preset": "eight-gaussians", "training": { "steps": 1.5 } }""", "training.steps must be a whole number, not '1.5'")]
    [InlineData("""{ "preset": "eight-gaussians", "training": { "steps": 99999999999 } }""", "training.steps must be a whole number")]
    [InlineData("""{ "preset": "eight-gaussians", "training": { "steps": 2000000000 } }""", "training.steps must be at most 1000000000, not 2000000000")]
    [InlineData("""{ "preset": "eight-gaussians", "training": { "steps": null } }""", "training.steps must not be null")]
    [InlineData("""{ "preset": "eight-gaussians", "training": { "steps": 0 } }""", "training.steps must be at least 1, not 0")]
    [InlineData("""{ "preset": "eight-gaussians", "training": { "emaDecay": 1 } }""", "training.emaDecay must be in [0, 1), not 1")]
    [InlineData("""{ "preset": "eight-gaussians", "training": { "learningRate": 1e999 } }""", "training.learningRate must be a positive number, not Infinity")]
    [InlineData("""{ "preset": "eight-gaussians", "training": { "batch": 10, "accumulate": 4 } }""", "training.accumulate must divide the batch of 10, which 4 does not")]
    [InlineData("""{ "preset": "eight-gaussians", "training": { "timeLimit": -1 } }""", "training.timeLimit must be a positive number, not -1")]
    [InlineData("""{ "preset": "eight-gaussians", "training": [] }""", "training must be an object, not '[]'")]
    [InlineData("""{ "preset": "eight-gaussians", "seed": -1 }""", "seed must be a whole number from 0 on, not '-1'")]
    [InlineData("""{ "preset": "eight-gaussians", "model": { "conditional": 1 } }""", "model.conditional must be true or false, not '1'")]
    [InlineData("""{ "preset": "eight-gaussians", "model": { "mlp": null } }""", "model needs one of mlp and unet2d")]
    [InlineData("""{ "preset": "eight-gaussians", "model": { "unet2d": {} } }""", "model cannot be both mlp and unet2d")]
    [InlineData("""{ "preset": "eight-gaussians", "process": { "schedule": "square" } }""", "unknown process.schedule 'square'; there are: linear, cosine")]
    [InlineData("""{ "preset": "mnist", "sampling": { "steps": 30000 } }""", "sampling.steps must be at most 20000, not 30000")]
    [InlineData("""{ "preset": "eight-gaussians", "data": { "shape": [2, "3"] } }""", "data.shape[1] must be a whole number, not '\"3\"'")]
    public void A_wrong_file_is_named_with_the_key(string text, string expected)
    {
        var error = Assert.ThrowsAny<IOException>(() => Read(text));
        Assert.StartsWith(_folder["config.json"] + ": ", error.Message);
        Assert.Contains(expected, error.Message);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void A_deeply_nested_or_endless_file_is_refused_before_it_is_read()
    {
        Assert.Contains("no JSON", Assert.Throws<FileFormatException>(() => Read(new string('[', 100_000))).Message);
        Assert.Contains("larger than", Assert.Throws<FileFormatException>(() => Read(new string(' ', 2_000_000))).Message);
    }

    [Fact]
    public void A_missing_file_is_named() =>
        Assert.Contains("/nowhere.json: there is no such file", Assert.Throws<FileNotFoundException>(() => RunConfig.Load("/nowhere.json")).Message);

    [Fact]
    public void A_development_run_keeps_the_model_and_the_batch()
    {
        var config = Presets.Find("eight-gaussians").Config;
        var fast = config.FastDevRun();
        Assert.Equal((config.Model, config.Training.Batch), (fast.Model, fast.Training.Batch));
        Assert.InRange(fast.Training.Steps, 2, 10);
        Assert.True(fast.Training.SampleEvery < fast.Training.Steps && fast.Training.CheckpointEvery < fast.Training.Steps);
    }

    private RunConfig Read(string text)
    {
        File.WriteAllText(_folder["config.json"], text);
        return RunConfig.Load(_folder["config.json"]);
    }
}
