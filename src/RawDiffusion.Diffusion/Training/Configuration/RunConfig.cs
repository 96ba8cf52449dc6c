using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Models;

namespace RawDiffusion.Diffusion.Training.Configuration;

/// <summary>
/// Everything that decides what a run does: the contents of <c>config.json</c>, where the keys are these names in camel case. Two runs
/// of one configuration give the same bits.
/// </summary>
public sealed record RunConfig
{
    /// <summary>The name of the preset that this began as; see <see cref="Presets"/>.</summary>
    public string Preset { get; init; } = "";

    /// <summary>Seed of all random numbers.</summary>
    public ulong Seed { get; init; }

    /// <summary>Where to compute: <c>cpu</c> or <c>reference</c>.</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>What the network computes in: <c>fp32</c>, <c>tf32</c> or <c>bf16</c>; see <see cref="RawDiffusion.Precision"/>.</summary>
    public string Precision { get; init; } = "fp32";

    public DataConfig Data { get; init; } = new();

    public ModelConfig Model { get; init; } = new();

    public ProcessConfig Process { get; init; } = new();

    public TrainingConfig Training { get; init; } = new();

    public SamplingConfig Sampling { get; init; } = new();

    public EvaluationConfig Evaluation { get; init; } = new();

    /// <summary>How the run was started and gone on with; noted down, never read.</summary>
    public IReadOnlyList<RunStart> History { get; init; } = [];

    /// <summary>
    /// The same with a few steps of everything: to see within a minute whether a setup holds, from the data to the metrics. The model
    /// and the batch stay, so memory is that of the run.
    /// </summary>
    public RunConfig FastDevRun() => this with
    {
        Training = Training with { Steps = 4, LogEvery = 1, SampleEvery = 2, CheckpointEvery = 2 },
        Sampling = Sampling with { Steps = Math.Min(Sampling.Steps, 3), Count = Math.Min(Sampling.Count, 64) },
        Evaluation = Evaluation with { ClassifierSteps = 4 },
    };

    /// <summary>The same with other values for some keys, given in the form of <c>config.json</c>.</summary>
    /// <exception cref="ConfigException">A key is unknown or its value of the wrong type.</exception>
    public RunConfig With(JsonObject overlay) => StrictJson.With(this, overlay);

    /// <summary>
    /// Reads a file of settings. Keys that it lacks have the values of the preset that its key <c>preset</c> names; a run's
    /// <c>config.json</c> lacks none.
    /// </summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="IO.FileFormatException">It is no such file; the message names it, the key and the reason.</exception>
    public static RunConfig Load(string path)
    {
        var overlay = StrictJson.ReadFile(path);
        try
        {
            if (overlay["preset"] is not JsonValue name || !name.TryGetValue(out string? preset))
                throw new ConfigException("preset", $" must name a preset; there are: {string.Join(", ", Presets.All.Select(p => p.Name))}");
            var config = Presets.Find(preset).Config.With(overlay);
            config.Check();
            return config;
        }
        catch (ConfigException e)
        {
            throw new IO.FileFormatException(path, e.Message, e);
        }
    }

    /// <summary>All of it in the form of <c>config.json</c>.</summary>
    public JsonObject ToJson() => StrictJson.ToObject(this);

    /// <exception cref="ConfigException">A setting makes no sense; the message names it and its value.</exception>
    public void Check() => RunConfigChecks.Check(this);

    /// <summary>Refuses settings that would change nothing. Only of those that somebody has just given: files and presets say everything.</summary>
    /// <param name="given">What was given, in the form of <c>config.json</c>; it is part of this configuration.</param>
    /// <exception cref="ConfigException">One of them is for something else than what the others say.</exception>
    public void ExpectUsed(JsonObject given) => UnusedSettings.Check(this, given);
}

/// <summary>What is learned.</summary>
public sealed record DataConfig
{
    /// <summary>The name of a data set; see <see cref="Data.DataSets"/>.</summary>
    public string Name { get; init; } = "eight-gaussians";

    /// <summary>The folder with the files of a data set that comes in files; null for the cache folder, where what is missing is downloaded.</summary>
    public string? Directory { get; init; }

    /// <summary>Files that are not there are not downloaded.</summary>
    public bool Offline { get; init; }

    /// <summary>The shape of a sample, noted down by the run so that samples can be drawn without the data.</summary>
    public IReadOnlyList<int>? Shape { get; init; }

    /// <summary>The standard deviation of their numbers, noted down likewise.</summary>
    public double? StandardDeviation { get; init; }

    /// <summary>Number of classes, noted down likewise; 0 for none.</summary>
    public int Classes { get; init; }

