using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Likelihood;

/// <summary>The parts of the variational bound on -ln p(x_0), in nats, means over samples.</summary>
/// <param name="Prior">L_T: how far x_T is from what sampling starts from.</param>
/// <param name="Steps">L_(t-1), the KL divergences of the steps, in the order of the times: the noisiest first.</param>
/// <param name="Reconstruction">L_0: -ln p(x_0 | x_1).</param>
/// <param name="PerSample">The whole bound for every sample.</param>
public sealed record BoundTerms(double Prior, IReadOnlyList<double> Steps, double Reconstruction, IReadOnlyList<double> PerSample)
{
    public double Total => Prior + Steps.Sum() + Reconstruction;

    /// <summary>The standard error of <see cref="Total"/>, over samples.</summary>
    public double StandardError
    {
        get
        {
            double mean = PerSample.Average();
            return Math.Sqrt(PerSample.Sum(value => (value - mean) * (value - mean)) / Math.Max(1, PerSample.Count - 1) / PerSample.Count);
        }
    }
}

/// <summary>
/// The bound that DDPM is trained on, -ln p(x_0) &lt;= L_T + sum L_(t-1) + L_0 (Ho et al. 2020, equation 5), with every KL divergence in
/// closed form given x_0 and x_t. It is the bound of a hierarchical VAE whose encoder has nothing to learn.
/// </summary>
public static class VariationalBound
{
    /// <summary>All terms, each with fresh noise.</summary>
    /// <param name="x0">Data, [n, ...].</param>
    /// <param name="times">Falling times, from the end of the process to 0.</param>
    /// <param name="variance">
    /// Of the reverse steps, and of the decoder; <see cref="ReverseVariance.FixedSmall"/> when null. Bounds of several variances from equal
    /// noise differ by their variances alone.
    /// </param>
    /// <exception cref="ArgumentException">The times are others, or there are no samples.</exception>
    /// <exception cref="NotFiniteException">A term is not finite; it says at which step.</exception>
    public static BoundTerms Evaluate(
        Denoiser denoiser, Tensor x0, ReadOnlySpan<double> times, NoiseSource noise, Decoder decoder, ReverseVariance? variance = null)
    {
        double[] grid = CheckGrid(denoiser.Process, times);
        x0.ExpectSamples("the bound");
        variance ??= ReverseVariance.FixedSmall;
        using var noGrad = new NoGrad();
        var process = denoiser.Process;
        int n = x0.Shape[0], size = x0.Count / n;
        var perSample = new double[n];
        double prior = Add(Prior(process, x0), perSample, 0, process.EndTime);
        var steps = new List<double>();
        double reconstruction = 0;
        for (int i = 0; i + 1 < grid.Length; i++)
        {
            using var scope = new MemoryScope();
            var step = new Transition(process, grid[i], grid[i + 1]);
            var xt = noise.Add(x0 * step.AlphaT, step.SigmaT);
            var (predicted, spread) = denoiser.Predict(xt, grid[i], Parameterisation.X0);
            var own = variance.Of(denoiser, xt, grid[i], step, spread);
            if (grid[i + 1] > 0)
                steps.Add(Add(StepDivergence(x0, predicted, step, own), perSample, i, grid[i]));
            else
                reconstruction = -Add(Decoded(decoder, x0, xt * step.PosteriorXt + predicted * step.PosteriorX0, own), perSample, i, grid[i], -1);
        }
        return new BoundTerms(prior, steps, reconstruction, perSample);
    }

    /// <summary>
    /// KL(q(x_s | x_t, x_0) || p(x_s | x_t)) for every sample, [n]: both are Gaussians with the posterior's means, one at x_0, the other at
    /// the predicted one.
    /// </summary>
    public static Tensor StepDivergence(Tensor x0, Tensor predicted, in Transition step, in StepVariance variance)
    {
        int n = x0.Shape[0], size = x0.Count / n;
        double q = step.PosteriorVariance, p = variance.Common, meanSquared = step.PosteriorX0 * step.PosteriorX0;
        var error = (predicted - x0).Square();
        if (variance.Logarithms is { } logarithms)
            return Divergence(error * meanSquared, Tensor.Full(Shape.Scalar, Math.Log(q), x0.Device), logarithms).SumPerSample();
        double spread = 0.5 * size * (q / p - 1 - Math.Log(q / p));
        return error.SumPerSample() * (meanSquared / (2 * p)) + spread;
    }

