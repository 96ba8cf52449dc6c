using System.Text.Json;
using RawDiffusion.Cli;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.IO;
using RawDiffusion.Tests.Diffusion.Training;

namespace RawDiffusion.Tests.Cli;

/// <summary>The commands that take up what a run left: sample, evaluate, inspect.</summary>
public sealed class SampleTests(SampleTests.Runs runs) : IClassFixture<SampleTests.Runs>, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_same_settings_give_the_samples_of_the_run()
    {
        Execute("sample", runs.Points, "--n", "20", "--device", "cpu", "--out", _folder["again"]);
        Assert.Equal(Samples(Path.Combine(runs.Points, "samples.safetensors")), Samples(_folder["again.safetensors"]));
        Assert.True(File.Exists(_folder["again.png"]));
    }

    [Fact]
    public void Another_seed_gives_others()
    {
        Execute("sample", runs.Points, "--n", "20", "--seed", "8", "--out", _folder["other"]);
        Assert.NotEqual(Samples(Path.Combine(runs.Points, "samples.safetensors")), Samples(_folder["other.safetensors"]));
    }

    [Fact]
    public void Labels_take_turns_or_are_all_as_asked()
    {
        Execute("sample", runs.Images, "--n", "12", "--out", _folder["turns"]);
        Execute("sample", runs.Images, "--n", "5", "--label", "7", "--guidance", "3", "--out", _folder["sevens.png"]);
        using (var turns = Safetensors.Load(_folder["turns.safetensors"]))
            Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1], turns.Read("labels").ToInt32Array());
        using var sevens = Safetensors.Load(_folder["sevens.safetensors"]);
        Assert.Equal([7, 7, 7, 7, 7], sevens.Read("labels").ToInt32Array());
        Assert.Equal(new Shape(5, 28, 28, 1), sevens.Read("x").Shape);
    }

    /// <summary>Where no time of the sampler is within the interval, the samples are those without guidance.</summary>
    [Fact]
    public void An_interval_and_rescaling_change_guided_samples_and_only_those()
    {
        float[] Made(string name, params string[] options)
        {
            Execute(["sample", runs.Images, "--n", "3", "--seed", "5", "--out", _folder[name], .. options]);
            return Samples(_folder[name + ".safetensors"]);
        }

        float[] plain = Made("plain", "--guidance", "1"), guided = Made("guided", "--guidance", "3");
        Assert.NotEqual(plain, guided);
        Assert.Equal(plain, Made("outside", "--guidance", "3", "--guidance-interval", "1e-6,1e-5"));
        Assert.Equal(guided, Made("inside", "--guidance", "3", "--guidance-interval", "0,1e6"));
        Assert.NotEqual(guided, Made("rescaled", "--guidance", "3", "--guidance-rescale", "0.7"));
    }

    [Fact]
    public void A_trajectory_is_an_animated_gif()
    {
        Execute("sample", runs.Points, "--steps", "4", "--sampler", "ddim", "--out", _folder["x"], "--trajectory", _folder["way.gif"]);
        byte[] gif = File.ReadAllBytes(_folder["way.gif"]);
        Assert.Equal("GIF89a"u8, gif.AsSpan(0, 6));
        // The start and four steps: each picture has a control block before it.
        Assert.Equal(5, Enumerable.Range(0, gif.Length - 3).Count(i => gif.AsSpan(i, 3).SequenceEqual<byte>([0x21, 0xF9, 4])));
    }

    [Fact]
    public void Names_without_an_end_are_counted_up()
    {
        Execute("sample", runs.Points, "--n", "3");
        Execute("sample", runs.Points, "--n", "3");
        Assert.True(File.Exists(Path.Combine(runs.Points, "samples", "sample-1.png")) && File.Exists(Path.Combine(runs.Points, "samples", "sample-2.safetensors")));
    }

    [Fact]
    public void A_checkpoint_can_be_sampled_too()
    {
        Execute("sample", Path.Combine(runs.Points, "checkpoints", "step-12"), "--n", "20", "--out", _folder["again"]);
        Assert.Equal(Samples(Path.Combine(runs.Points, "samples.safetensors")), Samples(_folder["again.safetensors"]));
    }

    [Theory]
    [InlineData("--label 3", "label cannot be asked for: the model was trained without classes")]
    [InlineData("--guidance 3", "guidance needs a model that is told classes, and this one is not; train one with --conditional")]
    [InlineData("--guidance-interval 0.3,3", "guidance-interval needs a model that is told classes, and this one is not; train one with --conditional")]
    [InlineData("--n 0", "n must be at least 1, not 0")]
    [InlineData("--steps 0", "steps must be at least 1, not 0")]
    [InlineData("--eta 2", "eta must be in [0, 1], not 2")]
    [InlineData("--eta 0", "eta is for ddim; the sampler is ddpm")]
    [InlineData("--eta 0.5 --sampler euler", "eta is for ddim; the sampler is euler")]
    [InlineData("--data-dir .", "data-dir is for data that come in files, and eight-gaussians are made on the fly")]
    [InlineData("--sampler magic", "unknown sampler 'magic'; there are: ddpm, ddim, euler, heun, dpm-solver-2m, dpm-solver-2s, dpm-solver-sde-2m, euler-maruyama, predictor-corrector")]
    [InlineData("--trajectory /nowhere/x.gif", "/nowhere/x.gif: there is no such folder to write to")]
    public void Wrong_settings_are_named(string options, string expected) =>
        Assert.Equal($"rawdiffusion: {expected}\n", Fail(["sample", runs.Points, .. options.Split(' ')]));

    [Theory]
    [InlineData("--guidance 1 --guidance-interval 0.3,3", "guidance-interval says where to guide, and samples are not guided; give --guidance or --classifier-guidance too")]
    [InlineData("--guidance 1 --guidance-rescale 0.5", "guidance-rescale is for classifier-free guidance, and there is none; give --guidance too")]
    [InlineData("--guidance 1 --classifier-guidance 2 --guidance-rescale 0.5", "guidance-rescale is for classifier-free guidance, and there is none; give --guidance too")]
    public void Settings_of_a_guidance_that_there_is_not_are_named(string options, string expected) =>
        Assert.Equal($"rawdiffusion: {expected}\n", Fail(["sample", runs.Images, .. options.Split(' ')]));

    /// <summary>The metrics of a run are not those of a study, and not to be lost to one.</summary>
    [Fact]
    public void A_study_does_not_replace_what_a_run_or_another_study_has_left()
    {
        string metrics = Path.Combine(runs.Points, "metrics.json"), before = File.ReadAllText(metrics);
        Assert.Contains("metrics.json in it is of a run", Fail(["study", "small-steps", "--quick", "--device", "cpu", "--out", runs.Points]));
        Assert.Equal(before, File.ReadAllText(metrics));

        Execute("study", "small-steps", "--quick", "--device", "cpu", "--out", _folder["study"]);
        Execute("study", "small-steps", "--quick", "--device", "cpu", "--out", _folder["study"]);
        Assert.Contains("the study small-steps is in it, which gan would replace", Fail(["study", "gan", "--quick", "--device", "cpu", "--out", _folder["study"]]));
    }

    [Fact]
    public void A_checkpoint_that_counts_below_zero_is_damaged()
    {
        TinyRun.Start(TinyRun.Config, _folder["run"]);
        string state = Path.Combine(_folder["run"], "checkpoints", "step-12", "state.json");
        File.WriteAllText(state, File.ReadAllText(state).Replace("\"step\": 12", "\"step\": -1"));
        Assert.Contains("state.json: it counts below zero", Fail(["sample", _folder["run"], "--device", "cpu", "--out", _folder["x"]]));
    }

    [Fact]
    public void Nothing_is_overwritten()
    {
        File.WriteAllText(_folder["mine.png"], "mine");
        Assert.Contains("mine.png is there already", Fail(["sample", runs.Points, "--out", _folder["mine"]]));
        Assert.Equal("mine", File.ReadAllText(_folder["mine.png"]));
        Assert.False(File.Exists(_folder["mine.safetensors"]));
    }

    [Fact]
    public void Evaluating_gives_the_figures_of_the_run()
    {
        string before = string.Join('\n', Directory.EnumerateFileSystemEntries(runs.Points, "*", SearchOption.AllDirectories));
        var run = TrainedRun.Open(runs.Points);
        var evaluation = run.Evaluate(run.Sample(run.Config.Sampling, run.Config.Seed, SilentReporter.Instance), run.Config, SilentReporter.Instance);
        string metrics = File.ReadAllText(Path.Combine(runs.Points, "metrics.json"));
        Assert.Contains(FormattableString.Invariant($"\"slicedWasserstein\": {evaluation.Metrics["slicedWasserstein"]},"), metrics);

        Execute("evaluate", runs.Points, "--n", "50");
        Assert.Equal(before, string.Join('\n', Directory.EnumerateFileSystemEntries(runs.Points, "*", SearchOption.AllDirectories)));
    }

    /// <summary>The run's own classifier judges again, so every figure is the same.</summary>
    [Fact]
    public void Images_are_judged_by_the_classifier_of_the_run()
    {
        var run = TrainedRun.Open(runs.Images);
        var evaluation = run.Evaluate(run.Sample(run.Config.Sampling, run.Config.Seed, SilentReporter.Instance), run.Config, SilentReporter.Instance);
        using var metrics = JsonDocument.Parse(File.ReadAllText(Path.Combine(runs.Images, "metrics.json")));

        string[] distances = ["cfid", "cfidFloor", "csfid", "csfidFloor", "floorImages", "kid", "kidFloor", "precision", "precisionOfReal", "recall", "recallOfReal"];
        Assert.Equal(["samples", "confidentShare", "classShares", .. distances, "classifierAccuracy", "rightShare"], evaluation.Metrics.Keys);
        foreach (string name in (string[])["confidentShare", .. distances.Where(name => name != "floorImages"), "classifierAccuracy", "rightShare"])
            Assert.Equal((double)evaluation.Metrics[name], metrics.RootElement.GetProperty(name).GetDouble());
        Assert.Equal("rawdiffusion: n must be at least 2 where images are judged, not 1\n", Fail(["evaluate", runs.Images, "--n", "1"]));
        Assert.Contains(evaluation.Rows, row => row.Name == "cFID" && row.Value.Contains("at N = 12; real images have"));
    }

    [Theory]
    [InlineData("", "run", "preset")]
    [InlineData("checkpoints/step-6", "checkpoint", "step")]
    [InlineData("checkpoints/step-6/ema", "model folder", "_class_name")]
    [InlineData("samples.safetensors", "safetensors", "tensors")]
    [InlineData("samples/step-6.png", "PNG picture", "width")]
    [InlineData("config.json", "JSON", null)]
    public void Everything_that_a_run_leaves_can_be_inspected(string part, string title, string? fact)
    {
        string path = Path.Combine(runs.Images, part);
        var inspection = RawDiffusion.Diffusion.Training.Records.Inspection.Of(path);
        Assert.Equal(title, inspection.Title);
        if (fact is not null)
            Assert.Contains(inspection.Facts, f => f.Name == fact);
        Execute("inspect", path);
    }

    [Theory]
    [InlineData("train", "train --resume runs/eight-gaussians-1 --steps 12000")]
    [InlineData("train eight-gaussians", "train eight-gaussians --sampler ddim")]
    [InlineData("train mnist", "train mnist --data-dir ~/mnist --conditional")]
    [InlineData("train mnist-classifier", "train mnist-classifier --data-dir")]
    [InlineData("sample", "sample runs/mnist-1 --label 3 --guidance 2 --trajectory threes.gif")]
    [InlineData("evaluate", "evaluate runs/eight-gaussians-1 --sampler ddim --steps 10")]
    [InlineData("inspect", "inspect runs/mnist-1/samples.safetensors")]
    public void Help_shows_examples_that_can_be_parsed(string command, string example)
    {
        using var process = CliProcess.Start([.. command.Split(' '), "--help"]);
        Assert.Equal(0, process.Finish().ExitCode);
        Assert.Contains("Examples:", process.Output);
        Assert.Contains(process.Output, line => line.StartsWith($"  rawdiffusion {example}", StringComparison.Ordinal));
        foreach (string line in process.Output.SkipWhile(line => line != "Examples:").Skip(1).Where(line => line.Length > 0))
            Assert.Empty(Program.CreateRoot().Parse(line.Trim().Split(' ')[1..]).Errors);
    }

    private static float[] Samples(string path)
    {
        using var file = Safetensors.Load(path);
        return file.Read("x").ToArray();
    }

    private static void Execute(params string[] arguments)
    {
        var error = new StringWriter();
        Assert.True(Program.Run(arguments, error) == 0, error.ToString());
    }

    private static string Fail(string[] arguments)
    {
        var error = new StringWriter();
        Assert.Equal(2, Program.Run(arguments, error));
        return error.ToString().ReplaceLineEndings("\n");
    }

    /// <summary>A finished run of points and one of images.</summary>
    public sealed class Runs : IDisposable
    {
        private readonly TemporaryFolder _folder = new();

        public Runs()
        {
            TinyMnist.Write(_folder["data"]);
            TinyRun.Start(TinyRun.Config, Points);
            TinyRun.Start(TinyRun.Images(_folder["data"]), Images);
        }

        public string Points => _folder["points"];

        public string Images => _folder["images"];

        public void Dispose() => _folder.Dispose();
    }
}
