using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Studies;

public sealed partial class VariancesStudy
{
    private const int ImageSteps = 100, SampleSteps = 50, Batch = 32;

    private static readonly int[] s_imageSteps = [25, SampleSteps, ImageSteps];

    private void Images(StudyContext context)
    {
        var data = context.Models.Data("digits");
        var process = new CosineSchedule();
        var unet = context.Models.Trained("digits-variance", NewNetwork(data, context), network => Train(network, data, process, context));
        var denoiser = NewDenoiser(unet, process);
        Bounds(context, data, denoiser);
        Samples(context, data, denoiser);
    }

    /// <summary>Two channels for each of the images': v, and where the variance lies.</summary>
    private static UNet2D NewNetwork(ITrainingData data, StudyContext context) => new(
        new UNet2DConfig
        {
            SampleSize = [data.SampleShape[0], data.SampleShape[1]],
            InChannels = data.SampleShape[2],
            OutChannels = 2 * data.SampleShape[2],
            BlockOutChannels = [16, 32, 64],
            DownBlockTypes = ["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"],
            UpBlockTypes = ["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
            LayersPerBlock = 1,
            NormNumGroups = 8,
        },
        new Generator(0, RandomStreams.Weights), context.Device);

    private static Denoiser NewDenoiser(UNet2D network, ForwardProcess process) =>
        new((x, times) => network.Forward(x, times), process, Parameterisation.Velocity, learnsVariance: true);

    private static UNet2D Train(UNet2D network, ITrainingData data, ForwardProcess process, StudyContext context)
    {
        var training = new TrainingConfig { Steps = context.Count(2000, 100), Batch = Batch, LearningRate = 2e-3, EmaDecay = 0.998 };
        var denoiser = NewDenoiser(network, process);
        var noise = new Generator(0, RandomStreams.Noise);
        var times = TimeSampler.Steps(new DiscreteSchedule(process, ImageSteps, context.Device));
        var state = TrainingState.New(network, WeightFiles.Plain(network), training, ("noise", noise));
        BatchSource batches = (first, count) => new HybridBatch(
            network.Forward, denoiser, Bytes(data.Draw(first, count, 0, context.Device).X), null, times, ImageSteps, Decoder.Discretised, noise);
        Trainer.Fit(state, training, batches, context.Reporter, "learn digits and a variance", context.Stop);
        context.Number("seconds of training", Math.Round(state.Seconds, 1));
        return network;
    }

    /// <summary>Images rounded to bytes, which the decoder gives probabilities to.</summary>
    private static Tensor Bytes(Tensor images)
    {
        float[] values = images.ToArray();
        for (int i = 0; i < values.Length; i++)
            values[i] = MathF.Round((values[i] + 1) * 127.5f) / 127.5f - 1;
        return Tensor.From(values, images.Shape, images.Device);
    }

    private static void Bounds(StudyContext context, ITrainingData data, Denoiser denoiser)
    {
        int count = context.Count(128, 12), dimensions = data.SampleShape.Count;
        var images = Bytes(data.HeldOut.Draw(0, count, 0, context.Device).X);
        var others = Bytes(data.Draw(0, count, 1, context.Device).X);
        // Analytic-DPM's is best of all that depend on the time alone, but for the last step: there it is best for a density, and what counts is
        // the probability of a byte, for which a smaller variance can be better.
        var names = new[] { "small", "large", "Analytic-DPM", "learned" };
        var totals = names.ToDictionary(name => name, _ => new double[s_imageSteps.Length]);
        var figure = new Figure { PanelWidth = 440, Title = "drawn digits" };
        Axes axes = figure.AddAxes("bound by number of steps"), terms = figure.AddAxes($"terms of the bound of {ImageSteps} steps");
        axes.LogX = true;
        (axes.XLabel, axes.YLabel) = ("steps", "bits per dimension");
        (terms.XLabel, terms.YLabel, terms.LogY) = ("step, from the noise to the data", "bits per dimension", true);
        double least = double.PositiveInfinity;
        context.Reporter.Begin("bound", s_imageSteps.Length * names.Length, unit: "bounds");
        int done = 0;
        for (int i = 0; i < s_imageSteps.Length; i++)
        {
            double[] times = TimeGrid.Uniform(denoiser.Process, s_imageSteps[i]);
            var perSample = new Dictionary<string, IReadOnlyList<double>>();
            foreach (string name in names)
            {
                context.ThrowIfStopped();
                var variance = name switch
                {
                    "small" => ReverseVariance.FixedSmall,
                    "large" => ReverseVariance.FixedLarge,
                    "learned" => ReverseVariance.Learned,
                    _ => ReverseVariance.Analytic(denoiser, others, times, new Generator(31)),
                };
                var bound = VariationalBound.Evaluate(denoiser, images, times, new Generator(32), Decoder.Discretised, variance);
                totals[name][i] = BitsPerDimension.Of(bound.Total, dimensions);
                perSample[name] = bound.PerSample;
                if (i == s_imageSteps.Length - 1)
                {
                    double[] bits = [.. bound.Steps.Append(bound.Reconstruction).Select(nats => BitsPerDimension.Of(nats, dimensions))];
                    terms.Plot([.. Enumerable.Range(1, bits.Length).Select(k => (double)k)], bits, name);
                }
                context.Reporter.Report(++done);
            }
            // Of the same images with the same noise.
            string better = totals["small"][i] < totals["large"][i] ? "small" : "large";
            double[] gains = [.. perSample[better].Select((value, k) => BitsPerDimension.Of(value - perSample["learned"][k], dimensions))];
            var (gain, error) = Statistics.MeanWithError(gains);
            least = Math.Min(least, gain - 3 * error);
        }
        context.Reporter.End();
        foreach (string name in names)
        {
            axes.Plot([.. s_imageSteps.Select(n => (double)n)], totals[name], name);
            context.Number($"digits, bits per dimension, {name} (by steps {string.Join(", ", s_imageSteps)})", new JsonArray([.. totals[name].Select(value => (JsonNode)value)]));
        }
        context.Figure("digits-bound", figure);
        context.AtLeast("digits: bound of the better fixed variance above that of the learned one, less 3 standard errors, least over steps (bits per dimension)", least, 0);
    }

    private static void Samples(StudyContext context, ITrainingData data, Denoiser denoiser)
    {
        var judge = new ImageJudge(context.Models.Classifier("digits"), data);
        int count = context.Count(300, 20);
        double[] times = TimeGrid.Uniform(denoiser.Process, SampleSteps);
        (string Name, ReverseVariance Variance)[] variances = [("small", ReverseVariance.FixedSmall), ("large", ReverseVariance.FixedLarge), ("learned", ReverseVariance.Learned)];
        var scores = variances.ToDictionary(v => v.Name, _ => new List<double>());
        var shown = new List<Tensor>();
        context.Reporter.Begin("sample", variances.Length * context.Seeds.Count * SampleSteps);
        int done = 0;
        foreach (ulong seed in context.Seeds)
        {
            foreach (var (name, variance) in variances)
            {
                using var scope = new MemoryScope();
                var generator = new Generator(seed, RandomStreams.Sampling);
                var start = Sampler.Prior(denoiser.Process, data.SampleShape.Prepend(count), generator, context.Device);
                var samples = Sampler.Ddpm(denoiser, start, times, generator, variance, clipX0: 1, _ =>
                {
                    context.ThrowIfStopped();
                    context.Reporter.Report(++done);
                });
                var judgement = judge.Judge(samples);
                scores[name].Add(judgement.Distance);
                context.Number($"digits, {SampleSteps} steps, {name}, seed {seed}", new JsonObject
                {
                    ["cFID"] = judgement.Distance,
                    ["floor"] = judgement.Floor,
                    ["confident"] = judgement.Confident,
                });
                if (seed == 0)
                    shown.Add(scope.Keep(samples.Slice(0, 0, Math.Min(24, count))));
            }
        }
        context.Reporter.End();
        context.Images("digits-samples", Tensor.Concat(shown.ToArray()), new ImageGrid { Columns = Math.Min(24, count), Zoom = 2 });
        // Sampled from the same starts, so what is compared is a difference for each seed.
        var better = scores["small"].Average() < scores["large"].Average() ? scores["small"] : scores["large"];
        double[] worse = [.. scores["learned"].Zip(better, (learned, other) => learned - other)];
        var (mean, error) = Statistics.MeanWithError(worse);
        context.Number($"digits, {SampleSteps} steps, cFID with the learned variance less that of the better fixed one, mean over seeds", mean);
        context.AtMost($"digits: cFID of {SampleSteps}-step samples with the learned variance less that of the better fixed one, less 2 standard errors", mean - 2 * error, 0);
    }
}
