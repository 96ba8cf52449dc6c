using System.Globalization;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Training.Configuration;

/// <summary>Tells a configuration that can be run from one that cannot, as far as that does not depend on the data.</summary>
internal static class RunConfigChecks
{
    // Beyond any use, and small enough that no product of two overflows what is computed from them.
    private const int MostSteps = 1_000_000_000, MostSamples = 10_000_000, MostPerStep = 1 << 20, WidestLayer = 1 << 15, MostLayers = 1000,
        MostSamplingSteps = 20_000;

    /// <exception cref="ConfigException">A setting makes no sense; the message names it and its value.</exception>
    public static void Check(RunConfig config)
    {
        if (!Device.IsKnown(config.Device))
            OneOf("device", config.Device, [.. Device.Kinds]);
        OneOf("precision", config.Precision, [.. Precisions.Names]);
        if (config.Model.Mlp is null == config.Model.Unet2d is null)
            throw new ConfigException("model", config.Model.Mlp is null ? " needs one of mlp and unet2d" : " cannot be both mlp and unet2d");
        if (config.Model.Mlp is { } mlp)
        {
            Whole("model.mlp.width", mlp.Width, 1, WidestLayer);
            Whole("model.mlp.layers", mlp.Layers, 1, MostLayers);
            Whole("model.mlp.timeWidth", mlp.TimeWidth, 2, WidestLayer);
        }
        if (config.Model.Attributes && !config.Model.Conditional)
            throw new ConfigException("model.attributes", " are told to a conditional network; give --conditional too");
        OneOf("process.schedule", config.Process.Schedule, Vocabulary.Processes.Keys);
        OneOf("process.parameterisation", config.Process.Parameterisation, Vocabulary.Parameterisations.Keys);
        if (config.Data.StandardDeviation is { } deviation)
            Positive("data.standardDeviation", deviation);
        Check(config.Training);
        Check(config.Sampling);
        CheckObjective(config);
        CheckEnd(config);
        CheckGuidance(config);
        Whole("evaluation.classifierSteps", config.Evaluation.ClassifierSteps, 1, MostSteps);
    }

    public static void Check(TrainingConfig training)
    {
        Whole("training.steps", training.Steps, 1, MostSteps);
        Whole("training.batch", training.Batch, 1, MostPerStep);
        Whole("training.accumulate", training.Accumulate, 1, MostPerStep);
        if (training.Batch % training.Accumulate != 0)
            throw new ConfigException("training.accumulate", $" must divide the batch of {training.Batch}, which {training.Accumulate} does not");
        if (training.TimeLimit is { } limit)
            Positive("training.timeLimit", limit);
        OneOf("training.weight", training.Weight, Vocabulary.Weights.Keys);
        OneOf("training.times", training.Times, Vocabulary.Times.Keys);
        Positive("training.learningRate", training.LearningRate);
        OneOf("training.learningRateSchedule", training.LearningRateSchedule, "constant", "linear", "cosine");
        Whole("training.warmup", training.Warmup, 0, MostSteps);
        if (!(training.WeightDecay >= 0 && double.IsFinite(training.WeightDecay)))
            throw Wrong("training.weightDecay", "must not be negative", training.WeightDecay);
        FractionBelowOne("training.beta1", training.Beta1);
        FractionBelowOne("training.beta2", training.Beta2);
        if (training.ClipNorm is { } norm)
            Positive("training.clipNorm", norm);
        if (training.EmaDecay is { } decay)
            FractionBelowOne("training.emaDecay", decay);
        if (!(training.LabelDropout is >= 0 and <= 1))
            throw Wrong("training.labelDropout", "must be in [0, 1]", training.LabelDropout);
        OneOf("training.fused", training.Fused, "auto", "on", "off");
        if (training.OverfitBatches is { } batches)
            Whole("training.overfitBatches", batches, 1, MostSteps);
        Whole("training.logEvery", training.LogEvery, 1, MostSteps);
        Whole("training.sampleEvery", training.SampleEvery, 0, MostSteps);
        Whole("training.checkpointEvery", training.CheckpointEvery, 0, MostSteps);
        Whole("training.keepCheckpoints", training.KeepCheckpoints, 1, MostSteps);
    }

    public static void Check(SamplingConfig sampling)
    {
        OneOf("sampling.sampler", sampling.Sampler, NamedSampler.All.Keys);
        OneOf("sampling.grid", sampling.Grid, Vocabulary.Grids.Keys);
        Whole("sampling.steps", sampling.Steps, 1, MostSamplingSteps);
        Whole("sampling.count", sampling.Count, 1, MostSamples);
        if (!(sampling.Eta is >= 0 and <= 1))
            throw Wrong("sampling.eta", "must be in [0, 1]", sampling.Eta);
        if (!double.IsFinite(sampling.Guidance))
            throw Wrong("sampling.guidance", "must be a number", sampling.Guidance);
        if (!double.IsFinite(sampling.ClassifierGuidance))
            throw Wrong("sampling.classifierGuidance", "must be a number", sampling.ClassifierGuidance);
        if (sampling.GuidanceInterval is { } interval && interval is not [>= 0, < double.PositiveInfinity] || sampling.GuidanceInterval is [var low, var high] && !(low < high))
        {
            string given = string.Join(", ", sampling.GuidanceInterval!.Select(end => end.ToString(CultureInfo.InvariantCulture)));
            throw new ConfigException("sampling.guidanceInterval", $" must be two noise levels (sigma / alpha), 0 <= low < high, not {given}");
        }
        foreach (var (name, scale) in sampling.GuidanceOf ?? new Dictionary<string, double>())
        {
            if (!double.IsFinite(scale))
                throw Wrong("sampling.guidanceOf", $"must be a number for {FileFormatException.Quote(name)}", scale);
        }
        if (!(sampling.GuidanceRescale is >= 0 and <= 1))
            throw Wrong("sampling.guidanceRescale", "must be in [0, 1]", sampling.GuidanceRescale);
        if (sampling.ClipX0 is { } limit)
            Positive("sampling.clipX0", limit);
    }

