using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Markov;

namespace RawDiffusion.Tests.Diffusion.Markov;

/// <summary>The reverse chain and its bound where the exact p(x_0 | x_t) is known, against sums over all states.</summary>
public class ExactReverseTests
{
    private static readonly BitMixture s_data = Enumeration.FourBits;

    private static (BinomialChain Chain, Enumeration Exact, StepModel<Bernoulli> Reverse) Setting(int steps)
    {
        var chain = new BinomialChain(MarkovSchedule.EqualShares(steps), Device.Reference);
        return (chain, new Enumeration(s_data, chain), chain.Reverse(s_data.X0Model(chain)));
    }

    [Fact]
    public void Every_bit_of_the_reverse_kernel_has_the_probability_of_the_exact_one()
    {
        var (chain, exact, reverse) = Setting(6);
        double[][] marginals = exact.Marginals();
        float[] bits = exact.States.ToArray();
        for (int t = 1; t <= chain.Steps; t++)
        {
            double[,] truth = exact.ExactReverse(marginals, t);
            double[] up = reverse(exact.States, chain.Step(t)).Up.ToDoubleArray();
            for (int xt = 0; xt < exact.Count; xt++)
            {
                for (int bit = 0; bit < s_data.Length; bit++)
                {
                    double sum = Enumerable.Range(0, exact.Count).Where(s => bits[s * s_data.Length + bit] > 0).Sum(s => truth[xt, s]);
                    Assert.Equal(sum, up[xt * s_data.Length + bit], 1e-12);
                }
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(12)]
    public void The_bound_is_never_below_the_negative_log_likelihood_of_the_model(int steps)
    {
        var (_, exact, reverse) = Setting(steps);
        double[] bound = exact.Bound(reverse), model = exact.Model(reverse);
        Assert.Equal(1, model.Sum(), 1e-12);
        for (int s = 0; s < exact.Count; s++)
            Assert.True(bound[s] >= -Math.Log(model[s]) - 1e-12, $"state {s}: bound {bound[s]}, -ln p {-Math.Log(model[s])}");
    }

    // What is left between bound and entropy is what independent bits cannot say: how those that flip in one step depend on each other.
    [Fact]
    public void The_bound_exceeds_the_entropy_by_the_dependence_of_bits_within_steps()
    {
        var (chain, exact, reverse) = Setting(5);
        double[][] marginals = exact.Marginals();
        double dependence = 0;
        for (int t = 1; t <= chain.Steps; t++)
        {
            double[,] truth = exact.ExactReverse(marginals, t), product = exact.Matrix(reverse(exact.States, chain.Step(t)));
            for (int xt = 0; xt < exact.Count; xt++)
            {
                for (int s = 0; s < exact.Count; s++)
                    dependence += truth[xt, s] > 0 ? marginals[t][xt] * truth[xt, s] * Math.Log(truth[xt, s] / product[xt, s]) : 0;
            }
        }
        double bound = exact.Bound(reverse).Zip(s_data.Probabilities, (b, p) => b * p).Sum();
        Assert.Equal(s_data.Entropy + dependence, bound, 1e-11);
        Assert.True(dependence > 0.01, $"{dependence}");
    }

    [Fact]
    public void With_small_steps_the_bound_comes_near_the_entropy()
    {
        double[] gaps = [.. new[] { 1, 4, 16, 64 }.Select(steps =>
        {
            var (_, exact, reverse) = Setting(steps);
            return exact.Bound(reverse).Zip(s_data.Probabilities, (b, p) => b * p).Sum() - s_data.Entropy;
        })];
        for (int i = 1; i < gaps.Length; i++)
            Assert.InRange(gaps[i], 0, gaps[i - 1]);
        // One step draws all bits independently. Later two bits must flip in the same step, of which each has a chance like 1/T: T pairs
        // of 1/T^2.
        Assert.InRange(gaps[^1] / gaps[^2], 1 / 4.6, 1 / 3.4);
        Assert.InRange(gaps[^1], 0, 0.01 * s_data.Entropy);
    }

    [Fact]
    public void Drawn_terms_agree_with_those_summed_over_all_states()
    {
        var (chain, exact, reverse) = Setting(8);
        double[] bound = exact.Bound(reverse);
        const int Repeats = 400;
        for (int s = 0; s < exact.Count; s += 5)
        {
            var terms = MarkovBound.Evaluate(chain, reverse, exact.States.Slice(0, s, 1).BroadcastTo([Repeats, s_data.Length]), new Generator(4));
            Assert.Equal(chain.Steps - 1, terms.Steps.Count);
            Assert.Equal(terms.Total, terms.PerSample.Average(), 1e-10);
            Assert.InRange(Math.Abs(terms.Total - bound[s]), 0, 4 * terms.StandardError);
        }
    }

    [Fact]
    public void The_loss_of_training_is_the_bound_in_expectation()
    {
        var (chain, exact, reverse) = Setting(8);
        double expected = exact.Bound(reverse).Zip(s_data.Probabilities, (b, p) => b * p).Sum() / s_data.Length;
        var generator = new Generator(5);
        double[] losses = [.. Enumerable.Range(0, 30).Select(_ =>
        {
            var batch = new MarkovBatch<Bernoulli>(chain, reverse, s_data.Sample(200, generator), generator);
            return batch.Loss(batch.Draw(batch.Inputs)).Item();
        })];
        double mean = losses.Average(), error = Math.Sqrt(losses.Sum(l => (l - mean) * (l - mean)) / 29 / 30);
        // Nothing is left of the data after the last step, so L_T is 0.
        Assert.InRange(Math.Abs(mean - expected), 0, 4 * error);
    }

    [Fact]
    public void The_exact_reverse_chain_makes_the_distribution_that_its_matrices_say()
    {
        var (chain, exact, reverse) = Setting(10);
        const int Samples = 20_000;
        var (counts, others) = s_data.Count(chain.Sample(reverse, [Samples, s_data.Length], new Generator(6)));
        double[] model = exact.Model(reverse);
        Assert.Equal(0, others);
        double chiSquared = counts.Zip(model, (count, p) => (count - Samples * p) * (count - Samples * p) / (Samples * p)).Sum();
        // 15 degrees of freedom: beyond 15 + 5 sqrt(30) once in 200,000 times.
        Assert.InRange(chiSquared, 0, 15 + 5 * Math.Sqrt(30));
    }

    [Fact]
    public void Many_small_steps_recover_the_data()
    {
        var (chain, exact, reverse) = Setting(100);
        double variation = 0.5 * exact.Model(reverse).Zip(s_data.Probabilities, (m, p) => Math.Abs(m - p)).Sum();
        double gap = exact.Bound(reverse).Zip(s_data.Probabilities, (b, p) => b * p).Sum() - s_data.Entropy;
        // Pinsker: KL(data || model) is at most the gap of the bound.
        Assert.InRange(variation, 0, Math.Sqrt(gap / 2));
        Assert.InRange(variation, 0, 0.02);
    }

    // The forward kernel with ln q(flipped) - ln q added to its log-odds is the reverse kernel up to beta^2, two flips at once.
    [Fact]
    public void Ratios_of_probabilities_are_what_a_model_of_flips_learns()
    {
        double[] errors = [.. new[] { 20, 80 }.Select(steps =>
        {
            var (chain, exact, reverse) = Setting(steps);
            int t = steps / 2;
            double kept = chain.Schedule.Kept(t);
            Tensor Ratio(Tensor x, Tensor time)
            {
                var ratios = new Tensor[s_data.Length];
                for (int bit = 0; bit < ratios.Length; bit++)
                {
                    var sign = Tensor.From([.. Enumerable.Range(0, ratios.Length).Select(i => i == bit ? -1.0 : 1)], [1, ratios.Length], Device.Reference);
                    ratios[bit] = s_data.LogProbability(x * sign, kept) - s_data.LogProbability(x, kept);
                }
                return Tensor.Stack(ratios, 1);
            }
            Tensor learned = chain.FlipModel(Ratio)(exact.States, chain.Step(t)).Up, truth = reverse(exact.States, chain.Step(t)).Up;
            return (learned - truth).Abs().Max().Item();
        })];
        Assert.InRange(errors[0] / errors[1], 16 / 1.5, 16 * 1.5);
    }

    // H_q(X_1 | X_0) of n bits that are tossed anew with probability beta_1.
    [Fact]
    public void The_papers_entropies_give_the_bound_with_its_last_step()
    {
        var (chain, exact, reverse) = Setting(8);
        var x0 = s_data.Sample(50, new Generator(7));
        var terms = MarkovBound.Evaluate(chain, reverse, x0, new Generator(8), LastStep.AsForward);
        var entropies = MarkovBound.Entropies(chain, x0, terms);
        Assert.Equal(terms.Total, -entropies.K, 1e-10);
        double flip = chain.Schedule.Beta(1) / 2, ofFirst = -s_data.Length * (flip * Math.Log(flip) + (1 - flip) * Math.Log(1 - flip));
        Assert.Equal(ofFirst, entropies.Start, 1e-12);
        Assert.Equal(ofFirst, terms.Reconstruction, 1e-12);
        Assert.Equal(s_data.Length * Math.Log(2), entropies.Prior, 1e-12);
        Assert.Equal(s_data.Length * Math.Log(2), entropies.End, 1e-12);
        // The same states, so the difference is that of the last step alone: a learned one does better.
        BoundTerms learned = MarkovBound.Evaluate(chain, reverse, x0, new Generator(8));
        Assert.True(learned.Reconstruction < terms.Reconstruction);
    }

    [Fact]
    public void Gradients_stay_numbers_where_a_network_is_certain()
    {
        var chain = new BinomialChain(MarkovSchedule.EqualShares(4), Device.Cpu);
        foreach (double certainty in new[] { -500.0, 500 })
        {
            var logOdds = Tensor.Full([8, 4], certainty, Device.Cpu).RequireGrad();
            var x0 = Enumeration.FourBits.Sample(8, new Generator(9)).To(Device.Cpu);
            var batch = new MarkovBatch<Bernoulli>(chain, chain.Reverse(chain.X0Model((_, _) => logOdds)), x0, new Generator(9));
            var loss = batch.Loss(batch.Draw(batch.Inputs));
            loss.Backward();
            Assert.True(double.IsFinite(loss.Item()), $"{loss.Item()}");
            Assert.All(logOdds.Grad!.ToArray(), g => Assert.True(float.IsFinite(g)));
        }
    }
}
