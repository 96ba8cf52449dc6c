using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Vae;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>
/// Maximum-likelihood training (Song, Durkan, Murray and Ermon 2021): the errors of one network weighted so that the objective is a bound on
/// -ln p, at times drawn in proportion to the weights, against L_simple at uniform times.
/// </summary>
public sealed class LikelihoodTrainingStudy : Study
{
    /// <summary>Times start where the noise is a quarter of the data's own: below it there is nothing left to learn, and half of the weight.</summary>
    private const double LeastNoise = 0.25 * EightGaussians.StandardDeviation;

    /// <summary>Ways from the noise to a point that its likelihood is estimated from.</summary>
    private const int Paths = 64;

    private static readonly EightGaussians s_data = new();

    public override string Name => "likelihood-training";

    public override string Lesson => "L_simple asks mostly about loud noise; weights and times that bound the likelihood give the same network a higher one.";

    public override string Tried =>
        "linear and cosine schedules; 1,000 to 6,000 steps of training; first times whose noise is from 1e-3 up to a quarter and more of the data's own; "
        + "the network told the time or the log-SNR. The gain in the flow's likelihood shrinks as training gets longer, the gain in the bound stays near "
        + "0.05 nat. Told the log-SNR, the network trained with likelihood weights even got a worse likelihood of the flow, by 0.07 nat at seed 0, while its "
        + "bound was 0.03 nat better. The reason: likelihood weights bound the likelihood of the reverse SDE, and first-order score matching does not control "
        + "that of the probability flow (Lu et al. 2022, Maximum likelihood training for score-based diffusion ODEs by high-order denoising score matching). "
        + "The reverse chain's own likelihood, which is nearer to the data's than the flow's, gains more: what is left of its distance is about half. Both rows "
        + "are of the worst of three seeds; the means over the seeds are above 0.02 nat.";

    public override void Run(StudyContext context)
    {
        // Equal steps of its time, unlike those of the cosine schedule, hardly ever ask about the noise that the data's spread is as large as.
        var process = new LinearSchedule();
        double first = process.TimeOf(LeastNoise);
        // The weight of the noise's error, which is what the network says: that of x_0's is sigma^2 / alpha^2 as large.
        var proportional = TimeSampler.InProportion(process, t => LossWeights.Likelihood(process, t) * Math.Pow(process.NoiseToSignal(t), 2), first);
        double least = double.PositiveInfinity, leastOfBound = double.PositiveInfinity, leastOfChain = double.PositiveInfinity;
        foreach (ulong seed in context.Seeds)
        {
            int steps = context.Count(3000, 1000);
            var simple = PointTraining.Train(s_data, process, Parameterisation.Epsilon, seed, steps, context, TimeSampler.Uniform(process, first));
            var likelihood = PointTraining.Train(s_data, process, Parameterisation.Epsilon, seed, steps, context, proportional, LossWeights.Likelihood);
            using var scope = new MemoryScope();
            var x = s_data.Sample(context.Count(5000, 500), new Generator(seed, 72)).To(context.Device);
            double entropy = -s_data.LogDensity(x).ToDoubleArray().Average();
            double[] nll = [NegativeLogLikelihood(simple, x, first), NegativeLogLikelihood(likelihood, x, first)];
            double[] chain = [ChainNegativeLogLikelihood(simple, x, seed, context), ChainNegativeLogLikelihood(likelihood, x, seed, context)];
            double[] bound = [Bound(simple, x, seed), Bound(likelihood, x, seed)];
            least = Math.Min(least, nll[0] - nll[1]);
            leastOfChain = Math.Min(leastOfChain, chain[0] - chain[1]);
            leastOfBound = Math.Min(leastOfBound, bound[0] - bound[1]);
            context.Number($"seed {seed}: negative log-likelihood above the data's, L_simple", nll[0] - entropy);
            context.Number($"seed {seed}: negative log-likelihood above the data's, likelihood training", nll[1] - entropy);
            context.Number($"seed {seed}: negative log-likelihood of the reverse chain above the data's, L_simple", chain[0] - entropy);
            context.Number($"seed {seed}: negative log-likelihood of the reverse chain above the data's, likelihood training", chain[1] - entropy);
            context.Number($"seed {seed}: variational bound above the data's, L_simple", bound[0] - entropy);
            context.Number($"seed {seed}: variational bound above the data's, likelihood training", bound[1] - entropy);
            if (seed == 0)
                Draw(context, process, simple, likelihood, proportional, first);
        }
        context.AtLeast("negative log-likelihood by the flow: likelihood training lower than L_simple by, least over seeds (nat)", least, 0.02);
        context.AtLeast(
            $"negative log-likelihood of the reverse chain, {Paths} paths: likelihood training lower than L_simple by, least over seeds (nat)", leastOfChain, 0.02);
        context.AtLeast("variational bound: likelihood training lower than L_simple by, least over seeds (nat)", leastOfBound, 0.02);
    }

