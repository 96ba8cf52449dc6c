using RawDiffusion.Diffusion.Likelihood;

namespace RawDiffusion.Diffusion.Markov;

/// <summary>
/// Independent normal numbers, as <see cref="Bernoulli"/> is independent bits. They are given by their variances, which are 0 where a number
/// is known: a <see cref="Vae.DiagonalGaussian"/>, which networks speak of, has logarithms of variances, and 0 has none.
/// </summary>
/// <param name="Mean">[n, ...].</param>
/// <param name="Variance">Broadcasts against the mean; 0 where a number is known.</param>
public sealed record Normal(Tensor Mean, Tensor Variance) : IFactorised<Normal>
{
    // A known number has a density without bound; its logarithm stays finite, so that what is not asked for does no harm.
    private const double LeastVariance = 1e-30;

    private Tensor LogVariance => Variance.Clamp(LeastVariance, double.PositiveInfinity).Log();

    /// <inheritdoc/>
    public Tensor Sample(Generator generator) => Mean + Tensor.Randn(generator, Mean.Shape, Mean.Device) * Variance.Sqrt();

    /// <inheritdoc/>
    public Tensor LogProbability(Tensor x) =>
        (((x - Mean).Square() / Variance + LogVariance + Math.Log(2 * Math.PI)) * -0.5).SumPerSample();

    /// <inheritdoc/>
    public Tensor Entropy() => ((LogVariance + Math.Log(2 * Math.PI * Math.E)) * 0.5).BroadcastTo(Mean.Shape).SumPerSample();

    /// <inheritdoc/>
    public static Tensor Divergence(Normal q, Normal p) =>
        VariationalBound.Divergence((q.Mean - p.Mean).Square(), q.LogVariance, p.LogVariance).SumPerSample();
}
