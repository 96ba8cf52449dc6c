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
        // The logarithm of a bin whose two limits float32 cannot tell apart stays finite.
        private const double LeastDifference = 1e-12;

        public override Tensor LogLikelihood(Tensor x, Tensor mean, Tensor logVariance)
        {
            double half = 1.0 / (levels - 1);
            var scale = (logVariance * -0.5).Exp();
            var distance = x - mean;
            // Both limits on the side of the tail, where their probabilities are small: near 1 rounding would take their difference.
            var away = distance.Abs();
            Tensor near = (half - away) * scale, far = (away + half) * -scale;
            // Bins at the ends reach to infinity: of them one limit is left.
            double last = 1 - 0.5 * half;
            Tensor isLast = x.Gt(last), isFirst = x.Lt(-last);
            var nearest = F.Where(isLast, (half - distance) * scale, F.Where(isFirst, (distance + half) * scale, near));
            Tensor tailNear = LogNormalCdf.ScaledTail(nearest), tailFar = LogNormalCdf.ScaledTail(far), logNear = LogNormalCdf.Of(nearest, tailNear);
            // ln P(Z <= near) - ln P(Z <= far). In the tail most of it is (far^2 - near^2) / 2, which is known without a difference of squares.
            var difference = F.Where(
                near.Lt(0), tailNear - tailFar + away * scale * (scale * (2 * half)), logNear - LogNormalCdf.Of(far, tailFar));
            // ln(1 - e^-d) with the digits of a small d: 1 - e^-d = 2 tanh(d / 2) / (1 + tanh(d / 2)).
            var tanh = (difference.Clamp(LeastDifference, double.MaxValue) * 0.5).Tanh();
            var between = (tanh * 2 / (tanh + 1)).Log();
            return (logNear + F.Where(isLast + isFirst, between * 0, between)).SumPerSample();
        }
    }
}
