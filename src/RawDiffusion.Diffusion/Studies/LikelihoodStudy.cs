using System.Diagnostics;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>The likelihood by the probability flow and the variational bound beside the density that is known.</summary>
public sealed class LikelihoodStudy : Study
{
    private const double LeastNoise = 1e-3;

    private static readonly EightGaussians s_data = new();

    public override string Name => "likelihood";

    public override string Lesson => "The probability flow gives the density exactly; the variational bound lies above its negative and meets it as steps become small.";

    public override void Run(StudyContext context)
    {
        var process = new CosineSchedule();
        var denoiser = s_data.DifferentiableDenoiser(process);
        int count = context.Count(1000, 100);
        double flowError = 0, seconds = 0, worstGap = double.PositiveInfinity;
        double entropy = Math.Log(EightGaussians.Modes) + 1 + Math.Log(2 * Math.PI * EightGaussians.StandardDeviation * EightGaussians.StandardDeviation);
        var bounds = new List<double>();
        foreach (ulong seed in context.Seeds)
        {
            context.ThrowIfStopped();
            using var scope = new MemoryScope();
            var x = s_data.Sample(count, new Generator(seed, 5)).To(context.Device);
            double[] truth = s_data.LogDensity(x).ToDoubleArray();
            long start = Stopwatch.GetTimestamp();
            var flow = FlowLikelihood.Evaluate(denoiser, x, process.TimeOf(LeastNoise), new OdeTolerance(1e-4, 1e-4));
            double[] found = flow.LogLikelihood.ToDoubleArray();
            seconds = Math.Max(seconds, Stopwatch.GetElapsedTime(start).TotalSeconds);
            flowError = Math.Max(flowError, Math.Abs(found.Average() - truth.Average()));

            var many = s_data.Sample(context.Count(10_000, 2_000), new Generator(seed, 6)).To(context.Device);
            double[] logDensity = s_data.LogDensity(many).ToDoubleArray();
            // The large variance: the small one is right where x_0 is known, and at loud noise it is not, which costs some 0.1 nat.
            var terms = VariationalBound.Evaluate(
                denoiser, many, TimeGrid.LogSnr(process, 1000, 2 * LeastNoise), new Generator(seed, 7), Decoder.Gaussian, ReverseVariance.FixedLarge);
            double[] gaps = [.. terms.PerSample.Select((value, i) => value + logDensity[i])];
            var (gap, gapError) = Statistics.MeanWithError(gaps);
            worstGap = Math.Min(worstGap, gap + 3 * gapError);
            bounds.Add(terms.Total);
            if (seed == 0)
                Draw(context, terms, found, truth);
        }
        double bound = bounds.MaxBy(each => Math.Abs(each - entropy));
        context.Number("entropy", entropy);
        context.Number("bound, worst seed", bound);
        context.Number("bound above the negative log-likelihood, least over seeds, with 3 standard errors", worstGap);
        context.Number($"seconds for the likelihood of {count} points", seconds);
        context.AtMost("log-likelihood by the flow, distance to the true mean, worst seed (nat)", flowError, 0.02);
        context.Near("variational bound of 1000 steps against the entropy, worst seed (nat)", bound, entropy, 0.1);
        context.AtLeast("the bound is never below the negative log-likelihood (nat, with 3 standard errors)", worstGap, 0);
        context.AtMost($"seconds for {count} points", seconds, 10);
        Steps(context, process, denoiser, entropy);
    }

    private static void Draw(StudyContext context, BoundTerms terms, double[] found, double[] truth)
    {
        var figure = new Figure();
        var axes = figure.AddAxes("ln p, flow against truth");
        (axes.XLabel, axes.YLabel) = ("true density (nat)", "by the probability flow");
        var points = new double[2 * found.Length];
        for (int i = 0; i < found.Length; i++)
            (points[2 * i], points[2 * i + 1]) = (truth[i], found[i]);
        axes.Scatter(Tensor.From(points, [found.Length, 2], RawDiffusion.Device.Reference), radius: 1.5);
        var parts = figure.AddAxes("terms of the bound");
        (parts.XLabel, parts.YLabel) = ("step, from the noise to the data", "KL divergence (nat)");
        parts.LogY = true;
        parts.Plot([.. Enumerable.Range(0, terms.Steps.Count).Select(i => (double)i)], [.. terms.Steps]);
        context.Figure("likelihood", figure);
    }

    /// <summary>How the bound comes down with the number of steps.</summary>
    private static void Steps(StudyContext context, ForwardProcess process, Denoiser denoiser, double entropy)
    {
        int[] steps = [10, 30, 100, 300, 1000];
        var x = s_data.Sample(context.Count(4000, 1000), new Generator(9)).To(context.Device);
        double[] Bounds(ReverseVariance variance) =>
            [.. steps.Select(n => VariationalBound.Evaluate(denoiser, x, TimeGrid.LogSnr(process, n, 2 * LeastNoise), new Generator(8), Decoder.Gaussian, variance).Total)];
        var figure = new Figure();
        var axes = figure.AddAxes("bound by number of steps");
        axes.LogX = true;
        (axes.XLabel, axes.YLabel) = ("steps", "nat");
        double[] at = [.. steps.Select(n => (double)n)];
        axes.Plot(at, Bounds(ReverseVariance.FixedSmall), "variance of the posterior");
        axes.Plot(at, Bounds(ReverseVariance.FixedLarge), "variance of the forward step");
        axes.Plot([at[0], at[^1]], [entropy, entropy], "entropy of the data", dashed: true);
        context.Figure("bound-by-steps", figure);
    }
}
