using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>The variance of the reverse step: fixed, learned, and the best there is, on points where that is known and on digits.</summary>
public sealed partial class VariancesStudy : Study
{
    private static readonly int[] s_steps = [5, 10, 25, 50, 100];

    // Of two dimensions instead of hundreds, a time's terms scatter much more than the variance is off by; the paper's 0.001 learns it slowly.
    private const double PointBoundWeight = 0.1;

    private static readonly EightGaussians s_data = new();

    public override string Name => "variances";

    public override string Lesson =>
        "With few steps the fixed variances cost likelihood; a network learns where between them the truth lies, beside an objective that leaves its mean alone.";

    public override bool NeedsImages => true;

    public override void Run(StudyContext context)
    {
        Points(context);
        Images(context);
    }

    private void Points(StudyContext context)
    {
        var process = new CosineSchedule();
        var exact = s_data.DifferentiableDenoiser(process);
        var schedule = new DiscreteSchedule(process, s_steps[^1], context.Device);
        var figure = new Figure { PanelWidth = 440, Title = "eight Gaussians" };
        var x0 = s_data.Sample(context.Count(4000, 1000), new Generator(21)).To(context.Device);
        double logDensity = s_data.LogDensity(x0).Mean().Item();

        var best = Bounds(exact, [("small", ReverseVariance.FixedSmall), ("large", ReverseVariance.FixedLarge), ("of each time", null), ("of each state", ReverseVariance.Tweedie)]);
        Plot("bound with the exact denoiser", best);
        context.AtLeast("exact denoiser: bound of the better fixed variance above that of the best of each time, least over steps (nat)", Gain(best, "of each time"), 0);
        context.AtLeast("exact denoiser: bound of the best variance of each time above that of each state, least over steps (nat)",
            s_steps.Select((_, i) => best["of each time"][i] - best["of each state"][i]).Min(), 0);

        double least = double.PositiveInfinity, ratio = 0;
        foreach (ulong seed in context.Seeds)
        {
            var (denoiser, scatter) = Learn(context, process, schedule, seed);
            var bounds = Bounds(denoiser, [("small", ReverseVariance.FixedSmall), ("large", ReverseVariance.FixedLarge), ("of each time", null), ("learned", ReverseVariance.Learned)]);
            least = Math.Min(least, Gain(bounds, "learned"));
            ratio = Math.Max(ratio, scatter);
            if (seed != context.Seeds[0])
                continue;
            Plot("bound with a learned one", bounds);
            Spreads(figure.AddAxes("where the variance lies"), denoiser, exact, schedule, x0);
        }
        context.AtLeast("learned denoiser: bound of the better fixed variance above that of the learned one, least over steps and seeds (nat)", least, 0);
        context.AtMost("scatter of the estimated bound, times drawn by their losses beside times drawn evenly, worst seed", ratio, 1);
        context.Figure("points", figure);

        // Bounds by number of steps; all variances are measured with equal noise.
        Dictionary<string, double[]> Bounds(Denoiser denoiser, (string Name, ReverseVariance? Variance)[] variances) => variances.ToDictionary(
            v => v.Name,
            v => s_steps.Select(n =>
            {
                context.ThrowIfStopped();
                double[] times = TimeGrid.Uniform(denoiser.Process, n);
                var variance = v.Variance ?? ReverseVariance.Analytic(denoiser, x0, times, new Generator(22));
                return VariationalBound.Evaluate(denoiser, x0, times, new Generator(23), Decoder.Gaussian, variance).Total;
            }).ToArray());

        void Plot(string title, Dictionary<string, double[]> bounds)
        {
            var axes = figure.AddAxes(title);
            (axes.LogX, axes.LogY) = (true, true);
            (axes.XLabel, axes.YLabel) = ("steps", "bound above -ln p (nat)");
            foreach (var (name, values) in bounds)
                axes.Plot([.. s_steps.Select(n => (double)n)], [.. values.Select(value => value + logDensity)], name, dashed: name == "of each state");
            foreach (var (name, values) in bounds)
                context.Number($"{title}, {name} (nat, by steps {string.Join(", ", s_steps)})", new JsonArray([.. values.Select(value => (JsonNode)value)]));
        }
    }