    /// <summary>All that is said of a sample, the class first, noted down likewise.</summary>
    public IReadOnlyList<LabelConfig>? Labels { get; init; }
}

/// <summary>One thing that is said of every sample; see <see cref="Data.LabelKind"/>.</summary>
public sealed record LabelConfig
{
    public string Name { get; init; } = "";

    /// <summary>What label 0, 1, ... means.</summary>
    public IReadOnlyList<string> Values { get; init; } = [];
}

/// <summary>The network: exactly one of <see cref="Mlp"/> and <see cref="Unet2d"/> is given.</summary>
public sealed record ModelConfig
{
    /// <summary>Whether the network is told the class of a sample; needs data with classes.</summary>
    public bool Conditional { get; init; }

    /// <summary>Whether a conditional network is told everything that is said of a sample (digit, colour, style) and not the class alone.</summary>
    public bool Attributes { get; init; }

    /// <summary>For points of the plane.</summary>
    public MlpConfig? Mlp { get; init; }

    /// <summary>For images. Channels in and out, the size and the number of classes follow the data.</summary>
    public UNet2DConfig? Unet2d { get; init; }

}

/// <summary>The settings of <see cref="MlpDenoiser"/>.</summary>
public sealed record MlpConfig
{
    public int Width { get; init; } = 128;

    public int Layers { get; init; } = 3;

    public int TimeWidth { get; init; } = 32;
}

/// <summary>The forward process and what the network says about it.</summary>
public sealed record ProcessConfig
{
    /// <summary>The noise schedule: <c>linear</c>, <c>cosine</c>, <c>sigmoid</c>, <c>sub-vp</c> or <c>flow</c> (straight lines).</summary>
    public string Schedule { get; init; } = "linear";

    /// <summary>
    /// What the network predicts: <c>epsilon</c>, <c>x0</c>, <c>velocity</c>, <c>score</c>, <c>flow-velocity</c> or <c>preconditioned</c> (EDM);
    /// see <see cref="Diffusion.Parameterisation"/>.
    /// </summary>
    public string Parameterisation { get; init; } = "epsilon";

    /// <summary>
    /// Whether the network learns the variance of the reverse steps besides, by the hybrid objective (<see cref="Objectives.HybridBatch"/>).
    /// Only <c>ddpm</c> makes use of it.
    /// </summary>
    public bool LearnVariance { get; init; }
}

/// <summary>The training. A step is one change of the weights; a batch is what it learns from.</summary>
public sealed record TrainingConfig
{
    public int Steps { get; init; } = 1000;

    /// <summary>Training ends after so many minutes, interruptions not counted, even if not all steps are made; null for no limit.</summary>
    public double? TimeLimit { get; init; }

    /// <summary>Samples per step.</summary>
    public int Batch { get; init; } = 64;

    /// <summary>The batch goes through the network in so many parts, which takes less memory and gives the same result up to rounding.</summary>
    public int Accumulate { get; init; } = 1;

    /// <summary>
    /// How much errors count: <c>plain</c>, those of what the network says as they are, or by <see cref="Objectives.LossWeights"/> as
    /// <c>simple</c>, <c>velocity</c>, <c>min-snr</c>, <c>p2</c>, <c>edm</c> or <c>likelihood</c>.
    /// </summary>
    public string Weight { get; init; } = "plain";

    /// <summary>Which times are asked about: all equally often (<c>uniform</c>), or all logarithms of sigma / alpha (<c>log-snr</c>).</summary>
    public string Times { get; init; } = "uniform";

    /// <summary>The largest learning rate.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>How the learning rate goes on after the warm-up: <c>constant</c>, or falling to 0 as <c>linear</c> or <c>cosine</c>.</summary>
    public string LearningRateSchedule { get; init; } = "cosine";

    /// <summary>Steps in which the learning rate rises to its largest; at most a tenth of all steps.</summary>
    public int Warmup { get; init; } = 200;

    /// <summary>AdamW's weight decay.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>AdamW's decay of the mean of the gradient.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>AdamW's decay of the mean of its square.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Gradients are scaled down to this norm; null for no limit.</summary>
    public double? ClipNorm { get; init; } = 1;

    /// <summary>Decay of the moving average of the weights, which samples are made with; null for none.</summary>
    public double? EmaDecay { get; init; } = 0.9995;

    /// <summary>Whether the average forgets faster at first, when the weights still change much.</summary>
    public bool EmaWarmup { get; init; } = true;

    /// <summary>
    /// Share of the samples that a conditional network is not told the class of, so that it can be guided. Where it is told several things:
    /// the share of which it is told nothing, and of the others the share of which it is not told each; see <see cref="LabelTable.Drop"/>.
    /// </summary>
    public double LabelDropout { get; init; } = 0.1;

