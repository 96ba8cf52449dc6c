using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Samplers;

public abstract partial class ReverseVariance
{
    /// <summary>
    /// The best variance of each time, the same for all states: PosteriorVariance + PosteriorX0^2 E[Var(x_0 | x_t)] (Bao et al. 2022,
    /// Analytic-DPM, theorem 1). No network has to be trained for it.
    /// </summary>
    /// <param name="cleanVariance">E[Var(x_0 | x_t)] of a time, the mean over the dimensions.</param>
    public static ReverseVariance Analytic(Func<double, double> cleanVariance) => new AnalyticVariance(cleanVariance);

    /// <summary>
    /// The same with E[Var(x_0 | x_t)] measured on data as the mean squared error of the predicted x_0: of an imperfect denoiser, that is the
    /// best variance around its own mean (Bao et al. 2022, "Estimating the optimal covariance with imperfect mean", theorem 3). Analytic-DPM's
    /// own (sigma / alpha)^2 (1 - sigma^2 E|score|^2 / D) has the same value for an exact one, and no digits left where there is much noise.
    /// </summary>
    /// <param name="x0">Data, [n, ...].</param>
    /// <param name="times">Those that will be asked about; of a list for a sampler, the 0 at the end is left out.</param>
    public static ReverseVariance Analytic(Denoiser denoiser, Tensor x0, ReadOnlySpan<double> times, NoiseSource noise)
    {
        using var noGrad = new NoGrad();
        var table = new Dictionary<double, double>();
        var process = denoiser.Process;
        foreach (double t in times)
        {
            if (process.Sigma(t) == 0)
                continue;
            using var scope = new MemoryScope();
            var predicted = denoiser.X0(noise.Add(x0 * process.Alpha(t), process.Sigma(t)), t);
            table[t] = (predicted - x0).Square().Mean().Item();
        }
        return new AnalyticVariance(t => table.TryGetValue(t, out double variance)
            ? variance
            : throw new ArgumentException($"the variance of clean samples was measured at {table.Count} times, and {t} is none of them"));
    }

    /// <summary>
    /// The best variance of every number of every state: PosteriorVariance + PosteriorX0^2 Var(x_0 | x_t) with the diagonal of
    /// Cov(x_0 | x_t) = (sigma^2 / alpha) d E[x_0 | x_t] / d x_t, the derivative of Tweedie's formula (Efron 2011). What a learned variance
    /// should become. Needs a differentiable denoiser, one more evaluation and a backward pass for each dimension: for points.
    /// </summary>
    public static ReverseVariance Tweedie { get; } = new TweedieVariance();

    private sealed class AnalyticVariance(Func<double, double> cleanVariance) : ReverseVariance
    {
        public override StepVariance Of(Denoiser denoiser, Tensor x, double t, in Transition step, Tensor? spread) =>
            step.PosteriorVariance + step.PosteriorX0 * step.PosteriorX0 * cleanVariance(t);
    }

    private sealed class TweedieVariance : ReverseVariance
    {
        public override StepVariance Of(Denoiser denoiser, Tensor x, double t, in Transition step, Tensor? spread)
        {
            double alpha = step.AlphaT, sigma = step.SigmaT, ofSlope = step.PosteriorX0 * step.PosteriorX0 * sigma * sigma / alpha;
            // Rounding, and networks that are none's derivative, can make the slope negative.
            var slope = DiagonalSlope(denoiser, x, t).Clamp(1e-6 * step.Variance / ofSlope, double.MaxValue);
            return new StepVariance((slope * ofSlope + step.PosteriorVariance).Log());
        }

        /// <summary>d x0_i / d x_i for every number i of every sample, of the shape of x.</summary>
        private static Tensor DiagonalSlope(Denoiser denoiser, Tensor x, double t)
        {
            var leaf = x.Detach().RequireGrad();
            Tensor x0;
            using (new EnableGrad())
                x0 = denoiser.X0(leaf, t);
            return Jacobian.Diagonal(x0, leaf);
        }
    }
}