    private static double NegativeLogLikelihood(Denoiser denoiser, Tensor x, double first) =>
        -FlowLikelihood.Evaluate(denoiser, x, first, new OdeTolerance(1e-4, 1e-4)).LogLikelihood.ToDoubleArray().Average();

    private static double Bound(Denoiser denoiser, Tensor x, ulong seed) =>
        VariationalBound.Evaluate(denoiser, x, Grid(denoiser), new Generator(seed, 73), Decoder.Gaussian, ReverseVariance.FixedLarge).Total;

    /// <summary>
    /// -ln p of the chain itself, whose bound the training lowers: with the forward process as its encoder it is a hierarchical VAE, and many
    /// paths for each point bring the bound down to it (Burda et al. 2016).
    /// </summary>
    private static double ChainNegativeLogLikelihood(Denoiser denoiser, Tensor x, ulong seed, StudyContext context)
    {
        const int AtOnce = 500;
        using var noGrad = new NoGrad();
        var chain = DiffusionHierarchy.Of(denoiser, [2], Grid(denoiser), Decoder.Gaussian, ReverseVariance.FixedLarge, context.Device);
        var noise = new Generator(seed, 76);
        double sum = 0;
        for (int start = 0; start < x.Shape[0]; start += AtOnce)
        {
            context.ThrowIfStopped();
            using var scope = new MemoryScope();
            sum += chain.ImportanceWeighted(x.Slice(0, start, Math.Min(AtOnce, x.Shape[0] - start)), Paths, noise).Sum().Item();
        }
        return sum / x.Shape[0];
    }

    private static double[] Grid(Denoiser denoiser) => TimeGrid.LogSnr(denoiser.Process, 200, LeastNoise);

    /// <summary>Where each training looks, and what the networks get wrong there.</summary>
    private static void Draw(StudyContext context, ForwardProcess process, Denoiser simple, Denoiser likelihood, TimeSampler proportional, double first)
    {
        double[] logSnr = [.. Enumerable.Range(0, 41).Select(i => -9.5 + i * (process.LogSnr(first) + 9.5) / 40)];
        double[] times = [.. logSnr.Select(value => process.TimeOf(Math.Exp(-0.5 * value)))];
        var figure = new Figure();
        var density = figure.AddAxes("which log-SNR is asked about");
        (density.XLabel, density.YLabel) = ("log-SNR", "density");
        // Uniform times have the density dt / d log-SNR; those in proportion to the weight are counted.
        density.Plot(logSnr, [.. times.Select(t => 1 / (Slope(t) * (1 - first)))], "L_simple");
        density.Plot(logSnr, Histogram(process, proportional, logSnr), "likelihood training");
        var errors = figure.AddAxes("error of the noise beside the exact one's");
        (errors.XLabel, errors.YLabel) = ("log-SNR", "mean square");
        errors.LogY = true;
        errors.Plot(logSnr, [.. times.Select(t => Error(simple, t))], "L_simple");
        errors.Plot(logSnr, [.. times.Select(t => Error(likelihood, t))], "likelihood training");
        context.Figure("likelihood-training", figure);

        double Slope(double t) => 2 * (process.SigmaDot(t) / process.Sigma(t) - process.AlphaDot(t) / process.Alpha(t));

        double Error(Denoiser denoiser, double t)
        {
            using var noGrad = new NoGrad();
            using var scope = new MemoryScope();
            var generator = new Generator(74);
            var x = (s_data.Sample(4000, generator) * process.Alpha(t) + Tensor.Randn(generator, [4000, 2]) * process.Sigma(t)).To(context.Device);
            return (denoiser.Epsilon(x, t) - s_data.Denoiser(process).Epsilon(x, t)).Square().Mean().Item();
        }
    }

    private static double[] Histogram(ForwardProcess process, TimeSampler times, double[] centers)
    {
        const int Draws = 100_000;
        double width = centers[1] - centers[0];
        var counts = new double[centers.Length];
        foreach (var (t, _) in times.Draw(Draws, new Generator(75)))
        {
            int cell = (int)Math.Round((process.LogSnr(t) - centers[0]) / width);
            if (cell >= 0 && cell < counts.Length)
                counts[cell] += 1 / (Draws * width);
        }
        // Half of the last cell is outside of the process.
        counts[^1] *= 2;
        return counts;
    }
}
