using System.CommandLine;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Cli.Commands;

/// <summary>The options of commands that sample a trained run; what is not given is as it was at the end of the run.</summary>
internal sealed class SamplingOptions
{
    public const string Samplers =
        "ddpm (ancestral), ddim, euler, heun, dpm-solver-2m, dpm-solver-2s, dpm-solver-sde-2m, euler-maruyama or predictor-corrector.";

    public const string Grids = "The sampler's times: uniform, quadratic, log-snr or karras.";

    private readonly ConfigOptions _config;
    private readonly DeviceOption _device = new();
    private readonly Argument<string> _run = new("RUN") { Description = "Folder of a run, or of one of its checkpoints." };

    public SamplingOptions(Command command)
    {
        command.Arguments.Add(_run);
        _config = new ConfigOptions(command, null)
            .Add<int>("n", "sampling.count", "Number of samples.")
            .Add<int>("steps", "sampling.steps", "Steps of the sampler.")
            .Add<string>("sampler", "sampling.sampler", Samplers)
            .Add<string>("grid", "sampling.grid", Grids)
            .Add<double>("eta", "sampling.eta", "DDIM's eta: 0 deterministic, 1 like ddpm.")
            .Add<double>("guidance", "sampling.guidance", "Scale of classifier-free guidance; 1 for none.")
            .Add<double>("classifier-guidance", "sampling.classifierGuidance", "Scale of guidance by a classifier of noised images, which is trained when it is needed first; 0 for none.")
            .AddScales("guidance-of", "sampling.guidanceOf", "Scales of single attributes: colour=3,style=1.5.")
            .AddNumbers("guidance-interval", "sampling.guidanceInterval", "Guide only between two noise levels (sigma / alpha): 0.3,3.")
            .Add<double>("guidance-rescale", "sampling.guidanceRescale", "Share in which guided predictions are rescaled to the spread of unguided ones, 0 to 1.")
            .Add<ulong>("seed", "seed", "Seed of the samples; by default the run's.")
            .Add<string>("data-dir", "data.directory", "Folder with the files of the data, where they are needed.");
        _device.AddTo(command);
    }

    /// <summary>Opens the run and hands it over with the configuration that the user wants.</summary>
    /// <param name="count">The number of samples where the user does not say, of the run and what else is wanted; null for the run's own.</param>
    public int Run(ParseResult parsed, Func<TrainedRun, RunConfig, int>? count, Func<TrainedRun, RunConfig, int> action) => _config.Explain(parsed, () =>
    {
        string device = _device.Name(parsed);
        var run = TrainedRun.Open(parsed.GetValue(_run)!, Device.Parse(device));
        var given = _config.Given(parsed);
        var config = (run.Config with { Device = device }).With(given);
        if (count is not null && given["sampling"]?["count"] is null)
            config = config with { Sampling = config.Sampling with { Count = count(run, config) } };
        config.Check();
        config.ExpectUsed(given);
        ConsoleReporter.ForStandardOutput().Line($"step {run.Step} of {run.Folder} on {run.Device.Name}, seed {config.Seed}");
        return action(run, config);
    });
}
