using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Vae;

/// <summary>What is expected of a level before anything of x is seen, p(z_l | z_(l+1)).</summary>
/// <param name="level">From the number of levels, the top, down to 1, which is next to the data.</param>
/// <param name="above">z_(l+1), [n, ...]; null at the top.</param>
public delegate DiagonalGaussian LevelPrior(int level, Tensor? above);

/// <summary>What is inferred about a level from x, q(z_l | z_(l+1), x): an encoder makes one of these for each x.</summary>
/// <param name="level">As in <see cref="LevelPrior"/>.</param>
/// <param name="above">z_(l+1), [n, ...]; null at the top.</param>
/// <param name="prior">p(z_l | z_(l+1)), for encoders that start from it.</param>
public delegate DiagonalGaussian LevelPosterior(int level, Tensor? above, DiagonalGaussian prior);

/// <summary>
/// A variational autoencoder with a chain of latents, p(x | z_1) p(z_1 | z_2) ... p(z_L), and an encoder that infers them from the top
/// down, q(z_L | x) q(z_(L-1) | z_L, x) ... q(z_1 | z_2, x). One level is the VAE of Kingma and Welling 2014.
/// </summary>
/// <remarks>
/// <para>
/// Inference from the top down (Sonderby et al. 2016) is chosen since it makes every term of the bound on -ln p(x) a KL divergence of
/// Gaussians in closed form, and the very terms of diffusion: KL(q(z_L | x) || p(z_L)) is L_T, KL(q(z_l | z_(l+1), x) || p(z_l | z_(l+1)))
/// is L_(t-1), and -ln p(x | z_1) is L_0 of Ho et al. 2020, equation 5 (Luo 2022, section 2.3). A diffusion model is the one
/// whose encoder is fixed: <see cref="DiffusionHierarchy"/>.
/// </para>
/// <para>Everything is given as functions; networks that learn them are in <see cref="MlpVae"/>.</para>
/// </remarks>
public sealed class HierarchicalVae
{
    private readonly Func<Tensor, LevelPosterior> _encoder;
    private readonly LevelPrior _prior;
    private readonly Func<Tensor, Tensor, Tensor> _logLikelihood;

    /// <param name="levels">L.</param>
    /// <param name="encoder">From x, [n, ...], which it sees once for all levels.</param>
    /// <param name="logLikelihood">ln p(x | z_1) of x and z_1 for every sample, [n], nats.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no level.</exception>
    public HierarchicalVae(int levels, Func<Tensor, LevelPosterior> encoder, LevelPrior prior, Func<Tensor, Tensor, Tensor> logLikelihood)
    {
        if (levels < 1)
            throw new ArgumentOutOfRangeException(nameof(levels), $"a VAE has at least 1 level of latents, not {levels}");
        (Levels, _encoder, _prior, _logLikelihood) = (levels, encoder, prior, logLikelihood);
    }

    public int Levels { get; }

    /// <summary>The terms of the bound for every sample, with one draw of the latents and with derivatives.</summary>
    /// <param name="x">[n, ...].</param>
    public LevelTerms Terms(Tensor x, NoiseSource noise)
    {
        var posteriors = _encoder(x);
        List<Tensor> divergences = new(Levels), latents = new(Levels);
        Tensor? above = null;
        for (int level = Levels; level >= 1; level--)
        {
            var prior = _prior(level, above);
            var posterior = posteriors(level, above, prior);
            latents.Add(above = posterior.Draw(x.Shape[0], noise));
            divergences.Add(posterior.Divergence(prior));
        }
        return new LevelTerms(divergences, -_logLikelihood(x, latents[^1]), latents);
    }

    /// <summary>The bound on -ln p(x), as diffusion states it: the top level is the prior's term, the others are steps.</summary>
    /// <param name="x">[n, ...].</param>
    /// <exception cref="ArgumentException">There are no samples.</exception>
    /// <exception cref="ArithmeticException">A term is not finite; it says which.</exception>
    public BoundTerms Bound(Tensor x, NoiseSource noise)
    {
        x.ExpectSamples("the bound");
        using var noGrad = new NoGrad();
        using var scope = new MemoryScope();
        return Terms(x, noise).Read();
    }

