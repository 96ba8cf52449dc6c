using System.Diagnostics;
using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Gan;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>A GAN of points beside a diffusion model whose network is as wide and as deep and makes as many steps.</summary>
public sealed class GanStudy : Study
{
    private const int Batch = 512, SamplerSteps = 20;

    // Of the pictures along the training.
    private const int Shown = 2_000, Projections = 100;

    private static readonly EightGaussians s_data = new();

    private static readonly GanSettings s_settings = new() { Latents = 4, Penalty = 1 };

    public override string Name => "gan";

    public override string Lesson => "A GAN makes a sample in one step and says nothing of likelihood; what it finds of eight modes stands beside what diffusion finds.";

    public override void Run(StudyContext context)
    {
        int count = context.Count(10_000, 2_000), steps = context.Count(8_000, 250);
        double floor = SlicedWasserstein.Floor(s_data, count);
        context.Number("floor of the sliced Wasserstein distance", floor);
        context.Number("steps of training", steps);
        var figure = new Figure { PanelWidth = 360, PanelHeight = 320, Columns = 2 };
        var gan = new List<Found>();
        var diffusion = new List<Found>();
        foreach (ulong seed in context.Seeds)
        {
            context.ThrowIfStopped();
            var way = new List<(int Step, double Ratio, int Modes)>();
            gan.Add(Gan(context, seed, steps, count, floor, way));
            diffusion.Add(Diffusion(context, seed, steps, count, floor));
            if (seed == 0)
                Draw(context, figure, gan[0], diffusion[0], way);
        }
        Report(context, "GAN", gan);
        Report(context, "diffusion", diffusion);
        // No threshold: the figures are stated, whatever they say.
        context.Beside("modes found of 8, worst seed: GAN beside diffusion", gan.Min(f => f.Coverage.ModesFound), diffusion.Min(f => f.Coverage.ModesFound));
        context.Beside("sliced Wasserstein in floors: GAN beside diffusion", gan.Average(f => f.Ratio), diffusion.Average(f => f.Ratio));
        context.Beside("total variation of the modes' weights: GAN beside diffusion", gan.Average(f => f.WeightError), diffusion.Average(f => f.WeightError));
    }

    /// <param name="Ratio">Sliced Wasserstein distance in floors.</param>
    private sealed record Found(Tensor Samples, ModeCoverage Coverage, double Ratio, double Seconds)
    {
        /// <summary>Total variation between the shares of the modes and equal ones.</summary>
        public double WeightError => 0.5 * Coverage.Share.Sum(share => Math.Abs(share - 1.0 / EightGaussians.Modes));
    }

    private static Found Gan(StudyContext context, ulong seed, int steps, int count, double floor, List<(int, double, int)> way)
    {
        const int Looks = 16;
        var weights = new Generator(seed, 93);
        var generator = new GanMlp(weights, s_settings.Latents, 2, device: context.Device);
        var discriminator = new GanMlp(weights, 2, 1, device: context.Device);
        var training = new AdversarialTraining(generator, discriminator, s_settings, new Generator(seed, 94));
        var draws = new Generator(seed, 95);
        var clock = Stopwatch.StartNew();
        for (int step = 1; step <= steps; step++)
        {
            context.ThrowIfStopped();
            using (var scope = new MemoryScope())
                training.Step(s_data.Sample(Batch, draws).To(context.Device), Schedule.Cosine(step, steps, warmup: 1));
            if (step % Math.Max(1, steps / Looks) != 0)
                continue;
            clock.Stop();
            using (training.Average.Use())
            {
                using var scope = new MemoryScope();
                var samples = Sample(generator, Shown, seed, context);
                way.Add((step, RatioOfShown(samples, seed), ModeCoverage.Measure(samples, s_data).ModesFound));
            }
            clock.Start();
        }
        training.Average.CopyTo(generator);
        return Measure(Sample(generator, count, seed, context), seed, floor, clock.Elapsed.TotalSeconds);
    }

    /// <summary>The distance of <see cref="Shown"/> samples in floors of as many points: of fewer points they are farther apart.</summary>
    private static double RatioOfShown(Tensor samples, ulong seed) =>
        SlicedWasserstein.Distance(samples, s_data.Sample(Shown, new Generator(seed, 96)), Projections) / SlicedWasserstein.Floor(s_data, Shown, Projections);