    private static void CheckObjective(RunConfig config)
    {
        var training = config.Training;
        if (config.Process.LearnVariance && (training.Weight != Vocabulary.PlainWeight || training.Times != Vocabulary.UniformTimes))
        {
            string key = training.Weight != Vocabulary.PlainWeight ? "training.weight" : "training.times";
            throw new ConfigException(key, " cannot be chosen where the variance is learned: the hybrid objective has its own");
        }
        if (config.Process.Parameterisation == "score" && training.Weight == Vocabulary.PlainWeight)
            throw new ConfigException("training.weight", " plain is no measure of a score's errors, which are largest where there is least noise; give simple or another");
    }

    /// <summary>At the end of straight lines there is no signal: not all can be asked, nor begin, there.</summary>
    private static void CheckEnd(RunConfig config)
    {
        if (!Vocabulary.EndsWithoutSignal(Vocabulary.Processes[config.Process.Schedule]()))
            return;
        string ends = $"the schedule {config.Process.Schedule} ends without a signal";
        if (config.Process.Parameterisation is not ("x0" or "velocity" or "flow-velocity"))
            throw new ConfigException("process.parameterisation", $" {config.Process.Parameterisation} says nothing of x0 there: {ends}; give flow-velocity, velocity or x0");
        if (config.Process.LearnVariance)
            throw new ConfigException("process.learnVariance", $" is for ddpm, which cannot start there: {ends}");
        if (!NamedSampler.All[config.Sampling.Sampler].StartsWithoutSignal)
        {
            var able = NamedSampler.All.Where(named => named.Value.StartsWithoutSignal).Select(named => named.Key);
            throw new ConfigException("sampling.sampler", $" {config.Sampling.Sampler} cannot start there: {ends}; give {string.Join(" or ", able)}");
        }
        if (config.Sampling.Grid is "log-snr" or "karras")
            throw new ConfigException("sampling.grid", $" {config.Sampling.Grid} has no first step: {ends}; give uniform or quadratic");
    }

    /// <summary>Guidance takes a network that knows a sample both with its class and without.</summary>
    private static void CheckGuidance(RunConfig config)
    {
        var sampling = config.Sampling;
        CheckGuidance(sampling, config.Model.Conditional);
        if (sampling.Guidance == 1 && sampling.GuidanceOf is null || config.Training.LabelDropout is > 0 and < 1)
            return;
        string told = config.Training.LabelDropout == 0 ? "every class" : "no class";
        throw new ConfigException(
            sampling.Guidance != 1 ? "sampling.guidance" : "sampling.guidanceOf",
            $" needs a model that knows samples both with their class and without, and this one was told {told}; train one with --label-dropout 0.1");
    }

    /// <exception cref="ConfigException">Samples are to be guided, and the model is told nothing.</exception>
    public static void CheckGuidance(SamplingConfig sampling, bool conditional)
    {
        string? key = sampling.Guidance != 1 ? "sampling.guidance"
            : sampling.GuidanceOf is not null ? "sampling.guidanceOf"
            : sampling.GuidanceInterval is not null && sampling.ClassifierGuidance == 0 ? "sampling.guidanceInterval"
            : sampling.GuidanceRescale != 0 ? "sampling.guidanceRescale" : null;
        if (key is not null && !conditional)
            throw new ConfigException(key, " needs a model that is told classes, and this one is not; train one with --conditional");
    }

    private static void Whole(string key, int value, int least, int most)
    {
        if (value < least)
            throw Wrong(key, $"must be at least {least}", value);
        if (value > most)
            throw Wrong(key, $"must be at most {most}", value);
    }

    private static void Positive(string key, double value)
    {
        if (!(value > 0 && double.IsFinite(value)))
            throw Wrong(key, "must be a positive number", value);
    }

    private static void FractionBelowOne(string key, double value)
    {
        if (!(value is >= 0 and < 1))
            throw Wrong(key, "must be in [0, 1)", value);
    }

    private static void OneOf(string key, string value, params IEnumerable<string> known)
    {
        if (!known.Contains(value))
            throw new ConfigException(key, $" {FileFormatException.Quote(value)}; there are: {string.Join(", ", known)}", "unknown ");
    }

    private static ConfigException Wrong(string key, string rule, double value) =>
        new(key, string.Create(CultureInfo.InvariantCulture, $" {rule}, not {value}"));
}
