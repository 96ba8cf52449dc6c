using RawDiffusion.Backends.Cpu;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;

namespace RawDiffusion.Tests.Diffusion.Training;

/// <summary>A run that was stopped and went on leaves the same bytes as one that never stopped.</summary>
public sealed class ResumeTests(ResumeTests.StraightRun straight) : IClassFixture<ResumeTests.StraightRun>, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>The run that never stopped.</summary>
    public sealed class StraightRun : IDisposable
    {
        private readonly TemporaryFolder _folder = new();

        public StraightRun() => Assert.Equal(TrainingEnd.Finished, TinyRun.Start(TinyRun.Config, Path).End);

        public string Path => _folder["straight"];

        public void Dispose() => _folder.Dispose();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(7)]
    [InlineData(11)]
    public void At_any_step(int stopAt)
    {
        var stopped = TinyRun.Start(TinyRun.Config, _folder["stopped"], stopAt);
        Assert.Equal((TrainingEnd.Stopped, stopAt), (stopped.End, stopped.Step));
        Assert.False(File.Exists(_folder["stopped/metrics.json"]));
        Assert.Equal(TrainingEnd.Finished, TinyRun.Resume(_folder["stopped"]).End);

        AssertSame(straight.Path, _folder["stopped"]);
    }

    [Fact]
    public void After_every_single_step()
    {
        TinyRun.Start(TinyRun.Config, _folder["stopped"], stopAt: 1);
        for (int step = 2; step < TinyRun.Config.Training.Steps; step++)
            TinyRun.Resume(_folder["stopped"], stopAt: step);
        TinyRun.Resume(_folder["stopped"]);

        AssertSame(straight.Path, _folder["stopped"]);
    }

    [Fact]
    public void While_it_samples()
    {
        TinyRun.Start(TinyRun.Config, _folder["stopped"], stopAt: 11);
        Assert.Equal(TrainingEnd.Stopped, TinyRun.Resume(_folder["stopped"], stopAt: 2, phase: "sample").End);
        Assert.False(File.Exists(_folder["stopped/samples.safetensors"]));
        Assert.Equal(TrainingEnd.Finished, TinyRun.Resume(_folder["stopped"]).End);

        AssertSame(straight.Path, _folder["stopped"]);
    }

    [Fact]
    public void With_another_number_of_threads()
    {
        int threads = Workers.Count;
        try
        {
            Workers.SetCount(2);
            TinyRun.Start(TinyRun.Config, _folder["stopped"], stopAt: 6);
            Workers.SetCount(1);
            TinyRun.Resume(_folder["stopped"]);
        }
        finally
        {
            Workers.SetCount(threads);
        }
        AssertSame(straight.Path, _folder["stopped"]);
    }

    [Theory]
    [InlineData("""{ "training": { "accumulate": 4, "emaDecay": null, "clipNorm": null, "overfitBatches": 2, "learningRateSchedule": "linear" } }""")]
    [InlineData("""{ "process": { "parameterisation": "velocity", "schedule": "cosine" }, "sampling": { "sampler": "ddim", "eta": 0.5 } }""")]
    [InlineData("""{ "device": "reference" }""")]
    [InlineData("""{ "process": { "schedule": "cosine", "learnVariance": true } }""")]
    [InlineData("""{ "process": { "schedule": "flow", "parameterisation": "flow-velocity" }, "sampling": { "sampler": "dpm-solver-2m", "grid": "quadratic" } }""")]
    [InlineData("""{ "process": { "parameterisation": "preconditioned" }, "training": { "weight": "edm", "times": "log-snr", "accumulate": 2 }, "sampling": { "sampler": "heun", "grid": "karras" } }""")]
    public void Whatever_the_settings_are(string settings)
    {
        var config = TinyRun.Config.With(TinyRun.Json(settings));
        TinyRun.Start(config, _folder["straight"]);
        TinyRun.Start(config, _folder["stopped"], stopAt: 6);
        TinyRun.Resume(_folder["stopped"]);

        AssertSame(_folder["straight"], _folder["stopped"]);
    }

    /// <summary>Images of a finite set in epochs, classes that are dropped, masks of dropout, weights kept in a model folder.</summary>
    [Fact]
    public void With_a_conditional_unet_and_dropout()
    {
        TinyMnist.Write(_folder["data"]);
        var config = TinyRun.Images(_folder["data"]);
        TinyRun.Start(config, _folder["straight"]);
        TinyRun.Start(config, _folder["stopped"], stopAt: 3);
        TinyRun.Resume(_folder["stopped"]);

        AssertSame(_folder["straight"], _folder["stopped"]);
        // The run's settings name the network as the data made it: one channel, ten classes and "any".
        var unet = RunConfig.Load(_folder["straight/config.json"]).Model.Unet2d!;
        Assert.Equal((1, 1, 11), (unet.InChannels, unet.OutChannels, unet.NumClassEmbeds));
    }

    /// <summary>
    /// The same with steps that are given to a GPU as a whole. No other test works on a device of this name while one is recorded. What the
    /// steps do is watched in EmulatedTrainingTests; here it is the bits that count, so the emulator need not look out for hazards.
    /// </summary>
    [SkippableFact]
    public void With_recorded_steps_on_an_emulated_gpu()
    {
        TestNvrtc.Require();
        TinyMnist.Write(_folder["data"]);
        var config = TinyRun.Images(_folder["data"]).With(TinyRun.Json("""{ "device": "emulated:seed=7", "training": { "batch": 2 }, "sampling": { "count": 2 }, "evaluation": { "classifierSteps": 1 } }"""));
        TinyRun.Start(config, _folder["straight"]);
        TinyRun.Start(config, _folder["stopped"], stopAt: 3);
        TinyRun.Resume(_folder["stopped"]);

        AssertSame(_folder["straight"], _folder["stopped"]);
    }

    /// <summary>A process that was killed has written lines of steps that the checkpoint does not know, the last one cut short.</summary>
    [Fact]
    public void When_the_log_went_further_than_the_checkpoint()
    {
        TinyRun.Start(TinyRun.Config, _folder["stopped"], stopAt: 7);
        File.AppendAllText(_folder["stopped/log.csv"], "10,160,0.5,0.1,0.2,1.000,160.0\n12,192,0.");
        TinyRun.Resume(_folder["stopped"]);

        AssertSame(straight.Path, _folder["stopped"]);
    }

    [Fact]
    public void When_it_was_killed_before_its_first_checkpoint()
    {
        TinyRun.Start(TinyRun.Config, _folder["stopped"], stopAt: 3);
        Directory.Delete(_folder["stopped/checkpoints"], recursive: true);
        TinyRun.Resume(_folder["stopped"]);

        AssertSame(straight.Path, _folder["stopped"]);
    }

    [Fact]
    public void Each_start_is_noted_and_begins_an_events_file()
    {
        TinyRun.Start(TinyRun.Config, _folder["run"], stopAt: 3);
        TinyRun.Resume(_folder["run"], stopAt: 5);
        TinyRun.Resume(_folder["run"]);

        Assert.Equal([0, 3, 5], RunConfig.Load(_folder["run/config.json"]).History.Select(start => start.Step));
        Assert.Equal(3, Directory.GetFiles(_folder["run"], "events.out.tfevents.*").Length);
    }

    [Fact]
    public void A_finished_run_can_be_made_longer()
    {
        var longer = TinyRun.Config.With(TinyRun.Json("""{ "training": { "steps": 15, "learningRateSchedule": "constant", "warmup": 0 } }"""));
        TinyRun.Start(longer, _folder["straight"]);
        TinyRun.Start(longer with { Training = longer.Training with { Steps = 12 } }, _folder["longer"]);
        TinyRun.Resume(_folder["longer"], changes: """{ "training": { "steps": 15 } }""");

        foreach (string part in new[] { "model/model.safetensors", "ema/model.safetensors", "optimizer.safetensors" })
            Assert.Equal(File.ReadAllBytes(_folder[$"straight/checkpoints/step-15/{part}"]), File.ReadAllBytes(_folder[$"longer/checkpoints/step-15/{part}"]));
        Assert.Equal(15, RunConfig.Load(_folder["longer/config.json"]).Training.Steps);
    }

    [Fact]
    public void It_cannot_be_made_shorter_than_it_is()
    {
        TinyRun.Start(TinyRun.Config, _folder["run"]);
        var error = Assert.Throws<ConfigException>(() => TinyRun.Resume(_folder["run"], changes: """{ "training": { "steps": 5 } }"""));
        Assert.Equal("training.steps must be at least 12, as many as are already made, not 5", error.Message);
    }

    [Theory]
    [InlineData("state.json", "{", "state.json: it is no JSON")]
    [InlineData("state.json", "{}", "state.json: it was saved without a moving average")]
    [InlineData("state.json", "{ \"stepp\": 3 }", "state.json: unknown key 'stepp'")]
    [InlineData("state.json", "{ \"step\": 3, \"samples\": -1 }", "state.json: it counts below zero")]
    [InlineData("state.json", "{ \"step\": 4, \"emaSteps\": 4 }", "state.json: it is of step 4, but optimizer.safetensors is of step 3")]
    [InlineData("state.json", "{ \"step\": 3, \"emaSteps\": 3 }", "state.json: it does not say how far the random numbers of 'noise' were used")]
    [InlineData("optimizer.safetensors", "0123", "optimizer.safetensors: 4 bytes are too few")]
    [InlineData("model/model.safetensors", "0123", "model.safetensors: 4 bytes are too few")]
    public void A_damaged_checkpoint_is_named_and_left_as_it_is(string file, string contents, string expected)
    {
        TinyRun.Start(TinyRun.Config, _folder["run"], stopAt: 3);
        string path = _folder[$"run/checkpoints/step-3/{file}"];
        File.WriteAllText(path, contents);
        Assert.Contains(expected, Assert.ThrowsAny<IOException>(() => TinyRun.Resume(_folder["run"])).Message);
        Assert.Equal(contents, File.ReadAllText(path));
    }

    /// <summary>A learning rate that explodes: what was finite before it stays.</summary>
    [Fact]
    public void A_run_that_diverged_keeps_its_last_good_checkpoint()
    {
        var config = TinyRun.Config.With(TinyRun.Json("""{ "training": { "learningRate": 1e30, "warmup": 0, "clipNorm": null, "checkpointEvery": 1 } }"""));
        var error = Assert.Throws<DivergedException>(() => TinyRun.Start(config, _folder["run"]));
        string latest = new CheckpointFolder(_folder["run"]).Latest!;
        Assert.EndsWith($"the last good checkpoint is {latest}", error.Message);
        Assert.Contains($"step {error.Step}: ", error.Message);
        Assert.Equal($"step-{error.Step - 1}", Path.GetFileName(latest));
        using var weights = RawDiffusion.IO.Safetensors.Load(Path.Combine(latest, "model", "model.safetensors"));
        foreach (var entry in weights.Entries)
            Assert.All(weights.Read(entry.Name).ToArray(), value => Assert.True(float.IsFinite(value)));
    }

    [Fact]
    public void Nobody_else_can_work_on_a_run_meanwhile()
    {
        TinyRun.Start(TinyRun.Config, _folder["run"], stopAt: 3);
        using var folder = RunFolder.Open(_folder["run"]);
        Assert.Contains("another process is working on this run", Assert.Throws<IOException>(() => TinyRun.Resume(_folder["run"])).Message);
    }

    /// <summary>All files but those that tell the time, and of those all but the time.</summary>
    private static void AssertSame(string expected, string actual)
    {
        Assert.Equal(Files(expected), Files(actual));
        foreach (string file in Files(expected))
        {
            string a = Path.Combine(expected, file), b = Path.Combine(actual, file);
            if (file.EndsWith(".safetensors", StringComparison.Ordinal) || file.EndsWith(".png", StringComparison.Ordinal) || file.EndsWith("latest", StringComparison.Ordinal))
                Assert.True(File.ReadAllBytes(a).AsSpan().SequenceEqual(File.ReadAllBytes(b)), $"{file} differs");
            else
                Assert.Equal(WithoutTimes(file, a), WithoutTimes(file, b));
        }
    }

    private static string[] Files(string folder) =>
    [
        .. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(folder, file))
            .Where(file => file != "config.json" && !file.StartsWith("events.", StringComparison.Ordinal)).Order(StringComparer.Ordinal),
    ];

    private static IEnumerable<string> WithoutTimes(string file, string path) => Path.GetExtension(file) switch
    {
        ".csv" => File.ReadAllLines(path).Select(line => string.Join(',', line.Split(',')[..5])),
        _ => File.ReadAllLines(path).Where(line => !line.Contains("econds")),
    };
}
