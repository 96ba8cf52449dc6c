using System.CommandLine;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion train PRESET</c>, <c>train --config FILE</c> and <c>train --resume RUN</c>.</summary>
internal static class TrainCommand
{
    public static Command Create()
    {
        var command = new Command("train", "Train a preset, judge it and write a run folder; or go on with a run.");
        foreach (var preset in Presets.All)
            command.Subcommands.Add(ForPreset(preset));
        command.Subcommands.Add(MnistClassifierCommand.Create());

        var config = new Option<string?>("--config") { Description = "Train what a file says: JSON in the form of a run's config.json." };
        var resume = new Option<string?>("--resume") { Description = "Go on with a run from its latest checkpoint, to the same bits as if it had never stopped (on the same device)." };
        command.Options.Add(config);
        command.Options.Add(resume);
        var options = new TrainOptions(command, null);
        command.SetAction(parsed =>
        {
            string? file = parsed.GetValue(config), run = parsed.GetValue(resume);
            if (file is not null && run is not null)
                throw new ArgumentException("--config begins a run and --resume goes on with one; give one of them");
            if (run is not null)
                return options.Resume(parsed, run);
            return file is not null
                ? options.Start(parsed, RunConfig.Load(file), chooseDevice: false)
                : throw new ArgumentException($"train needs a preset: {string.Join(", ", command.Subcommands.Select(c => c.Name))}; or --config FILE, or --resume RUN");
        });
        return command.WithExamples(
            "train eight-gaussians",
            "train --resume runs/eight-gaussians-1 --steps 12000",
            "train --config runs/eight-gaussians-1/config.json --seed 2");
    }

    private static Command ForPreset(Preset preset)
    {
        var command = new Command(preset.Name, $"{preset.Description} Takes {preset.Needs} on two cores.");
        var options = new TrainOptions(command, preset.Config);
        command.SetAction(parsed => options.Start(parsed, preset.Config, chooseDevice: true));
        return command.WithExamples([.. preset.Examples.Select(example => $"train {preset.Name} {example}".TrimEnd())]);
    }
}

/// <summary>The options of all trainings of diffusion models, and what they start.</summary>
internal sealed class TrainOptions
{
    // What can change when a run goes on: how long and how it learns, where its data lie and where it computes, not what it learns.
    private static readonly string[] s_changeable = ["training", "sampling", "data", "device"];

    private readonly ConfigOptions _config;
    private readonly Option<string?> _out = new("--out") { Description = "Folder for the run; by default runs/PRESET-N." };
    private readonly Option<bool> _fastDevRun = new("--fast-dev-run") { Description = "A few steps of everything, to see whether a setup holds." };