    /// <summary>
    /// KL(N(m, e^logQ) || N(m', e^logP)) for every number, from the squares of m - m' and the logarithms of the variances, which broadcast.
    /// </summary>
    public static Tensor Divergence(Tensor meanSquared, Tensor logQ, Tensor logP)
    {
        var ratio = logQ - logP;
        // In this order: of nearly equal variances e^r - r is so near to 1 that the rounding of e^r, alike in all numbers of a sample, goes.
        return (ratio.Exp() - ratio - 1 + meanSquared * (-logP).Exp()) * 0.5;
    }

    /// <summary>KL(q(x_T | x_0) || prior) for every sample, [n].</summary>
    public static Tensor Prior(ForwardProcess process, Tensor x0)
    {
        int n = x0.Shape[0], size = x0.Count / n;
        double alpha = process.Alpha(process.EndTime), sigma = process.Sigma(process.EndTime), deviation = process.PriorStandardDeviation;
        double ratio = sigma * sigma / (deviation * deviation);
        double spread = 0.5 * size * (ratio - 1 - Math.Log(ratio));
        return x0.Square().SumPerSample() * (alpha * alpha / (2 * deviation * deviation)) + spread;
    }

    /// <exception cref="ArgumentException">The times are not those of a bound, from the end of the process to 0.</exception>
    internal static double[] CheckGrid(ForwardProcess process, ReadOnlySpan<double> times)
    {
        double[] grid = TimeGrid.Check(process, times);
        if (grid[^1] != 0)
            throw new ArgumentException($"the bound's last step ends at the data: the last time is 0, not {grid[^1]}");
        return grid[0] == process.EndTime
            ? grid
            : throw new ArgumentException($"the bound's first step starts where sampling does, at time {process.EndTime} of {process.Name}, not at {grid[0]}");
    }

    private static Tensor Decoded(Decoder decoder, Tensor x0, Tensor mean, in StepVariance variance) => variance.Logarithms is { } logarithms
        ? decoder.LogLikelihood(x0, mean, logarithms)
        : decoder.LogLikelihood(x0, mean, variance.Common);

    /// <summary>Adds a term of the bound to that of each sample.</summary>
    /// <param name="step">From 0.</param>
    /// <returns>Its mean.</returns>
    /// <exception cref="NotFiniteException">It is not finite.</exception>
    internal static double Add(Tensor values, double[] perSample, int step, double time, double sign = 1)
    {
        double[] read = values.ToDoubleArray();
        for (int i = 0; i < read.Length; i++)
        {
            if (!double.IsFinite(read[i]))
                throw new NotFiniteException(step + 1, time, $"the term of the bound for sample {i} is {read[i]}");
            perSample[i] += sign * read[i];
        }
        return read.Average();
    }
}

/// <summary>Units of likelihoods.</summary>
public static class BitsPerDimension
{
    /// <summary>Bits per dimension of data whose values lie 1 apart, from nats per sample.</summary>
    /// <param name="dimensions">Numbers in a sample.</param>
    public static double Of(double nats, int dimensions) => nats / (dimensions * Math.Log(2));

    /// <summary>
    /// The same from a density of images scaled to [-1, 1] whose bytes were spread over their bins of width 2/256 (uniform dequantisation,
    /// Theis et al. 2016): a density of bytes is larger by the factor 1/128 for each dimension, which adds 7 bits.
    /// </summary>
    public static double OfDequantisedBytes(double nats, int dimensions) => Of(nats, dimensions) + Math.Log2(128);
}
