using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Editing;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>DDIM backwards and forwards again, the ways between its latents, and SDEdit, which goes only part of the way.</summary>
public sealed class InversionStudy : Study
{
    private static readonly int[] s_steps = [10, 20, 50, 100, 1000];

    // Song, Meng and Ermon 2021, table 2: CIFAR-10, mean squared error of pixels in [0, 1].
    private static readonly double[] s_published = [0.014, 0.0065, 0.0023, 0.0009, 0.0001];

    private static readonly EightGaussians s_data = new();

    // The process and, for this kind of data, the grid of that paper.
    private static readonly LinearSchedule s_process = new();

    public override string Name => "inversion";

    public override string Lesson => "DDIM without noise is a way there and back: samples have latents, between which one goes along a sphere; SDEdit goes back only so far.";

    public override void Run(StudyContext context)
    {
        var exact = s_data.Denoiser(s_process);
        Reconstruction(context, exact);
        Latents(context, exact);
        Lengths(context);
        Edits(context, exact);
    }

    private static void Reconstruction(StudyContext context, Denoiser exact)
    {
        // By the number of steps, of each seed.
        List<double[]> ofExact = [], ofLearned = [];
        foreach (ulong seed in context.Seeds)
        {
            var learned = PointTraining.Train(s_data, s_process, Parameterisation.Epsilon, seed, context.Count(4000, 500), context);
            var x = s_data.Sample(context.Count(2000, 300), new Generator(seed, 61)).To(context.Device);
            ofExact.Add(Errors(exact));
            ofLearned.Add(Errors(learned));

            double[] Errors(Denoiser denoiser) => [.. s_steps.Select(steps =>
            {
                context.ThrowIfStopped();
                return Error(denoiser, x, steps);
            })];
        }
        var figure = new Figure { PanelWidth = 460 };
        var axes = figure.AddAxes("there and back by DDIM");
        (axes.LogX, axes.LogY) = (true, true);
        (axes.XLabel, axes.YLabel) = ("steps each way", "mean squared error");
        double[] at = [.. s_steps.Select(n => (double)n)];
        foreach (var (name, errors) in new[] { ("exact denoiser", ofExact), ("learned denoiser", ofLearned) })
        {
            double[] means = [.. s_steps.Select((_, i) => errors.Average(ofSeed => ofSeed[i]))];
            axes.Plot(at, means, name);
            context.Numbers($"{name}, mean over seeds", at, means);
            double ratio = errors.Max(ofSeed => Enumerable.Range(1, s_steps.Length - 1).Max(i => ofSeed[i] / ofSeed[i - 1]));
            context.AtMost($"{name}: largest ratio of the error to that of fewer steps, worst seed", ratio, 1);
            context.AtMost($"{name}: error of {s_steps[^1]} steps, worst seed", errors.Max(ofSeed => ofSeed[^1]), 1e-4);
        }
        axes.Plot(at, s_published, "published, CIFAR-10", dashed: true);
        context.Figure("reconstruction", figure);
    }

    private static double Error(Denoiser denoiser, Tensor x, int steps)
    {
        using var scope = new MemoryScope();
        double[] times = TimeGrid.Quadratic(s_process, steps);
        return (Sampler.Ddim(denoiser, Invert(denoiser, x, times), times, new Generator(0)) - x).Square().Mean().Item();
    }

    private static Tensor Invert(Denoiser denoiser, Tensor x, double[] times) => Sampler.Invert(denoiser, x, [.. times.Reverse()]);

    /// <summary>The latents of each mode, and two ways from the first mode to the fourth and back in the data.</summary>
    private static void Latents(StudyContext context, Denoiser exact)
    {
        const int steps = 200, each = 250, points = 60;
        double[] times = TimeGrid.Quadratic(s_process, steps), weights = [.. Enumerable.Range(0, points + 1).Select(i => (double)i / points)];
        var figure = new Figure { PanelWidth = 380, PanelHeight = 380 };
        Axes latent = figure.AddAxes("latents, coloured by mode"), data = figure.AddAxes("what they become");
        latent.EqualAspect = data.EqualAspect = true;
        var generator = new Generator(71);
        for (int mode = 0; mode < EightGaussians.Modes; mode++)
        {
            var center = s_data.Components[mode].Mean;
            var x = Tensor.Randn(generator, [each, 2]) * EightGaussians.StandardDeviation + Tensor.From([center.X, center.Y], [1, 2]);
            // Neighbours differ.
            var color = Color.Cycle[mode % 4];
            latent.Scatter(Invert(exact, x, times), color: color, radius: 1.2, alpha: 0.45);
            data.Scatter(x, color: color, radius: 1.2, alpha: 0.45);
        }
        Tensor a = Mode(0), b = Mode(3);
        Tensor from = Invert(exact, a, times), to = Invert(exact, b, times);
        foreach (var (name, way, dashed) in new (string, Func<double, Tensor>, bool)[]
        {
            ("slerp", w => Interpolation.Slerp(from, to, w), false), ("straight line", w => from + (to - from) * w, true),
        })
        {
            var path = Tensor.Concat([.. weights.Select(way)]);
            Plot(latent, path, name, dashed);
            Plot(data, Sampler.Ddim(exact, path, times, new Generator(0)), name, dashed);
        }
        context.Figure("latents", figure);

        Tensor Mode(int mode) => Tensor.From([s_data.Components[mode].Mean.X, s_data.Components[mode].Mean.Y], [1, 2]);

        static void Plot(Axes axes, Tensor path, string name, bool dashed)
        {
            double[] values = path.ToDoubleArray();
            axes.Plot([.. values.Where((_, i) => i % 2 == 0)], [.. values.Where((_, i) => i % 2 == 1)], name, dashed: dashed, color: Color.Ink, width: 1.6);
        }
    }

