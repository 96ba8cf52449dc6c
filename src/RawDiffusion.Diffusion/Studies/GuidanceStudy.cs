using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>
/// Samples of what was asked for: by the gradient of a classifier, by a network that is told the class and one that is not, and by several
/// attributes at once; and what it costs.
/// </summary>
public sealed partial class GuidanceStudy : Study
{
    private const int Digits = 10;

    // Seeds of samples that settings are chosen by, and of those that what was chosen is judged by: the best of several looks better than it is
    // in the samples that it was the best of.
    private const ulong ToChoose = 0, ToJudge = 1;

    public override string Name => "guidance";

    public override string Lesson => "Guidance trades variety for samples that are surely of their class, by a classifier's gradient or without one, and within an interval of noise for less.";

    public override bool NeedsImages => true;

    public override void Run(StudyContext context)
    {
        Plane(context);
        ByClassifier(context);
        ClassifierFree(context);
        Colours(context);
    }

    private static SamplingConfig Sampling(StudyContext context, int count) =>
        new() { Sampler = "ddim", Steps = context.Count(25, 5), Count = context.Count(count, 20), ClipX0 = 1 };

    /// <summary>A network that was never told a class, led to one by a classifier of noised digits.</summary>
    private static void ByClassifier(StudyContext context)
    {
        double[] scales = context.Seeds.Count > 1 ? [0, 1, 2, 4, 8] : [0, 2];
        var model = context.Models.Mnist.Model;
        var data = context.Models.Data("mnist");
        var judge = context.Models.Classifier("mnist");
        var classifier = context.Models.Trained(
            "mnist-noisy-classifier", new NoisyImageClassifier(new Generator(0, 71), context.Device), fresh => ClassifierTraining.TrainNoisy(
                fresh, data, model.Process, context.Count(1000, 20), 0, context.Reporter, context.Stop));
        AccuracyByNoise(context, classifier, model.Process, data);

        var sampling = Sampling(context, 200);
        var labels = Tensor.From([.. Enumerable.Range(0, sampling.Count).Select(i => i % Digits)], [sampling.Count], context.Device);
        double[] right = new double[scales.Length];
        var pictures = new List<Tensor>();
        double[] times = TimeGrid.Uniform(model.Process, sampling.Steps);
        for (int i = 0; i < scales.Length; i++)
            right[i] = Right(scales[i], ToChoose);
        context.Numbers("classifier guidance: share right by scale", scales, right);
        context.Images("classifier-guidance", Tensor.Concat([.. pictures]), Grid(scales.Select(scale => FormattableString.Invariant($"s = {scale}")), 2 * Digits));
        double best = scales[Array.IndexOf(right, right.Max())];
        context.AtLeast(
            FormattableString.Invariant($"classifier guidance, digits as asked of a model that is told none, at scale {best}, the best of other samples"),
            Right(best, ToJudge), 0.9);

        double Right(double scale, ulong seed)
        {
            using var scope = new MemoryScope();
            var generator = new Generator(seed, 72);
            var guided = Guidance.ByClassifier(model.Denoiser(), classifier.Forward, labels, scale);
            var start = Sampler.Prior(model.Process, model.SampleShape.Prepend(sampling.Count), generator, context.Device);
            var samples = Sampler.Ddim(guided, start, times, generator, clipX0: 1, callback: _ => context.ThrowIfStopped());
            double share = ClassifierTraining.ShareRight(judge, samples, labels);
            if (seed == ToChoose)
                pictures.Add(scope.Keep(samples.Slice(0, 0, 2 * Digits)));
            context.Reporter.Line(FormattableString.Invariant($"classifier guidance {scale}, seed {seed}: {share:0.000} right"));
            return share;
        }
    }

    /// <summary>How well the class can be told at each noise level: where a classifier can lead.</summary>
    private static void AccuracyByNoise(StudyContext context, NoisyImageClassifier classifier, ForwardProcess process, ITrainingData data)
    {
        double[] ratios = [0.1, 0.3, 1, 2, 3, 5, 10, 30];
        var (images, labels, _) = data.HeldOut.Draw(0, context.Count(1000, 100), 0, context.Device);
        double[] right = new double[ratios.Length];
        using var noGrad = new NoGrad();
        for (int i = 0; i < ratios.Length; i++)
        {
            using var scope = new MemoryScope();
            double t = process.TimeOf(ratios[i]);
            var x = images * process.Alpha(t) + Tensor.Randn(new Generator(1, 73), images.Shape, context.Device) * process.Sigma(t);
            int found = ClassifierTraining.Right(classifier.Forward(x, Tensor.Full([x.Shape[0]], process.NetworkTime(t), context.Device)), labels!);
            right[i] = (double)found / images.Shape[0];
        }
        context.Numbers("classifier of noised digits: share right by sigma / alpha", ratios, right);
        var figure = new Figure();
        var axes = figure.AddAxes("classifier of noised digits");
        axes.LogX = true;
        (axes.XLabel, axes.YLabel, axes.YLimits) = ("noise / signal", "share of test digits right", (0, 1.02));
        axes.Plot(ratios, right);
        context.Figure("noisy-classifier", figure);
    }

