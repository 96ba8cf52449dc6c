using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Likelihood;

/// <summary>
/// Three unbiased estimates of one variational bound, each for every sample from one of its T steps, in nats. They are made from the same
/// draws of x_t and x_s, so what differs is only how much of the chance each takes away by an expectation in closed form
/// (Ho et al. 2020, section 2 and appendix A).
/// </summary>
/// <param name="ForwardRatio">
/// -ln p(x_T) + T ln q(x_t | x_s) / p(x_s | x_t) (equation 3; Sohl-Dickstein et al. 2015, equation 11): nothing in closed form.
/// </param>
/// <param name="PosteriorRatio">
/// L_T + T ln q(x_s | x_t, x_0) / p(x_s | x_t): Bayes's rule given x_0 turns the forward step around, and its terms are small.
/// </param>
/// <param name="ClosedForm">L_T + T KL(q(x_s | x_t, x_0) || p(x_s | x_t)) (equation 5): the expectation over x_s is taken.</param>
public sealed record BoundEstimates(double[] ForwardRatio, double[] PosteriorRatio, double[] ClosedForm)
{
    /// <param name="x0">Data, [n, ...].</param>
    /// <param name="times">Falling times of the bound's steps, from the end of the process to 0.</param>
    /// <param name="steps">Which step each sample is asked about: i is that from times[i] to times[i + 1]. To be uniform, each on its own.</param>
    /// <exception cref="ArgumentException">The times are others, there are no samples, or the steps do not fit the samples or the times.</exception>
    /// <exception cref="NotFiniteException">A term is not finite.</exception>
    public static BoundEstimates Evaluate(
        Denoiser denoiser, Tensor x0, ReadOnlySpan<double> times, ReadOnlySpan<int> steps, NoiseSource noise, Decoder decoder)
    {
        var process = denoiser.Process;
        double[] grid = VariationalBound.CheckGrid(process, times);
        x0.ExpectSamples("the bound");
        int n = x0.Shape[0], count = grid.Length - 1;
        if (steps.Length != n)
            throw new ArgumentException($"{steps.Length} steps were given for {n} samples");
        var samples = new List<int>[count];
        for (int k = 0; k < n; k++)
        {
            if (steps[k] < 0 || steps[k] >= count)
                throw new ArgumentException($"sample {k} has step {steps[k]} of {count}");
            (samples[steps[k]] ??= []).Add(k);
        }
        using var noGrad = new NoGrad();
        using var whole = new MemoryScope();
        double[] prior = VariationalBound.Prior(process, x0).ToDoubleArray();
        var noisy = noise.Add(x0 * process.Alpha(grid[0]), process.Sigma(grid[0]));
        var result = new BoundEstimates(NegativeLogNormal(noisy, noisy * 0, Math.Pow(process.PriorStandardDeviation, 2)).ToDoubleArray(), [.. prior], prior);
        for (int i = 0; i < count; i++)
        {
            if (samples[i] is not { } chosen)
                continue;
            using var scope = new MemoryScope();
            var rows = x0.IndexSelect(0, Tensor.From(chosen.ToArray(), [chosen.Count], x0.Device));
            var (forward, posterior, closed) = Terms(denoiser, rows, grid[i], grid[i + 1], noise, decoder);
            Add(forward, result.ForwardRatio);
            Add(posterior, result.PosteriorRatio);
            Add(closed, result.ClosedForm);

            void Add(Tensor values, double[] to)
            {
                double[] read = values.ToDoubleArray();
                for (int j = 0; j < read.Length; j++)
                {
                    if (!double.IsFinite(read[j]))
                        throw new NotFiniteException(i + 1, grid[i], $"the term of the bound for sample {chosen[j]} is {read[j]}");
                    to[chosen[j]] += count * read[j];
                }
            }
        }
        return result;
    }

    private static (Tensor Forward, Tensor Posterior, Tensor Closed) Terms(
        Denoiser denoiser, Tensor x0, double t, double s, NoiseSource noise, Decoder decoder)
    {
        var step = new Transition(denoiser.Process, t, s);
        var xt = noise.Add(x0 * step.AlphaT, step.SigmaT);
        var predicted = denoiser.X0(xt, t);
        var mean = xt * step.PosteriorXt + predicted * step.PosteriorX0;
        if (s == 0)
        {
            // x_s is the data, and there is nothing to expect: p(x_0 | x_t) is the decoder's.
            var reconstruction = decoder.LogLikelihood(x0, mean, step.Variance) * -1;
            return (reconstruction - NegativeLogNormal(xt, x0 * step.AlphaT, step.SigmaT * step.SigmaT), reconstruction, reconstruction);
        }
        var truth = xt * step.PosteriorXt + x0 * step.PosteriorX0;
        var xs = noise.Add(truth, Math.Sqrt(step.PosteriorVariance));
        var reverse = NegativeLogNormal(xs, mean, step.PosteriorVariance);
        return (
            reverse - NegativeLogNormal(xt, xs * step.Ratio, step.Variance),
            reverse - NegativeLogNormal(xs, truth, step.PosteriorVariance),
            VariationalBound.StepDivergence(x0, predicted, step, step.PosteriorVariance));
    }

    /// <summary>-ln N(x; mean, variance I) for every sample, [n].</summary>
    private static Tensor NegativeLogNormal(Tensor x, Tensor mean, double variance) => -Decoder.Gaussian.LogLikelihood(x, mean, variance);
}