    /// <summary>The run sees only the first so many batches, again and again: a model that cannot learn them by heart is broken.</summary>
    public int? OverfitBatches { get; init; }

    /// <summary>Steps from one line of the log to the next.</summary>
    public int LogEvery { get; init; } = 50;

    /// <summary>Steps from one picture of samples to the next; 0 for none before the end.</summary>
    public int SampleEvery { get; init; }

    /// <summary>Steps from one checkpoint to the next; 0 for none before the end.</summary>
    public int CheckpointEvery { get; init; } = 1000;

    /// <summary>So many checkpoints are kept, the newest.</summary>
    public int KeepCheckpoints { get; init; } = 2;

    /// <summary>
    /// Whether one kernel makes many steps in a launch (<see cref="Optim.FusedMlpTraining"/>): <c>on</c>, <c>off</c>, or <c>auto</c>:
    /// on a GPU, where it can be. The training is the same up to rounding.
    /// </summary>
    public string Fused { get; init; } = "auto";

    /// <summary>Whether to look for the first operation that makes a value that is not finite; slow.</summary>
    public bool DetectAnomaly { get; init; }
}

/// <summary>The sampling at the end of a run.</summary>
public sealed record SamplingConfig
{
    /// <summary>
    /// <c>ddpm</c> (ancestral), <c>ddim</c>, <c>euler</c>, <c>heun</c>, <c>dpm-solver-2m</c>, <c>dpm-solver-2s</c>, <c>dpm-solver-sde-2m</c>,
    /// <c>euler-maruyama</c> or <c>predictor-corrector</c>; see <see cref="Samplers.Sampler"/>.
    /// </summary>
    public string Sampler { get; init; } = "ddpm";

    /// <summary>The sampler's times: <c>uniform</c>, <c>quadratic</c>, <c>log-snr</c> or <c>karras</c>; see <see cref="Processes.TimeGrid"/>.</summary>
    public string Grid { get; init; } = "uniform";

    public int Steps { get; init; } = 250;

    /// <summary>DDIM's eta: 0 is deterministic, 1 has the noise of the ancestral sampler.</summary>
    public double Eta { get; init; }

    /// <summary>Samples drawn and judged.</summary>
    public int Count { get; init; } = 10_000;

    /// <summary>Scale of classifier-free guidance for a conditional network: 1 for none, more for clearer classes and less variety.</summary>
    public double Guidance { get; init; } = 1;

    /// <summary>
    /// Scale of guidance by a classifier of noised images, which is trained when it is needed first: 0 for none. The model need not be told
    /// classes; its data must have them.
    /// </summary>
    public double ClassifierGuidance { get; init; }

    /// <summary>Scales of single attributes where they are not that of <see cref="Guidance"/>, by name; null for none.</summary>
    public IReadOnlyDictionary<string, double>? GuidanceOf { get; init; }

    /// <summary>The noise levels (sigma / alpha) between which samples are guided, [low, high]; null for all.</summary>
    public IReadOnlyList<double>? GuidanceInterval { get; init; }

    /// <summary>The share in which guided predictions are brought back to the spread of unguided ones, against overexposed images.</summary>
    public double GuidanceRescale { get; init; }

    /// <summary>The predicted clean sample is kept in [-limit, limit] at every step; null for no limit.</summary>
    public double? ClipX0 { get; init; }
}

/// <summary>How samples are judged.</summary>
public sealed record EvaluationConfig
{
    /// <summary>Steps that the classifier of images learns in, by which samples are judged. One that samples are guided by has two fifths of them.</summary>
    public int ClassifierSteps { get; init; } = ClassifierTraining.Defaults.Steps;
}

/// <summary>One start of a run.</summary>
public sealed record RunStart
{
    /// <summary>Steps made before: 0 for the first start.</summary>
    public int Step { get; init; }

    public IReadOnlyList<string> CommandLine { get; init; } = [];

    /// <summary>Whether one kernel makes many steps in a launch; see <see cref="TrainingConfig.Fused"/>.</summary>
    public bool Fused { get; init; }

    public string Version { get; init; } = "";

    public string Runtime { get; init; } = "";

    public string System { get; init; } = "";

    /// <summary>In UTC.</summary>
    public string Time { get; init; } = "";

    /// <summary>This process, now.</summary>
    public static RunStart Now(int step) => new()
    {
        Step = step,
        CommandLine = [.. Environment.GetCommandLineArgs().Skip(1)],
        Version = typeof(Tensor).Assembly.GetName().Version?.ToString() ?? "",
        Runtime = RuntimeInformation.FrameworkDescription,
        System = RuntimeInformation.OSDescription,
        Time = DateTimeOffset.UtcNow.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture),
    };
}
