using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Markov;

/// <summary>What stands for p(x_0 | x_1) at the end of the reverse chain.</summary>
public enum LastStep
{
    /// <summary>The model's own.</summary>
    Learned,

    /// <summary>
    /// The forward kernel, turned round by detailed balance: p(x_0 | x_1) = q(x_1 | x_0) pi(x_0) / pi(x_1) (Sohl-Dickstein et al. 2015, appendix
    /// B.2). The bound then has no edge where densities could grow without end; it pays for it with the noise of the first step.
    /// </summary>
    AsForward,
}

/// <summary>The bound in the form of Sohl-Dickstein et al. 2015, equation 14, in nats, means over samples.</summary>
/// <param name="Divergences">The sum over steps 2 to T of KL(q(x_(t-1) | x_t, x_0) || p(x_(t-1) | x_t)).</param>
/// <param name="End">H_q(X_T | X_0).</param>
/// <param name="Start">H_q(X_1 | X_0).</param>
/// <param name="Prior">H_p(X_T).</param>
public sealed record EntropyTerms(double Divergences, double End, double Start, double Prior)
{
    /// <summary>K, which the log-likelihood is at least.</summary>
    public double K => -Divergences + End - Start - Prior;
}

/// <summary>
/// The variational bound of any Markov chain, -ln p(x_0) &lt;= L_T + sum L_(t-1) + L_0, with every divergence in closed form given x_0 and x_t.
/// For a Gaussian chain it is <see cref="VariationalBound"/>.
/// </summary>
public static class MarkovBound
{
    /// <summary>All terms, each with a fresh state.</summary>
    /// <param name="reverse">p(x_(t-1) | x_t).</param>
    /// <param name="x0">Data, [n, ...].</param>
    /// <exception cref="ArgumentException">The data cannot be states of the chain, or there are none.</exception>
    /// <exception cref="NotFiniteException">A term is not finite; its time is the number t of the step.</exception>
    public static BoundTerms Evaluate<TDistribution>(
        MarkovChain<TDistribution> chain, StepModel<TDistribution> reverse, Tensor x0, Generator generator, LastStep last = LastStep.Learned)
        where TDistribution : IFactorised<TDistribution>
    {
        x0.ExpectSamples("the bound");
        chain.Check(x0);
        using var noGrad = new NoGrad();
        var stationary = chain.Stationary(x0.Shape);
        var perSample = new double[x0.Shape[0]];
        double prior = Add(TDistribution.Divergence(chain.Marginal(x0, chain.Step(chain.Steps)), stationary), chain.Steps);
        var steps = new List<double>();
        for (int t = chain.Steps; t >= 2; t--)
        {
            using var scope = new MemoryScope();
            steps.Add(Add(Term(t), t));
        }
        using var lastScope = new MemoryScope();
        // E[-ln q(x_1 | x_0) - ln pi(x_0) + ln pi(x_1)]: the entropies of q(x_1 | x_0) cancel.
        double reconstruction = Add(
            last == LastStep.Learned ? Term(1) : -stationary.LogProbability(x0) - TDistribution.Divergence(chain.Marginal(x0, chain.Step(1)), stationary),
            1);
        return new BoundTerms(prior, steps, reconstruction, perSample);

        double Add(Tensor values, int t) => VariationalBound.Add(values, perSample, chain.Steps - t, t);

        Tensor Term(int step)
        {
            var t = chain.Step(step);
            var xt = chain.Marginal(x0, t).Sample(generator);
            return chain.Term(x0, xt, t, reverse(xt, t));
        }
    }

    /// <summary>
    /// The terms as the paper has them. -K is the bound of <see cref="LastStep.AsForward"/> where the cross-entropies of q(x_t) to the stationary
    /// distribution are its entropy: always for bits, and for real numbers where the data have mean square 1, as the paper asks of them.
    /// </summary>
    /// <param name="terms">From <see cref="Evaluate"/> of the same data; its steps are taken.</param>
    public static EntropyTerms Entropies<TDistribution>(MarkovChain<TDistribution> chain, Tensor x0, BoundTerms terms)
        where TDistribution : IFactorised<TDistribution>
    {
        using var noGrad = new NoGrad();
        using var scope = new MemoryScope();
        return new EntropyTerms(
            terms.Steps.Sum(), Mean(chain.Marginal(x0, chain.Step(chain.Steps))), Mean(chain.Marginal(x0, chain.Step(1))), Mean(chain.Stationary(x0.Shape)));

        static double Mean(TDistribution distribution) => distribution.Entropy().ToDoubleArray().Average();
    }
}