    /// <summary>By how much a variance's bound is below the better fixed one's, at the number of steps where it is least.</summary>
    private static double Gain(Dictionary<string, double[]> bounds, string name) =>
        bounds[name].Select((value, i) => Math.Min(bounds["small"][i], bounds["large"][i]) - value).Min();

    /// <summary>A network with a variance, and how much less the estimated bound scatters when times are drawn by their losses.</summary>
    private static (Denoiser Denoiser, double Scatter) Learn(StudyContext context, ForwardProcess process, DiscreteSchedule schedule, ulong seed)
    {
        var generator = new Generator(seed, 92);
        var model = new MlpDenoiser(generator, context.Device, outputs: 4);
        var denoiser = new Denoiser(model.Forward, process, Parameterisation.Velocity, learnsVariance: true);
        var evenly = TimeSampler.Steps(schedule);
        PointTraining.Learn(model, context.Count(4000, 1200), context, () =>
        {
            var batch = Batch(evenly);
            return batch.Loss(batch.Draw(batch.Inputs));
        });

        var byLoss = new LossAwareTimes(schedule);
        using var noGrad = new NoGrad();
        while (!byLoss.IsFull)
            Losses(byLoss);
        return (denoiser, Scatter(byLoss) / Scatter(evenly));

        HybridBatch Batch(TimeSampler times) => new(
            model.Forward, denoiser, PointTraining.Draw(s_data, generator, context.Device), null, times, schedule.Steps, Decoder.Gaussian, generator, PointBoundWeight);

        // The terms of the bound, each divided by the density of its time: their mean is the estimate.
        double[] Losses(TimeSampler times)
        {
            using var scope = new MemoryScope();
            var batch = Batch(times);
            var drawn = batch.Draw(batch.Inputs);
            double[] losses = batch.SampleLosses(drawn).Bound.ToDoubleArray();
            if (times is LossAwareTimes aware && !aware.IsFull)
                aware.Observe(batch.Times, losses);
            return [.. losses.Select((loss, i) => loss / batch.Densities[i])];
        }

        double Scatter(TimeSampler times) => Statistics.Moments([.. Enumerable.Range(0, 20).SelectMany(_ => Losses(times))]).Deviation;
    }

    /// <summary>v of equation 15 of Nichol and Dhariwal, the mean over states: what was learned and what is best.</summary>
    private static void Spreads(Axes axes, Denoiser learned, Denoiser exact, DiscreteSchedule schedule, Tensor x0)
    {
        (axes.XLabel, axes.YLabel) = ("time, data on the left", "v: 0 is small, 1 is large");
        double[] times = [.. Enumerable.Range(1, schedule.Steps - 1).Select(schedule.Time)];
        var generator = new Generator(24);
        foreach (var (name, denoiser, variance) in new[] { ("learned", learned, ReverseVariance.Learned), ("best of each state", exact, ReverseVariance.Tweedie) })
        {
            double[] means = [.. times.Select(t =>
            {
                using var scope = new MemoryScope();
                using var noGrad = new NoGrad();
                var step = new Transition(denoiser.Process, t, t - 1.0 / schedule.Steps);
                var x = x0 * step.AlphaT + Tensor.Randn(generator, x0.Shape, x0.Device) * step.SigmaT;
                var logarithms = variance.Of(denoiser, x, t, step, denoiser.Predict(x, t, Parameterisation.X0).Spread).Logarithms!;
                var (low, high) = ReverseVariance.LogBounds(step);
                return (logarithms.Mean().Item() - low) / (high - low);
            })];
            axes.Plot(times, means, name, dashed: variance == ReverseVariance.Tweedie);
        }
    }
}