    /// <summary>
    /// -ln of the mean of p(x, z) / q(z | x) over k draws: a bound on -ln p(x) that falls to it with k (Burda et al. 2016, equation 8).
    /// With k = 1 it is the usual bound, its KL divergences estimated instead of in closed form.
    /// </summary>
    /// <param name="x">[n, ...].</param>
    /// <param name="k">Draws for every sample, which are all in memory at once.</param>
    /// <returns>[n], nats, without derivatives: each level's memory is given back before the next, so there may be many.</returns>
    /// <exception cref="ArgumentException">There are no samples, or k is less than 1.</exception>
    public Tensor ImportanceWeighted(Tensor x, int k, NoiseSource noise)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        x.ExpectSamples("the bound");
        int n = x.Shape[0], size = x.Count / n;
        using var noGrad = new NoGrad();
        using var whole = new MemoryScope();
        var many = x.Reshape(n, 1, size).BroadcastTo([n, k, size]).Reshape(x.Shape.With(0, n * k));
        var posteriors = _encoder(many);
        Tensor? above = null, logWeight = null;
        for (int level = Levels; level >= 1; level--)
        {
            Tensor? before = above, weighted = logWeight;
            using (var scope = new MemoryScope())
            {
                var prior = _prior(level, above);
                var posterior = posteriors(level, above, prior);
                above = scope.Keep(posterior.Draw(n * k, noise));
                var ratio = prior.LogDensity(above) - posterior.LogDensity(above);
                logWeight = scope.Keep(logWeight is null ? ratio : logWeight + ratio);
            }
            before?.Release();
            weighted?.Release();
        }
        return whole.Keep(Math.Log(k) - (logWeight! + _logLikelihood(many, above!)).Reshape(n, k).LogSumExp([1]));
    }

    /// <summary>z_1 of the model itself: ancestral sampling from the top down, as in diffusion. The likelihood's own draw is the caller's.</summary>
    /// <returns>[count, ...].</returns>
    public Tensor Sample(int count, NoiseSource noise)
    {
        Tensor? above = null;
        for (int level = Levels; level >= 1; level--)
            above = _prior(level, above).Draw(count, noise);
        return above!;
    }
}

/// <summary>The bound on -ln p(x) by its terms, for every sample, in nats, with derivatives.</summary>
/// <param name="Divergences">KL(q || p) of each level, [n], the top first: L_T and then L_(t-1).</param>
/// <param name="Reconstruction">-ln p(x | z_1), [n]: L_0.</param>
/// <param name="Latents">What was drawn, the top first.</param>
public sealed record LevelTerms(IReadOnlyList<Tensor> Divergences, Tensor Reconstruction, IReadOnlyList<Tensor> Latents)
{
    /// <summary>
    /// Reconstruction + weight times the divergences, [n]. Weight 1 is the bound; less of it at the beginning of a training keeps levels from
    /// being given up before they are of use (warm-up, Sonderby et al. 2016).
    /// </summary>
    public Tensor Sum(double divergenceWeight = 1)
    {
        var divergence = Divergences[0];
        for (int i = 1; i < Divergences.Count; i++)
            divergence += Divergences[i];
        return Reconstruction + divergence * divergenceWeight;
    }

    /// <summary>The numbers, under diffusion's names.</summary>
    /// <exception cref="ArithmeticException">One is not finite; it says which.</exception>
    public BoundTerms Read()
    {
        var perSample = new double[Reconstruction.Count];
        double[] means = [.. Divergences.Select((divergence, i) => Add(divergence, $"the divergence of level {Divergences.Count - i}"))];
        return new BoundTerms(means[0], means[1..], Add(Reconstruction, "the reconstruction"), perSample);

        double Add(Tensor term, string name)
        {
            // One number for all samples where neither the encoder nor what is above depends on them.
            double[] values = term.BroadcastTo(Reconstruction.Shape).ToDoubleArray();
            for (int i = 0; i < values.Length; i++)
            {
                if (!double.IsFinite(values[i]))
                    throw new ArithmeticException($"{name} for sample {i} is {values[i]}");
                perSample[i] += values[i];
            }
            return values.Average();
        }
    }
}
