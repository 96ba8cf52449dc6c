using System.Diagnostics;
using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Gan;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>A GAN of handwritten digits beside the diffusion model of the other studies, judged by the same classifier.</summary>
public sealed class GanMnistStudy : Study
{
    private const int Batch = 64;

    private static readonly GanSettings s_settings = new() { Latents = 64, LearningRate = 1e-3, Penalty = 1, PenaltyEvery = 4 };

    public override string Name => "gan-mnist";

    public override string Lesson => "Digits by a GAN in one evaluation beside digits by diffusion in many: distance of features, classes found, certainty.";

    public override bool NeedsImages => true;

    public override void Run(StudyContext context)
    {
        int count = context.Count(1000, 50);
        var data = context.Models.Data("mnist");
        var generator = context.Models.Trained(
            "gan-mnist", new ImageGenerator(new Generator(0, 81), s_settings.Latents, device: context.Device), untrained => Train(context, data, untrained));
        var run = context.Models.Mnist;
        var judge = new ImageJudge(context.Models.Classifier("mnist"), data);

        long start = Stopwatch.GetTimestamp();
        var made = Sample(generator, count, context);
        double ganSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        start = Stopwatch.GetTimestamp();
        var sampling = run.Config.Sampling with { Count = count };
        var denoised = run.Sample(sampling, 0, context.Reporter, stop: context.Stop).X;
        double diffusionSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds;

        var (gan, diffusion) = (judge.Judge(made), judge.Judge(denoised));
        context.Number("samples", count);
        context.Number("floor of the distance", gan.Floor);
        Report(context, "GAN", gan, ganSeconds, generator.ParameterCount, evaluations: 1);
        Report(context, "diffusion", diffusion, diffusionSeconds, run.Model.Network.ParameterCount, sampling.Steps);
        // No threshold: the figures are stated, whatever they say.
        context.Beside(FormattableString.Invariant($"cFID of {count} (floor {gan.Floor:0.###}): GAN beside diffusion"), gan.Distance, diffusion.Distance);
        context.Beside("classes found of 10: GAN beside diffusion", Classes(gan), Classes(diffusion));
        context.Beside("share the classifier is sure of: GAN beside diffusion", gan.Confident, diffusion.Confident);
        Draw(context, made, denoised, gan, diffusion);
    }

    private static ImageGenerator Train(StudyContext context, ITrainingData data, ImageGenerator generator)
    {
        int steps = context.Count(5_000, 60);
        var training = new AdversarialTraining(
            generator, new ImageDiscriminator(new Generator(0, 82), device: context.Device), s_settings, new Generator(0, 83));
        long start = Stopwatch.GetTimestamp();
        context.Reporter.Begin("gan", steps, Batch);
        for (int step = 0; step < steps; step++)
        {
            context.ThrowIfStopped();
            training.Step(data.Draw((long)step * Batch, Batch, 0, context.Device).X, Schedule.Cosine(step, steps));
            context.Reporter.Report(step + 1);
        }
        context.Reporter.End();
        training.Average.CopyTo(generator);
        context.Number("seconds of training, GAN", Stopwatch.GetElapsedTime(start).TotalSeconds);
        return generator;
    }

    private static Tensor Sample(ImageGenerator generator, int count, StudyContext context)
    {
        const int AtOnce = 250;
        using var noGrad = new NoGrad();
        var latents = new Generator(0, 84);
        var parts = new List<Tensor>();
        for (int start = 0; start < count; start += AtOnce)
        {
            using var scope = new MemoryScope();
            parts.Add(scope.Keep(generator.Forward(Tensor.Randn(latents, [Math.Min(AtOnce, count - start), s_settings.Latents], context.Device))));
        }
        return Tensor.Concat(parts.ToArray());
    }

    /// <summary>Classes that have at least a tenth of an equal share.</summary>
    private static int Classes(ImageJudgement judgement) =>
        judgement.ClassShares.Count(share => share >= ModeCoverage.FoundShare / judgement.ClassShares.Count);

    private static void Report(StudyContext context, string name, ImageJudgement judgement, double seconds, long parameters, int evaluations) =>
        context.Number(name, new JsonObject
        {
            ["cFID"] = judgement.Distance,
            ["classes found"] = Classes(judgement),
            ["shares of the classes"] = new JsonArray([.. judgement.ClassShares.Select(share => (JsonNode)share)]),
            ["share the classifier is sure of"] = judgement.Confident,
            ["parameters"] = parameters,
            ["evaluations for a sample"] = evaluations,
            ["seconds for all samples"] = seconds,
        });

    private static void Draw(StudyContext context, Tensor made, Tensor denoised, ImageJudgement gan, ImageJudgement diffusion)
    {
        const int Columns = 12, Rows = 4;
        int shown = Math.Min(made.Shape[0], Columns * Rows) / Columns * Columns;
        context.Images("digits", Tensor.Concat([made.Slice(0, 0, shown), denoised.Slice(0, 0, shown)]), new ImageGrid
        {
            Columns = Columns, Zoom = 2, Captions = [.. Enumerable.Range(0, 2 * shown).Select(i => i < shown ? "GAN" : "diffusion")],
        });
        var figure = new Figure { PanelWidth = 480 };
        var axes = figure.AddAxes("what the classifier takes the samples for");
        (axes.XLabel, axes.YLabel) = ("digit", "share of the samples");
        (axes.XLimits, axes.YLimits) = ((-0.7, 9.7), (0, 1.6 * Math.Max(gan.ClassShares.Max(), diffusion.ClassShares.Max())));
        double[] at = [.. Enumerable.Range(0, gan.ClassShares.Count).Select(k => (double)k)];
        StudyBars.Draw(axes, [.. at.Select(k => k - 0.17)], [.. gan.ClassShares], $"GAN, cFID {gan.Distance:0.0}", 0.3);
        StudyBars.Draw(axes, [.. at.Select(k => k + 0.17)], [.. diffusion.ClassShares], $"diffusion, cFID {diffusion.Distance:0.0}", 0.3);
        axes.Plot([-0.7, 9.7], [0.1, 0.1], $"equal shares; cFID of real digits {gan.Floor:0.0}", dashed: true);
        context.Figure("classes", figure);
    }
}
