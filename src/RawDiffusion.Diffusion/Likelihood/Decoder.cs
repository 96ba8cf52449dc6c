namespace RawDiffusion.Diffusion.Likelihood;

/// <summary>What stands at the end of a discrete model: the likelihood of the data given the last, least noisy state.</summary>
public abstract class Decoder
{
    /// <summary>ln p(x | mean, variance) for every sample, [n], nats.</summary>
    /// <param name="x">Data, [n, ...].</param>
    /// <param name="mean">Of the same shape.</param>
    /// <exception cref="ArgumentOutOfRangeException">The variance is not positive.</exception>
    public Tensor LogLikelihood(Tensor x, Tensor mean, double variance) => variance > 0 && double.IsFinite(variance)
        ? LogLikelihood(x, mean, Tensor.Full(Shape.Scalar, Math.Log(variance), x.Device))
        : throw new ArgumentOutOfRangeException(nameof(variance), $"a decoder's variance must be positive, not {variance}");

    /// <param name="logVariance">The logarithm of the variance of every number, of a shape that broadcasts to that of x.</param>
    /// <inheritdoc cref="LogLikelihood(Tensor, Tensor, double)"/>
    public abstract Tensor LogLikelihood(Tensor x, Tensor mean, Tensor logVariance);

    /// <summary>The density of N(mean, variance I): for data that are real numbers.</summary>
    public static Decoder Gaussian { get; } = new GaussianDecoder();

    /// <summary>
    /// The mass of N(mean, variance) in the bin of each of 256 levels in [-1, 1], the outermost bins without end (Ho et al. 2020,
    /// equation 13): for images of bytes, whose likelihood it makes a probability.
    /// </summary>
    public static Decoder Discretised { get; } = new DiscretisedGaussian(256);

    private sealed class GaussianDecoder : Decoder
    {
        public override Tensor LogLikelihood(Tensor x, Tensor mean, Tensor logVariance) =>
            (((x - mean).Square() * (-logVariance).Exp() + (logVariance + Math.Log(2 * Math.PI))) * -0.5).SumPerSample();
    }

    private sealed class DiscretisedGaussian(int levels) : Decoder
    {
        /// <summary>Least probability of a bin: its logarithm stays finite where the mean is far away.</summary>
        private const double Least = 1e-12;

        public override Tensor LogLikelihood(Tensor x, Tensor mean, Tensor logVariance)
        {
            double half = 1.0 / (levels - 1);
            var scale = (logVariance * -0.5).Exp();
            var distance = x - mean;
            var upper = NormalCdf((distance + half) * scale);
            var lower = NormalCdf((distance - half) * scale);
            // Bins at the ends reach to infinity: their upper limit has all below it, their lower limit none.
            double last = 1 - 0.5 * half;
            upper = F.Where(x.Gt(last), upper * 0 + 1, upper);
            lower = F.Where(x.Lt(-last), lower * 0, lower);
            return (upper - lower).Clamp(Least, 1).Log().SumPerSample();
        }

        private static Tensor NormalCdf(Tensor x) => (x * Math.Sqrt(0.5)).Erf() * 0.5 + 0.5;
    }
}
