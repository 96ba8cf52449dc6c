using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Vae;

/// <summary>What p(x | z_1) is.</summary>
public enum VaeLikelihood
{
    /// <summary>Independent bits of 0 and 1: the network says their logits.</summary>
    Bernoulli,

    /// <summary>The network says the mean; the standard deviation, one for all coordinates, is learned too.</summary>
    Gaussian,
}

/// <summary>
/// A (hierarchical) VAE made of multi-layer perceptrons, for x[n, dimensions]. With no hidden layers everything is linear: probabilistic
/// principal components.
/// </summary>
/// <remarks>
/// <para>
/// The encoder climbs from x and says a mean m_l and a variance s_l of each level. With mu_l(z_(l+1)) for the mean of the prior,
/// q(z_l | z_(l+1), x) = N(m_l(x) + c_l mu_l(z_(l+1)), s_l(x)), where c_l is learned, one number for each latent. At c = 0 what is inferred
/// does not depend on the level above; at c = 1 the encoder says how far the latent is from what was expected, as in NVAE (Vahdat and
/// Kautz 2020).
/// </para>
/// <para>
/// At the start c = 0 and each prior is N(0, I), so the lowest level and the decoder are a VAE of one level, and what those above can do is
/// learn a prior that fits its aggregate posterior, the mean of q(z_1 | x) over the data: N(0, I) does not fit it, and the bound pays for the
/// misfit (Tomczak and Welling 2018). The product of encoder and prior of the ladder VAE (Sonderby et al. 2016) does not begin as a VAE
/// that works: noise of the levels above is in its latents before it means anything.
/// </para>
/// </remarks>
public sealed class MlpVae : Module
{
    // With PyTorch's initial weights a signal shrinks in every layer, and the way through the levels is long. So that it does not, after 1,000
    // steps on binarised digits a VAE of one level was at 110.6 nat instead of 126.9.
    private const double InitialGain = 2.2;

    private readonly int _latentsOfTop;

    /// <param name="latents">Number of latents of each level, from the data up; one number is the VAE of Kingma and Welling 2014.</param>
    /// <param name="width">Of the hidden layers between x and the first level, both ways.</param>
    /// <param name="layers">Hidden layers between x and the first level, and before each of the others; the way back has as many.</param>
    /// <param name="upperWidth">Of the hidden layers between levels; as between x and the first when null.</param>
    /// <exception cref="ArgumentException">There is no level, or a level without latents.</exception>
    public MlpVae(
        Generator generator, int dimensions, IReadOnlyList<int> latents, VaeLikelihood likelihood, int width = 256, int layers = 2,
        int? upperWidth = null, Backend? device = null)
    {
        if (latents.Count == 0 || latents.Any(count => count < 1))
            throw new ArgumentException($"MlpVae: expected latents at every level and at least one level, got [{string.Join(", ", latents)}].");
        Likelihood = likelihood;
        _latentsOfTop = latents[^1];
        int levels = latents.Count;
        (Up, Posteriors) = (new Sequential[levels], new Linear[levels]);
        (Priors, Couplings) = (new Sequential[levels - 1], new Parameter[levels - 1]);
        int seen = dimensions;
        for (int l = 0; l < levels; l++)
        {
            int hidden = l == 0 ? width : upperWidth ?? width;
            Up[l] = new Sequential([.. Hidden(ref seen, hidden)]);
            Posteriors[l] = new Linear(seen, 2 * latents[l], generator, device: device);
            if (l == 0)
                continue;
            Priors[l - 1] = Chain(latents[l], 2 * latents[l - 1], hidden);
            foreach (var parameter in Priors[l - 1].Layers[^1].Parameters())
                parameter.CopyFrom(Tensor.Zeros(parameter.Shape, parameter.Device));
            Couplings[l - 1] = Init.Zeros([latents[l - 1]], device);
        }
        Down = Chain(latents[0], dimensions, width);
        if (likelihood == VaeLikelihood.Gaussian)
            LogVariance = Init.Zeros([1], device);
        Model = new HierarchicalVae(levels, Encode, Prior, LogLikelihood);

        List<Layer> Hidden(ref int features, int width)
        {
            var chain = new List<Layer>();
            for (int i = 0; i < layers; i++, features = width)
            {
                var linear = new Linear(features, width, generator, device: device);
                linear.Weight.CopyFrom(linear.Weight * InitialGain);
                chain.AddRange([linear, new SiLU()]);
            }
            return chain;
        }

        Sequential Chain(int inputs, int outputs, int width)
        {
            var hidden = Hidden(ref inputs, width);
            return new Sequential([.. hidden, new Linear(inputs, outputs, generator, device: device)]);
        }
    }

    public VaeLikelihood Likelihood { get; }

    /// <summary>From x to the first level's features, and from those of each level to the next.</summary>
    public Sequential[] Up { get; }

    /// <summary>Mean and logarithm of the variance of each level, from its features.</summary>
    public Linear[] Posteriors { get; }

    /// <summary>The same that a level expects of the one below.</summary>
    public Sequential[] Priors { get; }

    /// <summary>c_l of the levels below the top, [latents]: how much of the prior's mean is in that of the posterior.</summary>
    public Parameter[] Couplings { get; }

    /// <summary>From z_1 to the logits or the mean of x.</summary>
    public Sequential Down { get; }

    /// <summary>ln of the variance of a Gaussian likelihood, [1]; null for bits.</summary>
    public Parameter? LogVariance { get; }

    /// <summary>The VAE that the networks make.</summary>
    public HierarchicalVae Model { get; }

    /// <summary>The mean of p(x | z_1): probabilities of bits, or points without their noise.</summary>
    /// <param name="z">[n, latents of the first level].</param>
    public Tensor Decode(Tensor z) => Likelihood == VaeLikelihood.Bernoulli ? Down.Forward(z).Sigmoid() : Down.Forward(z);

    /// <summary>Draws x, [count, dimensions]; bits are given by their probabilities, as is usual in pictures.</summary>
    public Tensor Sample(int count, NoiseSource noise)
    {
        using var noGrad = new NoGrad();
        using var scope = new MemoryScope();
        var mean = Decode(Model.Sample(count, noise));
        return scope.Keep(LogVariance is null ? mean : new DiagonalGaussian(mean, LogVariance).Draw(count, noise));
    }

    private LevelPosterior Encode(Tensor x)
    {
        var seen = new DiagonalGaussian[Up.Length];
        var features = x;
        for (int l = 0; l < Up.Length; l++)
        {
            features = Up[l].Forward(features);
            seen[l] = Split(Posteriors[l].Forward(features));
        }
        return (level, above, prior) =>
        {
            var own = seen[level - 1];
            return above is null ? own : own with { Mean = own.Mean + prior.Mean * Couplings[level - 1] };
        };
    }

    private DiagonalGaussian Prior(int level, Tensor? above) => above is null
        ? DiagonalGaussian.Standard([_latentsOfTop], Down.Parameters()[0].Device)
        : Split(Priors[level - 1].Forward(above));

    private Tensor LogLikelihood(Tensor x, Tensor z)
    {
        var said = Down.Forward(z);
        return LogVariance is null
            ? (x * said - F.Softplus(said)).SumPerSample()
            : new DiagonalGaussian(said, LogVariance).LogDensity(x);
    }

    private static DiagonalGaussian Split(Tensor both)
    {
        var parts = both.Chunk(2, axis: 1);
        return new DiagonalGaussian(parts[0], parts[1]);
    }
}