    private static Tensor Sample(GanMlp generator, int count, ulong seed, StudyContext context)
    {
        using var noGrad = new NoGrad();
        return generator.Forward(Tensor.Randn(new Generator(seed, 97), [count, s_settings.Latents], context.Device));
    }

    private static Found Diffusion(StudyContext context, ulong seed, int steps, int count, double floor)
    {
        long start = Stopwatch.GetTimestamp();
        var denoiser = PointTraining.Train(s_data, new CosineSchedule(), Parameterisation.Velocity, seed, steps, context);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        using var noGrad = new NoGrad();
        var generator = new Generator(seed, 98);
        var x = Sampler.Prior(denoiser.Process, [count, 2], generator, context.Device);
        var samples = Sampler.DpmSolver2M(denoiser, x, TimeGrid.LogSnr(denoiser.Process, SamplerSteps, 0.01));
        return Measure(samples, seed, floor, seconds);
    }

    private static Found Measure(Tensor samples, ulong seed, double floor, double seconds)
    {
        double distance = SlicedWasserstein.Distance(samples, s_data.Sample(samples.Shape[0], new Generator(seed, 99)));
        return new Found(samples, ModeCoverage.Measure(samples, s_data), distance / floor, seconds);
    }

    private static void Report(StudyContext context, string name, List<Found> found)
    {
        context.Number(name, new JsonObject
        {
            ["modes found"] = new JsonArray([.. found.Select(f => (JsonNode)f.Coverage.ModesFound)]),
            ["sliced Wasserstein in floors"] = new JsonArray([.. found.Select(f => (JsonNode)f.Ratio)]),
            ["share outside all modes"] = new JsonArray([.. found.Select(f => (JsonNode)f.Coverage.Strays)]),
            ["weights of the modes, first seed"] = new JsonArray([.. found[0].Coverage.Share.Select(share => (JsonNode)share)]),
            ["seconds of training"] = found.Average(f => f.Seconds),
        });
    }

    private static void Draw(StudyContext context, Figure figure, Found gan, Found diffusion, List<(int Step, double Ratio, int Modes)> way)
    {
        foreach (var (name, found) in new[] { ("GAN, one evaluation", gan), ($"diffusion, {SamplerSteps} evaluations", diffusion) })
        {
            var axes = figure.AddAxes($"{name}: {found.Coverage.ModesFound} modes, {100 * found.Coverage.Strays:0.0}% strays");
            (axes.XLimits, axes.YLimits, axes.EqualAspect) = ((-2.6, 2.6), (-2.6, 2.6), true);
            axes.Scatter(found.Samples.Slice(0, 0, Math.Min(2_000, found.Samples.Shape[0])), radius: 1, alpha: 0.4);
        }
        var weights = figure.AddAxes("weights of the modes");
        (weights.XLabel, weights.YLabel) = ("mode", "share of the samples");
        (weights.XLimits, weights.YLimits) = ((-0.7, EightGaussians.Modes - 0.3), (0, 1.7 * Math.Max(gan.Coverage.Share.Max(), diffusion.Coverage.Share.Max())));
        double[] at = [.. Enumerable.Range(0, EightGaussians.Modes).Select(k => (double)k)];
        StudyBars.Draw(weights, [.. at.Select(k => k - 0.17)], [.. gan.Coverage.Share], "GAN", 0.3);
        StudyBars.Draw(weights, [.. at.Select(k => k + 0.17)], [.. diffusion.Coverage.Share], "diffusion", 0.3);
        weights.Plot([-0.7, EightGaussians.Modes - 0.3], [1.0 / EightGaussians.Modes, 1.0 / EightGaussians.Modes], "data", dashed: true);
        var along = figure.AddAxes("along the training");
        (along.XLabel, along.YLabel) = ("step", "floors; modes");
        along.YLimits = (0, 1.5 * Math.Max(EightGaussians.Modes, way.Max(w => w.Ratio)));
        double[] steps = [.. way.Select(w => (double)w.Step)];
        along.Plot(steps, [.. way.Select(w => w.Ratio)], "GAN: sliced Wasserstein in floors");
        along.Plot(steps, [.. way.Select(w => (double)w.Modes)], "GAN: modes found");
        double atEnd = RatioOfShown(diffusion.Samples.Slice(0, 0, Shown), seed: 0);
        along.Plot([steps[0], steps[^1]], [atEnd, atEnd], "diffusion at its end, in floors", dashed: true);
        context.Figure("gan", figure);
    }
}
