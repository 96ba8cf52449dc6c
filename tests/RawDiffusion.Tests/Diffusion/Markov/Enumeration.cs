using RawDiffusion.Diffusion.Markov;

namespace RawDiffusion.Tests.Diffusion.Markov;

/// <summary>A bit-flip diffusion of few bits as matrices over all 2^n states, in float64: rows are where a step starts, columns where it ends.</summary>
internal sealed class Enumeration(BitMixture data, BinomialChain chain)
{
    /// <summary>All states, [2^n, n].</summary>
    public Tensor States => data.Strings;

    public int Count => data.Strings.Shape[0];

    /// <summary>A distribution of four bits in which they depend on each other, without symmetries.</summary>
    public static BitMixture FourBits { get; } = BitMixture.OfAll([.. Enumerable.Range(0, 16).Select(s => Math.Exp(1.5 * Math.Sin(7 * s + 1)))], Device.Reference);

    /// <summary>The probabilities of all states by a kernel that starts from each.</summary>
    public double[,] Matrix(Bernoulli kernel)
    {
        var matrix = new double[Count, Count];
        for (int to = 0; to < Count; to++)
        {
            double[] logs = kernel.LogProbability(States.Slice(0, to, 1).BroadcastTo(States.Shape)).ToDoubleArray();
            for (int from = 0; from < Count; from++)
                matrix[from, to] = Math.Exp(logs[from]);
        }
        return matrix;
    }

    public double[,] Forward(int t) => Matrix(chain.Forward(States, chain.Step(t)));

    /// <summary>q(x_t), by one step after the other.</summary>
    public double[][] Marginals()
    {
        var marginals = new double[chain.Steps + 1][];
        marginals[0] = [.. data.Probabilities];
        for (int t = 1; t <= chain.Steps; t++)
            marginals[t] = Times(marginals[t - 1], Forward(t));
        return marginals;
    }

    /// <summary>The exact q(x_(t-1) | x_t), rows x_t, by Bayes' rule over all states.</summary>
    public double[,] ExactReverse(double[][] marginals, int t)
    {
        double[,] forward = Forward(t), reverse = new double[Count, Count];
        for (int from = 0; from < Count; from++)
        {
            for (int to = 0; to < Count; to++)
                reverse[from, to] = forward[to, from] * marginals[t - 1][to] / marginals[t][from];
        }
        return reverse;
    }

    /// <summary>What the reverse chain makes in the end: p(x_0) of every state.</summary>
    public double[] Model(StepModel<Bernoulli> reverse)
    {
        double[] p = [.. Enumerable.Repeat(1.0 / Count, Count)];
        for (int t = chain.Steps; t >= 1; t--)
            p = Times(p, Matrix(reverse(States, chain.Step(t))));
        return p;
    }

    /// <summary>The bound of every x_0, its expectations summed over all x_t.</summary>
    public double[] Bound(StepModel<Bernoulli> reverse)
    {
        var bound = new double[Count];
        for (int t = chain.Steps; t >= 1; t--)
        {
            var step = chain.Step(t);
            double[,] marginal = Matrix(chain.Marginal(States, step));
            var kernel = reverse(States, step);
            for (int s = 0; s < Count; s++)
            {
                double[] terms = chain.Term(States.Slice(0, s, 1).BroadcastTo(States.Shape), States, step, kernel).ToDoubleArray();
                for (int xt = 0; xt < Count; xt++)
                    bound[s] += marginal[s, xt] * terms[xt];
            }
        }
        double[] prior = Bernoulli.Divergence(chain.Marginal(States, chain.Step(chain.Steps)), chain.Stationary(States.Shape)).ToDoubleArray();
        return [.. bound.Zip(prior, (b, p) => b + p)];
    }

    private static double[] Times(double[] row, double[,] matrix)
    {
        var result = new double[row.Length];
        for (int from = 0; from < row.Length; from++)
        {
            for (int to = 0; to < row.Length; to++)
                result[to] += row[from] * matrix[from, to];
        }
        return result;
    }
}