    /// <summary>A network that is told the class, or not: the curve of accuracy and variety over the scale.</summary>
    private static void ClassifierFree(StudyContext context)
    {
        double[] scales = context.Seeds.Count > 1 ? [0, 1, 1.5, 2, 3, 5] : [0, 1, 5];
        var interval = new GuidanceInterval(0.3, 4);
        var run = context.Models.MnistConditional;
        var judge = context.Models.Classifier("mnist");
        var sampling = Sampling(context, 300);
        var real = Features(judge, context.Models.Data("mnist").HeldOut.Draw(0, sampling.Count, 0, context.Device).X);
        var pictures = new List<Tensor>();

        var curve = scales.Select(scale => Measure(sampling with { Guidance = scale })).ToArray();
        var limited = scales.Where(scale => scale > 1).Select(
            scale => Measure(sampling with { Guidance = scale, GuidanceInterval = [interval.Low, interval.High] }, show: false)).ToArray();
        var rescaled = Measure(sampling with { Guidance = scales[^1], GuidanceRescale = 0.7 }, show: false);

        double[] right = [.. curve.Select(point => point.Right)], recall = [.. curve.Select(point => point.Recall)];
        context.Numbers("classifier-free guidance: share right by scale", scales, right);
        context.Numbers("classifier-free guidance: recall by scale", scales, recall);
        context.Numbers("classifier-free guidance: precision by scale", scales, [.. curve.Select(point => point.Precision)]);
        double[] above = [.. scales.Where(scale => scale > 1)];
        context.Numbers("interval 0.3 to 4: share right by scale", above, [.. limited.Select(point => point.Right)]);
        context.Numbers("interval 0.3 to 4: recall by scale", above, [.. limited.Select(point => point.Recall)]);
        context.Number("rescaled by 0.7 at the largest scale", new JsonObject { ["right"] = rescaled.Right, ["precision"] = rescaled.Precision, ["recall"] = rescaled.Recall });
        context.Images("classifier-free-guidance", Tensor.Concat([.. pictures]), Grid(scales.Select(scale => FormattableString.Invariant($"s = {scale}")), 2 * Digits));
        DrawCurve(context, scales, curve, limited);

        double best = scales[Array.IndexOf(right, right.Max())];
        int one = Array.IndexOf(scales, 1.0), last = scales.Length - 1;
        context.AtLeast(
            FormattableString.Invariant($"classifier-free guidance, digits as asked, at scale {best}, the best of other samples"),
            Measure(sampling with { Guidance = best }, show: false, ToJudge).Right, 0.97);
        context.Above("accuracy rises: largest scale less scale 1", right[last] - right[one], 0);
        context.Above("variety falls: recall at scale 1 less recall at the largest scale", recall[one] - recall[last], 0);

        (double Right, double Precision, double Recall) Measure(SamplingConfig how, bool show = true, ulong seed = ToChoose)
        {
            using var scope = new MemoryScope();
            var samples = run.Sample(how, seed, SilentReporter.Instance, stop: context.Stop);
            var found = PrecisionRecall.Measure(real, Features(judge, samples.X));
            double share = ClassifierTraining.ShareRight(judge, samples.X, samples.Labels!);
            if (show)
                pictures.Add(scope.Keep(samples.X.Slice(0, 0, 2 * Digits)));
            string where = how.GuidanceInterval is null ? "" : " within the interval";
            context.Reporter.Line(FormattableString.Invariant(
                $"guidance {how.Guidance}{where}, seed {seed}, rescaled {how.GuidanceRescale}: {share:0.000} right, precision {found.Precision:0.000}, recall {found.Recall:0.000}"));
            return (share, found.Precision, found.Recall);
        }
    }

    private static void DrawCurve(
        StudyContext context, double[] scales, (double Right, double Precision, double Recall)[] curve, (double Right, double Precision, double Recall)[] limited)
    {
        var figure = new Figure();
        var axes = figure.AddAxes("by the scale of guidance");
        (axes.XLabel, axes.YLabel, axes.YLimits) = ("scale", "share", (0, 1.02));
        axes.Plot(scales, [.. curve.Select(point => point.Right)], "right digit");
        axes.Plot(scales, [.. curve.Select(point => point.Precision)], "precision");
        axes.Plot(scales, [.. curve.Select(point => point.Recall)], "recall");
        double[] above = [.. scales.Where(scale => scale > 1)];
        axes.Plot(above, [.. limited.Select(point => point.Recall)], "recall, guided within an interval", dashed: true);
        var trade = figure.AddAxes("what accuracy costs");
        (trade.XLabel, trade.YLabel) = ("recall", "share with the right digit");
        int from = Array.IndexOf(scales, 1.0);
        trade.Plot([.. curve[from..].Select(point => point.Recall)], [.. curve[from..].Select(point => point.Right)], "at every noise level");
        trade.Plot([.. limited.Select(point => point.Recall)], [.. limited.Select(point => point.Right)], "within an interval", dashed: true);
        context.Figure("scale", figure);
    }

    /// <summary>A column for each digit, and what groups of images have in common below each of them.</summary>
    private static ImageGrid Grid(IEnumerable<string> groups, int size) =>
        new() { Columns = Digits, Zoom = 2, Captions = [.. groups.SelectMany(group => Enumerable.Repeat(group, size))] };

    private static Tensor Features(ConvClassifier judge, Tensor images)
    {
        using var noGrad = new NoGrad();
        using var scope = new MemoryScope();
        return scope.Keep(judge.Features(images));
    }
}
