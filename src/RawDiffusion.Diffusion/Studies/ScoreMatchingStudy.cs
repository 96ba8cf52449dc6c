using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>Three ways to learn a score, and why noise is needed to sample with it.</summary>
public sealed class ScoreMatchingStudy : Study
{
    private const double ModeDistance = 2.5, ModeDeviation = 0.5, LargestNoise = 8;

    /// <summary>Two modes far apart, one four times as heavy as the other.</summary>
    private static readonly GaussianMixture s_unequal = new(
        new GaussianComponent(new Point2(-ModeDistance, 0), ModeDeviation, 0.8), new GaussianComponent(new Point2(ModeDistance, 0), ModeDeviation, 0.2));

    private static readonly EightGaussians s_eight = new();

    public override string Name => "score-matching";

    public override string Lesson => "A score can be learned without its density; Langevin dynamics at one noise level cannot weigh modes, annealed through many it can.";

    public override void Run(StudyContext context)
    {
        Sliced(context);
        Denoising(context);
    }

    /// <summary>Sliced score matching on two modes that overlap little, against the exact score.</summary>
    private static void Sliced(StudyContext context)
    {
        double worst = 1, apart = 0;
        foreach (ulong seed in context.Seeds)
        {
            var generator = new Generator(seed, 61);
            var model = new MlpDenoiser(generator, context.Device);
            Tensor Score(Tensor x) => model.Forward(x, Tensor.Zeros([x.Shape[0]], x.Device));
            PointTraining.Learn(model, context.Count(2000, 600), context, () =>
            {
                var x = PointTraining.Draw(s_unequal, generator, context.Device);
                return ScoreMatching.Sliced(Score, x, Hutchinson.Probe(Divergence.Rademacher, x.Shape, generator, x.Device));
            });
            using var scope = new MemoryScope();
            var points = s_unequal.Sample(2000, new Generator(seed, 62)).To(context.Device);
            apart = Math.Max(apart, TraceError(Score, points, new Generator(seed, 65)));
            using var noGrad = new NoGrad();
            Tensor exact = s_unequal.Score(points), learned = Score(points);
            double cosine = (exact * learned).Sum().Item() / Math.Sqrt(exact.Square().Sum().Item() * learned.Square().Sum().Item());
            worst = Math.Min(worst, cosine);
        }
        context.AtLeast("sliced score matching: cosine to the exact score over the data, worst seed", worst, 0.98);
        context.AtMost("Hutchinson's trace, of signs and of normals: distance to the exact one in standard errors, worse of both, worst seed", apart, 3);
    }

    /// <summary>How far the mean of v^T ds/dx v over points is from that of the trace of ds/dx, in its standard errors.</summary>
    private static double TraceError(Func<Tensor, Tensor> score, Tensor points, Generator generator)
    {
        var leaf = points.Detach().RequireGrad();
        var trace = Jacobian.Diagonal(score(leaf), leaf).SumPerSample();
        double worst = 0;
        foreach (var kind in new[] { Divergence.Rademacher, Divergence.Gaussian })
        {
            var v = Hutchinson.Probe(kind, points.Shape, generator, points.Device);
            var estimate = (Autograd.Vjp(score, points, v).Product * v).SumPerSample();
            var (mean, error) = Statistics.MeanWithError((estimate - trace).ToDoubleArray());
            worst = Math.Max(worst, Math.Abs(mean) / error);
        }
        return worst;
    }

    /// <summary>Denoising score matching over all noise levels, and sampling with it.</summary>
    private static void Denoising(StudyContext context)
    {
        var process = new EdmProcess(LargestNoise);
        double errorOfScore = 0, annealedError = 0, plainError = 1;
        foreach (ulong seed in context.Seeds)
        {
            // Eight Gaussians: the score at the data's own noise level.
            double deviation = Math.Sqrt(EightGaussians.Radius * EightGaussians.Radius / 2 + 0.01);
            var times = TimeSampler.LogSnr(process, 0.02);
            var eight = PointTraining.Train(
                s_eight, process, Parameterisation.Preconditioned, seed, context.Count(6000, 2500), context, times, dataStandardDeviation: deviation);
            using (var scope = new MemoryScope())
            using (var noGrad = new NoGrad())
            {
                const double Level = EightGaussians.StandardDeviation;
                var generator = new Generator(seed, 63);
                var x = (s_eight.Sample(4000, generator) + Tensor.Randn(generator, [4000, 2]) * Level).To(context.Device);
                Tensor exact = s_eight.Score(x, 1, Level), learned = eight.Score(x, Level);
                errorOfScore = Math.Max(errorOfScore, Math.Sqrt((learned - exact).Square().Sum().Item() / exact.Square().Sum().Item()));
            }

            // Two modes: how many samples each gets.
            double spread = Math.Sqrt((ModeDistance * ModeDistance + ModeDeviation * ModeDeviation) / 2);
            var two = PointTraining.Train(
                s_unequal, process, Parameterisation.Preconditioned, seed, context.Count(4000, 1500), context, times, dataStandardDeviation: spread);
            int count = context.Count(5000, 1000);
            using (var scope = new MemoryScope())
            {
                var generator = new Generator(seed, 64);
                var start = Tensor.Rand(generator, [count, 2], -8, 8, context.Device);
                double[] levels = TimeGrid.LogSnr(process, 12, 0.1)[..^1];
                var annealed = Sampler.AnnealedLangevin(two, start, levels, generator, stepsPerLevel: 100, stepSize: 2e-3);
                var plain = Sampler.AnnealedLangevin(two, start, [0.1], generator, stepsPerLevel: 1200, stepSize: 2e-3);
                annealedError = Math.Max(annealedError, WeightError(annealed));
                plainError = Math.Min(plainError, WeightError(plain));
                if (seed == 0)
                    Draw(context, annealed, plain);
            }
        }
        context.AtMost("denoising score matching: relative error of the score at the data's noise level, worst seed", errorOfScore, 0.10);
        context.AtMost("annealed Langevin: total variation of the mode weights .8 and .2, worst seed", annealedError, 0.05);
        context.AtLeast("Langevin at one level: the same, best seed", plainError, 0.15);
    }

    private static double WeightError(Tensor samples)
    {
        float[] points = samples.ToArray();
        int left = 0;
        for (int i = 0; i < points.Length; i += 2)
            left += points[i] < 0 ? 1 : 0;
        return Math.Abs((double)left / (points.Length / 2) - 0.8);
    }

    private static void Draw(StudyContext context, Tensor annealed, Tensor plain)
    {
        var figure = new Figure { PanelWidth = 260, PanelHeight = 260 };
        foreach (var (title, points) in new[] { ("data", s_unequal.Sample(annealed.Shape[0], new Generator(1))), ("annealed Langevin", annealed), ("Langevin at one level", plain) })
        {
            var axes = figure.AddAxes(title);
            axes.EqualAspect = true;
            axes.XLimits = axes.YLimits = (-5, 5);
            axes.Scatter(points.Slice(0, 0, Math.Min(2000, points.Shape[0])), radius: 1, alpha: 0.35);
        }
        context.Figure("modes", figure);
    }
}