    public TrainOptions(Command command, RunConfig? defaults)
    {
        _config = new ConfigOptions(command, defaults)
            .Add<string>("data-dir", "data.directory", $"Folder with the files of a data set that comes in files. {DataCommand.WhereElse}")
            .AddFlag("offline", "data.offline", DataCommand.OfflineHelp)
            .Add<ulong>("seed", "seed", "Seed of all random numbers; the same seed gives the same bits.")
            .Add<int>("steps", "training.steps", "Optimizer steps.")
            .Add<double>("time-limit", "training.timeLimit", "Minutes of training, after which it ends as if all steps were made.")
            .Add<int>("batch", "training.batch", "Samples per step.")
            .Add<int>("accumulate", "training.accumulate", "Parts that a batch goes through the network in, to save memory.")
            .Add<double>("lr", "training.learningRate", "Largest learning rate.")
            .Add<string>("lr-schedule", "training.learningRateSchedule", "constant, linear or cosine, after the warm-up.")
            .Add<int>("warmup", "training.warmup", "Steps in which the learning rate rises; at most a tenth of all.")
            .Add<double>("weight-decay", "training.weightDecay", "AdamW's weight decay.")
            .Add<double>("clip-norm", "training.clipNorm", "Largest norm of the gradient.")
            .Add<double>("ema-decay", "training.emaDecay", "Decay of the moving average of the weights.")
            .AddFlag("conditional", "model.conditional", "Tell the network the class of each sample.")
            .AddFlag("attributes", "model.attributes", "Tell a conditional network all that is said of each sample (digit, colour, style), not its class alone.")
            .Add<double>("label-dropout", "training.labelDropout", "Share of samples whose class is not told; of several attributes each one's share.")
            .Add<string>("schedule", "process.schedule", "Noise schedule: linear, cosine, sigmoid, sub-vp or flow (straight lines).")
            .Add<string>("parameterisation", "process.parameterisation", "What the network predicts: epsilon, x0, velocity, score, flow-velocity or preconditioned (EDM).")
            .AddFlag("learn-variance", "process.learnVariance", "Learn the variance of ddpm's steps too, by the hybrid objective.")
            .Add<string>("weight", "training.weight", "How much errors count: plain (as they are), simple, velocity, min-snr, p2, edm or likelihood.")
            .Add<string>("times", "training.times", "Which times are asked about: uniform or log-snr.")
            .Add<string>("sampler", "sampling.sampler", SamplingOptions.Samplers)
            .Add<string>("grid", "sampling.grid", SamplingOptions.Grids)
            .Add<int>("sampling-steps", "sampling.steps", "Steps of the sampler.")
            .Add<double>("eta", "sampling.eta", "DDIM's eta: 0 deterministic, 1 like ddpm.")
            .Add<double>("guidance", "sampling.guidance", "Scale of classifier-free guidance; 1 for none.")
            .Add<double>("classifier-guidance", "sampling.classifierGuidance", "Scale of guidance by a classifier of noised images, which is trained when it is needed first; 0 for none.")
            .AddScales("guidance-of", "sampling.guidanceOf", "Scales of single attributes: colour=3,style=1.5.")
            .AddNumbers("guidance-interval", "sampling.guidanceInterval", "Guide only between two noise levels (sigma / alpha): 0.3,3.")
            .Add<double>("guidance-rescale", "sampling.guidanceRescale", "Share in which guided predictions are rescaled to the spread of unguided ones, 0 to 1.")
            .Add<int>("samples", "sampling.count", "Samples drawn and judged at the end.")
            .Add<int>("log-every", "training.logEvery", "Steps between lines of log.csv.")
            .Add<int>("sample-every", "training.sampleEvery", "Steps between pictures of samples; 0 for none.")
            .Add<int>("checkpoint-every", "training.checkpointEvery", "Steps between checkpoints; 0 for one at the end.")
            .Add<int>("keep-checkpoints", "training.keepCheckpoints", "Checkpoints kept, the newest.")
            .Add<int>("overfit-batches", "training.overfitBatches", "See only the first so many batches, again and again.")
            .Add<string>("fused", "training.fused", "One kernel makes many steps in a launch, for mixtures of Gaussians: on, off, or auto: on a GPU.")
            .AddFlag("detect-anomaly", "training.detectAnomaly", "Name the first operation that makes a value that is not finite; slow.")
            .Add<string>("precision", "precision", "What the network computes in: fp32, or on a GPU tf32 or bf16. Weights, statistics and sums are float32 always.")
            .Add<string>("device", "device", DeviceOption.Help, showDefault: false);
        command.Options.Add(_fastDevRun);
        command.Options.Add(_out);
    }

    /// <param name="chooseDevice">Whether the best device is taken where the user names none, and not that of the configuration.</param>
    public int Start(ParseResult parsed, RunConfig defaults, bool chooseDevice) => _config.Explain(parsed, () =>
    {
        var given = _config.Given(parsed);
        if (chooseDevice && !given.ContainsKey("device"))
            given["device"] = DeviceOption.BestForUser();
        var config = defaults.With(given);
        config.Check();
        config.ExpectUsed(given);
        if (parsed.GetValue(_fastDevRun))
        {
            var wanted = config;
            config = config.FastDevRun();
            if (_config.FirstChanged(parsed, wanted, config) is { } option)
                throw new ArgumentException($"{option} does not apply to --fast-dev-run, which makes a few steps of everything");
        }
        return RunCommand.Execute((reporter, stop) => DiffusionRun.Start(config, () => Folder(parsed, _out, config.Preset), reporter, stop));
    });

    public int Resume(ParseResult parsed, string run) => _config.Explain(parsed, () =>
    {
        var changes = _config.Given(parsed);
        if (changes.FirstOrDefault(change => !s_changeable.Contains(change.Key)).Key is { } key)
            throw new ArgumentException($"a run goes on with its own {key}; it cannot be changed with --resume");
        if (parsed.GetValue(_out) is not null || parsed.GetValue(_fastDevRun))
            throw new ArgumentException("--out and --fast-dev-run are for new runs, not for --resume");
        return RunCommand.Execute((reporter, stop) => RunFolder.PresetOf(run) == MnistClassifierRun.Preset
            ? MnistClassifierRun.Resume(run, changes, reporter, stop)
            : DiffusionRun.Resume(run, changes, reporter, stop));
    });

    public static RunFolder Folder(ParseResult parsed, Option<string?> option, string preset) =>
        parsed.GetValue(option) is { } path ? RunFolder.Create(path) : RunFolder.CreateNext(preset);
}