    /// <summary>How long the latents on a way are, for few numbers and for as many as an image has.</summary>
    private static void Lengths(StudyContext context)
    {
        const int pairs = 200, image = 28 * 28;
        double[] weights = [.. Enumerable.Range(0, 41).Select(i => i / 40.0)];
        var figure = new Figure { PanelWidth = 460 };
        var axes = figure.AddAxes("length of a latent on the way");
        (axes.XLabel, axes.YLabel) = ("weight", "norm / square root of the dimension");
        axes.YLimits = (0.5, 1.1);
        foreach (int size in new[] { 16, image })
        {
            var generator = new Generator(81);
            Tensor a = Tensor.Randn(generator, [pairs, size]), b = Tensor.Randn(generator, [pairs, size]);
            double[] sphere = [.. weights.Select(w => Length(Interpolation.Slerp(a, b, w)))], line = [.. weights.Select(w => Length(a + (b - a) * w))];
            axes.Plot(weights, sphere, $"slerp, {size} dimensions");
            axes.Plot(weights, line, $"straight line, {size} dimensions", dashed: true);
            if (size == image)
            {
                // That of two normals scatters by 1 / sqrt(2 size) = 2.5% from pair to pair, its mean over the pairs by a fourteenth of that.
                context.Near($"slerp in {size} dimensions: least length on the way", sphere.Min(), 1, 0.01);
                context.Near($"straight line in {size} dimensions: least length on the way", line.Min(), Math.Sqrt(0.5), 0.01);
            }
        }
        context.Figure("lengths", figure);

        static double Length(Tensor x) => x.Norm([1]).Mean().Item() / Math.Sqrt(x.Shape[1]);
    }

    /// <summary>A drawing that is wrong in two ways: half a ring, where the data are eight modes.</summary>
    private static void Edits(StudyContext context, Denoiser exact)
    {
        double[] strengths = [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 1];
        double[] shown = [0.1, 0.3, 0.6, 1];
        int count = context.Count(5000, 1500), steps = context.Count(250, 100);
        double floor = SlicedWasserstein.Floor(s_data, count);
        var guide = Drawing(count);
        double[] faithful = new double[strengths.Length], real = new double[strengths.Length];
        var clouds = new Figure { Columns = 5, PanelWidth = 210, PanelHeight = 210 };
        Show(clouds, "the drawing", guide);
        for (int i = 0; i < strengths.Length; i++)
        {
            foreach (ulong seed in context.Seeds)
            {
                context.ThrowIfStopped();
                using var scope = new MemoryScope();
                var generator = new Generator(seed, 91);
                var edited = SdEdit.Edit(exact, guide, SdEdit.Times(s_process, strengths[i], steps), generator);
                faithful[i] += Math.Sqrt((edited - guide).Square().Sum(1).Mean().Item()) / context.Seeds.Count;
                real[i] += SlicedWasserstein.Distance(edited, s_data.Sample(count, generator)) / floor / context.Seeds.Count;
                if (seed == 0 && shown.Contains(strengths[i]))
                    Show(clouds, FormattableString.Invariant($"strength {strengths[i]}"), edited);
            }
        }
        const string toDrawing = "distance to the drawing", toData = "distance to the data, in floors";
        var figure = new Figure { PanelWidth = 320, PanelHeight = 320 };
        Draw("faithfulness by strength", "strength t_0", toDrawing, strengths, faithful).LogY = false;
        Draw("realism by strength", "strength t_0", toData, strengths, real).LogY = true;
        Draw("one against the other", toDrawing, toData, faithful, real).LogY = true;
        context.Figure("sdedit", figure);
        context.Figure("sdedit-clouds", clouds);
        context.Numbers("SDEdit: distance to the drawing", strengths, faithful);
        context.Numbers("SDEdit: distance to the data, in floors", strengths, real);
        context.AtLeast("SDEdit: least rise of the distance to the drawing from one strength to the next", Enumerable.Range(1, strengths.Length - 1).Min(i => faithful[i] - faithful[i - 1]), 0);
        context.AtLeast($"SDEdit of strength {strengths[0]}: distance to the data, in floors", real[0], 5);
        context.AtMost("SDEdit of strength 1: distance to the data, in floors", real[^1], 1.5);

        Axes Draw(string title, string xLabel, string yLabel, double[] x, double[] y)
        {
            var axes = figure.AddAxes(title);
            (axes.XLabel, axes.YLabel) = (xLabel, yLabel);
            axes.Plot(x, y);
            return axes;
        }
    }

    private static Tensor Drawing(int count)
    {
        var points = new double[2 * count];
        for (int i = 0; i < count; i++)
        {
            var (sin, cos) = Math.SinCos(Math.PI * (i + 0.5) / count);
            (points[2 * i], points[2 * i + 1]) = (EightGaussians.Radius * cos, EightGaussians.Radius * sin);
        }
        return Tensor.From(points, [count, 2]);
    }

    private static void Show(Figure figure, string title, Tensor points)
    {
        var axes = figure.AddAxes(title);
        axes.EqualAspect = true;
        axes.XLimits = axes.YLimits = (-3, 3);
        axes.Scatter(points.Slice(0, 0, Math.Min(1500, points.Shape[0])), radius: 1, alpha: 0.35);
    }
}
