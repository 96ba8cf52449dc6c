using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Tests.Diffusion.Training;

/// <summary>What can be named in a configuration does what its name says, and what does not go together is refused before it costs time.</summary>
public sealed class VocabularyTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static readonly EightGaussians s_data = new();

    public static TheoryData<string, string> SamplersOnGrids
    {
        get
        {
            var all = new TheoryData<string, string>();
            foreach (string sampler in NamedSampler.All.Keys)
            {
                foreach (string grid in Vocabulary.Grids.Keys)
                    all.Add(sampler, grid);
            }
            return all;
        }
    }

    public static TheoryData<string> Schedules => [.. Vocabulary.Processes.Keys];

    public static TheoryData<string> Parameterisations => [.. Vocabulary.Parameterisations.Keys];

    public static TheoryData<string> Weights => [.. Vocabulary.Weights.Keys];

    public void Dispose() => _folder.Dispose();

    /// <summary>With the exact denoiser and enough steps every sampler ends at the data, whatever the grid.</summary>
    [Theory]
    [MemberData(nameof(SamplersOnGrids))]
    public void Every_sampler_ends_at_the_data_on_every_grid(string sampler, string grid)
    {
        var process = new CosineSchedule();
        var sampling = new SamplingConfig { Sampler = sampler, Grid = grid, Steps = 200 };
        var denoiser = s_data.Denoiser(process);
        var generator = new Generator(1);
        var samples = NamedSampler.Run(sampling, denoiser, Sampler.Prior(process, [500, 2], generator, Device.Cpu), generator, null);
        float[] x = samples.ToArray();
        int near = Enumerable.Range(0, 500).Count(i => s_data.Components.Any(mode => Math.Pow(x[2 * i] - mode.Mean.X, 2) + Math.Pow(x[2 * i + 1] - mode.Mean.Y, 2) < 0.3 * 0.3));
        // 1.1% of a mode are further away than 3 deviations.
        Assert.True(near >= 480, $"{near} of 500 are near a mode");
    }

    [Theory]
    [InlineData("ddpm")]
    [InlineData("ddim")]
    [InlineData("euler")]
    [InlineData("heun")]
    [InlineData("dpm-solver-2m")]
    [InlineData("dpm-solver-2s")]
    [InlineData("dpm-solver-sde-2m")]
    public void Samplers_that_end_at_a_clean_sample_keep_its_limit(string sampler)
    {
        // The ring's radius is 2.
        var sampling = new SamplingConfig { Sampler = sampler, Steps = 20, ClipX0 = 1.5 };
        var denoiser = s_data.Denoiser(new CosineSchedule());
        var generator = new Generator(1);
        var samples = NamedSampler.Run(sampling, denoiser, Sampler.Prior(denoiser.Process, [200, 2], generator, Device.Cpu), generator, null);
        Assert.Equal(1.5, samples.Abs().Max().Item(), 1e-4);
        Assert.Equal(sampler is "heun" or "dpm-solver-2s" ? 39 : 20, denoiser.Evaluations);
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Every_schedule_is_trained_and_sampled(string schedule) => Run($$"""
        { "process": { "schedule": "{{schedule}}", "parameterisation": "velocity" }, "sampling": { "sampler": "dpm-solver-2m" } }
        """);

    [Theory]
    [MemberData(nameof(Parameterisations))]
    public void Every_parameterisation_is_trained_and_sampled(string says) => Run($$"""
        { "process": { "parameterisation": "{{says}}" }, "training": { "weight": "simple" } }
        """);

    [Theory]
    [MemberData(nameof(Weights))]
    public void Every_weight_is_trained_with_at_all_times(string weight)
    {
        foreach (string times in Vocabulary.Times.Keys)
            Run($$"""{ "training": { "weight": "{{weight}}", "times": "{{times}}", "steps": 3 } }""", times);
    }

    [Fact]
    public void A_learned_variance_is_twice_the_channels_and_moves_ddpms_steps()
    {
        TinyMnist.Write(_folder["data"]);
        var config = TinyRun.Images(_folder["data"]).With(TinyRun.Json("""
            { "process": { "learnVariance": true }, "sampling": { "sampler": "ddpm", "guidance": 1, "steps": 4, "count": 2 } }
            """));
        TinyRun.Start(config, _folder["run"]);
        Assert.Equal(2, RunConfig.Load(_folder["run/config.json"]).Model.Unet2d!.OutChannels);

        var run = TrainedRun.Open(_folder["run"], Device.Cpu);
        float[] learned = run.Sample(run.Config.Sampling, 5, SilentReporter.Instance).X.ToArray();
        Assert.All(learned, value => Assert.InRange(value, -1, 1));
        // The same network, steps and noise with the variance fixed.
        var model = run.Model;
        var labels = model.Labels!.Indices([0, 1], Device.Cpu);
        var generator = new Generator(5, RandomStreams.Sampling);
        model.Network.Eval();
        var denoiser = model.Denoiser((x, times) => model.Forward(x, times, labels));
        var start = Sampler.Prior(model.Process, [2, 28, 28, 1], generator, Device.Cpu);
        Assert.NotNull(denoiser.Predict(start, 1, Parameterisation.X0).Spread);
        float[] fixedOnes = Sampler.Ddpm(denoiser, start, TimeGrid.Uniform(denoiser.Process, 4), generator, clipX0: 1).ToArray();
        Assert.NotEqual(fixedOnes, learned);
    }

    [Theory]
    [InlineData("""{ "process": { "schedule": "flow" } }""", "process.parameterisation epsilon says nothing of x0 there: the schedule flow ends without a signal")]
    [InlineData("""{ "process": { "schedule": "flow", "parameterisation": "x0" } }""", "sampling.sampler ddpm cannot start there: the schedule flow ends without a signal; give euler or dpm-solver-2m")]
    [InlineData("""{ "process": { "schedule": "flow", "parameterisation": "x0" }, "sampling": { "sampler": "euler", "grid": "karras" } }""", "sampling.grid karras has no first step")]
    [InlineData("""{ "process": { "schedule": "flow", "parameterisation": "x0", "learnVariance": true } }""", "process.learnVariance is for ddpm")]
    [InlineData("""{ "process": { "learnVariance": true }, "training": { "weight": "p2" } }""", "training.weight cannot be chosen where the variance is learned")]
    [InlineData("""{ "process": { "learnVariance": true }, "training": { "times": "log-snr" } }""", "training.times cannot be chosen where the variance is learned")]
    [InlineData("""{ "process": { "parameterisation": "score" } }""", "training.weight plain is no measure of a score's errors")]
    [InlineData("""{ "process": { "parameterisation": "noise" } }""", "unknown process.parameterisation 'noise'; there are: epsilon, x0, velocity, score, flow-velocity, preconditioned")]
    [InlineData("""{ "training": { "weight": "heavy" } }""", "unknown training.weight 'heavy'; there are: plain, simple")]
    [InlineData("""{ "training": { "times": "early" } }""", "unknown training.times 'early'; there are: uniform, log-snr")]
    [InlineData("""{ "sampling": { "grid": "square" } }""", "unknown sampling.grid 'square'; there are: uniform, quadratic, log-snr, karras")]
    public void What_does_not_go_together_is_refused(string settings, string expected) =>
        Assert.Contains(expected, Assert.Throws<ConfigException>(TinyRun.Config.With(TinyRun.Json(settings)).Check).Message);

    /// <summary>Trains and samples a tiny network to the end: no number of it is other than finite, and its samples can be drawn again.</summary>
    private void Run(string settings, string name = "run")
    {
        var outcome = TinyRun.Start(TinyRun.Config.With(TinyRun.Json(settings)), _folder[name]);
        Assert.Equal(TrainingEnd.Finished, outcome.End);
        var run = TrainedRun.Open(_folder[name], Device.Cpu);
        Assert.All(run.Sample(run.Config.Sampling, 5, SilentReporter.Instance).X.ToArray(), value => Assert.True(float.IsFinite(value)));
    }
}
