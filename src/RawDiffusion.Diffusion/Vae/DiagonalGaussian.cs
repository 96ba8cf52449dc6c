using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Vae;

/// <summary>
/// A Gaussian with independent coordinates for every sample: what encoders and decoders say of a latent variable. Networks may say any
/// number, so it is given by the logarithm of its variance; <see cref="Markov.Normal"/>, of kernels that may be certain, by the variance itself.
/// </summary>
/// <param name="Mean">[n, ...], or [1, ...] where it is the same for all samples.</param>
/// <param name="LogVariance">Of a shape that broadcasts to that of the mean.</param>
public readonly record struct DiagonalGaussian(Tensor Mean, Tensor LogVariance)
{
    /// <summary>N(0, I) for latents of a shape, without the axis of samples.</summary>
    public static DiagonalGaussian Standard(Shape sample, Backends.Backend device) =>
        new(Tensor.Zeros(sample.Prepend(1), device), Tensor.Zeros(sample.Prepend(1), device));

    /// <summary>Mean + standard deviation times noise, so that derivatives reach both (Kingma and Welling 2014, section 2.4).</summary>
    /// <returns>[count, ...].</returns>
    public Tensor Draw(int count, NoiseSource noise)
    {
        var mean = Mean.Shape[0] == count ? Mean : Mean.BroadcastTo(Mean.Shape.With(0, count));
        return mean + (LogVariance * 0.5).Exp() * noise.Next(mean);
    }

    /// <summary>ln N(z) for every sample, [n], nats.</summary>
    public Tensor LogDensity(Tensor z) => Decoder.Gaussian.LogLikelihood(z, Mean, LogVariance);

    /// <summary>KL(this || other) for every sample, [n], nats, in closed form (Kingma and Welling 2014, appendix B).</summary>
    public Tensor Divergence(in DiagonalGaussian other) =>
        VariationalBound.Divergence((Mean - other.Mean).Square(), LogVariance, other.LogVariance).SumPerSample();

    /// <summary>
    /// The Gaussian in proportion to the product of both densities: precisions add, means are weighted with them. It is how the ladder VAE
    /// joins what it saw in x with what it expects (Sonderby et al. 2016), and how Bayes' rule joins q(x_t | x_s) with
    /// q(x_s | x_0) to diffusion's posterior.
    /// </summary>
    public DiagonalGaussian Times(in DiagonalGaussian other)
    {
        Tensor precision = (-LogVariance).Exp(), others = (-other.LogVariance).Exp(), both = precision + others;
        return new DiagonalGaussian((Mean * precision + other.Mean * others) / both, -both.Log());
    }
}
