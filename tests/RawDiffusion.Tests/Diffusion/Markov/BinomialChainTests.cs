using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Markov;
using RawDiffusion.Tests.Kernels;

namespace RawDiffusion.Tests.Diffusion.Markov;

/// <summary>The bit-flip kernel against its definition, by enumeration of all states.</summary>
public class BinomialChainTests
{
    private static readonly BitMixture s_data = Enumeration.FourBits;

    public static TheoryData<MarkovSchedule> Schedules =>
        [MarkovSchedule.EqualShares(7), MarkovSchedule.Constant(5, 0.3), new MarkovSchedule([0.001, 0.5, 1, 0.2])];

    private static BinomialChain Chain(MarkovSchedule schedule) => new(schedule, Device.Reference);

    [Fact]
    public void Equal_shares_erase_the_same_of_the_data_in_every_step_and_leave_nothing()
    {
        var schedule = MarkovSchedule.EqualShares(20);
        for (int t = 0; t <= 20; t++)
            Assert.Equal((20 - t) / 20.0, schedule.Kept(t), 1e-14);
        Assert.Equal(1.0 / 15, schedule.Beta(6), 1e-15);
    }

    // The kernel of the paper: B(x_t; x_(t-1) (1 - beta_t) + 0.5 beta_t) for bits of 0 and 1.
    [Fact]
    public void A_step_tosses_a_bit_anew_with_probability_beta()
    {
        var chain = Chain(MarkovSchedule.Constant(3, 0.3));
        double[] up = chain.Forward(Tensor.From([1.0, -1], [2, 1], Device.Reference), chain.Step(2)).Up.ToDoubleArray();
        Assert.Equal(1 * 0.7 + 0.5 * 0.3, up[0], 1e-15);
        Assert.Equal(0 * 0.7 + 0.5 * 0.3, up[1], 1e-15);
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Steps_one_after_the_other_give_the_marginal(MarkovSchedule schedule)
    {
        var chain = Chain(schedule);
        var exact = new Enumeration(s_data, chain);
        double[][] marginals = exact.Marginals();
        for (int t = 1; t <= chain.Steps; t++)
        {
            double[,] closed = exact.Matrix(chain.Marginal(exact.States, chain.Step(t)));
            double[] logs = s_data.LogProbability(exact.States, schedule.Kept(t)).ToDoubleArray();
            for (int to = 0; to < exact.Count; to++)
            {
                double sum = 0;
                for (int from = 0; from < exact.Count; from++)
                    sum += s_data.Probabilities[from] * closed[from, to];
                Assert.Equal(marginals[t][to], sum, 1e-13);
                Assert.Equal(marginals[t][to], Math.Exp(logs[to]), 1e-13);
            }
        }
    }

    // q(x_(t-1) | x_t, x_0) q(x_t | x_0) = q(x_t | x_(t-1)) q(x_(t-1) | x_0) for all three states.
    [Theory]
    [MemberData(nameof(Schedules))]
    public void The_posterior_is_that_of_Bayes(MarkovSchedule schedule)
    {
        var chain = Chain(schedule);
        var exact = new Enumeration(s_data, chain);
        for (int t = 1; t <= chain.Steps; t++)
        {
            double[,] forward = exact.Forward(t), late = exact.Matrix(chain.Marginal(exact.States, chain.Step(t)));
            double[,] early = exact.Matrix(chain.Marginal(exact.States, chain.Step(t - 1)));
            for (int start = 0; start < exact.Count; start++)
            {
                var x0 = exact.States.Slice(0, start, 1).BroadcastTo(exact.States.Shape);
                double[,] posterior = exact.Matrix(chain.Posterior(exact.States, chain.Known(x0), chain.Step(t)));
                for (int xt = 0; xt < exact.Count; xt++)
                {
                    for (int before = 0; before < exact.Count; before++)
                        Assert.Equal(forward[before, xt] * early[start, before], posterior[xt, before] * late[start, xt], 1e-12);
                }
            }
        }
    }

    [Fact]
    public void Fair_coins_stay_fair_coins_and_are_in_detailed_balance()
    {
        var chain = Chain(MarkovSchedule.Constant(2, 0.4));
        var exact = new Enumeration(s_data, chain);
        double[,] forward = exact.Forward(1);
        for (int a = 0; a < exact.Count; a++)
        {
            for (int b = 0; b < exact.Count; b++)
                Assert.Equal(forward[a, b], forward[b, a], 1e-15);
        }
        Assert.All(chain.Stationary([2, 3]).Up.ToDoubleArray(), p => Assert.Equal(0.5, p));
    }

    [Fact]
    public void A_network_that_says_nothing_reverses_the_stationary_chain()
    {
        var chain = Chain(MarkovSchedule.EqualShares(9));
        var x = Enumeration.FourBits.Strings;
        foreach (int t in new[] { 1, 4, 9 })
        {
            double[] forward = chain.Forward(x, chain.Step(t)).Up.ToDoubleArray();
            Assert.Equal(forward, chain.FlipModel((x, _) => x * 0)(x, chain.Step(t)).Up.ToDoubleArray(), Close);
            Assert.Equal(forward, chain.Reverse(chain.X0Model((x, _) => x * 0))(x, chain.Step(t)).Up.ToDoubleArray(), Close);
        }
    }

    [Fact]
    public void Steps_may_differ_within_a_batch()
    {
        var chain = Chain(MarkovSchedule.EqualShares(5));
        var x = s_data.Sample(3, new Generator(1));
        int[] steps = [1, 3, 5];
        double[] together = chain.Posterior(x, Bernoulli.OfLogOdds(x * 0.5), Tensor.From(steps, [3], Device.Reference)).Up.ToDoubleArray();
        for (int i = 0; i < steps.Length; i++)
        {
            var one = x.Slice(0, i, 1);
            double[] alone = chain.Posterior(one, Bernoulli.OfLogOdds(one * 0.5), chain.Step(steps[i])).Up.ToDoubleArray();
            Assert.Equal(alone, together[(4 * i)..(4 * i + 4)]);
        }
    }

    [Fact]
    public void Every_step_is_drawn_equally_often()
    {
        var chain = Chain(MarkovSchedule.EqualShares(4));
        int[] drawn = chain.DrawSteps(400, new Generator(2)).ToInt32Array();
        Assert.All(Enumerable.Range(1, 4), t => Assert.Equal(100, drawn.Count(step => step == t)));
    }

    // Float32 rounds a probability by 6e-8; all 20,000 bits fall on the same side of it.
    [Fact]
    public void A_chain_draws_the_same_bits_in_float32_and_in_float64()
    {
        var heartbeat = BitMixture.Heartbeat();
        var single = new BinomialChain(MarkovSchedule.EqualShares(50), Device.Cpu);
        var exact = Chain(MarkovSchedule.EqualShares(50));
        var precise = BitMixture.Heartbeat(device: Device.Reference);
        float[] a = single.Sample(single.Reverse(heartbeat.X0Model(single)), [20, 20], new Generator(3)).ToArray();
        float[] b = exact.Sample(exact.Reverse(precise.X0Model(exact)), [20, 20], new Generator(3)).ToArray();
        Assert.Equal(b, a);
    }

    // Kernels that nothing but an emulator has run say the same: bits, and a loss and its gradient up to float32's rounding.
    [SkippableFact]
    public void An_emulated_GPU_flips_and_learns_the_same_bits()
    {
        TestNvrtc.Require();
        var results = new List<(float[] Bits, double Loss, float[] Gradient)>();
        foreach (var device in new Backend[] { Device.Cpu, Emulated.Plain.Device })
        {
            using var scope = new MemoryScope();
            var chain = new BinomialChain(MarkovSchedule.EqualShares(4), device);
            var data = BitMixture.Heartbeat(6, 3, device);
            var weight = Tensor.Full([1, 6], 0.3, device).RequireGrad();
            var batch = new MarkovBatch<Bernoulli>(chain, chain.Reverse(chain.X0Model((x, _) => x * weight)), data.Sample(8, new Generator(5)), new Generator(6));
            var loss = batch.Loss(batch.Draw(batch.Inputs));
            loss.Backward();
            results.Add((chain.Sample(chain.Reverse(data.X0Model(chain)), [4, 6], new Generator(7)).ToArray(), loss.Item(), weight.Grad!.ToArray()));
        }
        Assert.Equal(results[0].Bits, results[1].Bits);
        Assert.Equal(results[0].Loss, results[1].Loss, 1e-5);
        for (int i = 0; i < 6; i++)
            Assert.Equal(results[0].Gradient[i], results[1].Gradient[i], 1e-5);
    }

    [Fact]
    public void Images_become_black_and_white_as_they_were_numbered()
    {
        var digits = new DigitData(colored: false);
        var data = new BinarisedData(digits);
        float[] grey = digits.Draw(5, 3, 2).X.ToArray(), bits = data.Draw(5, 3, 2).X.ToArray();
        Assert.Equal(grey.Select(pixel => pixel > 0 ? 1f : -1f), bits);
        Assert.NotEqual(data.Draw(0, 1, 0).X.ToArray(), data.HeldOut.Draw(0, 1, 0).X.ToArray());
        Assert.Equal("binarised-digits", data.Name);
        Assert.Equal(digits.SampleShape, data.SampleShape);
    }

    [Fact]
    public void Wrong_input_is_named()
    {
        Assert.Contains("not 0", Assert.Throws<ArgumentException>(() => MarkovSchedule.EqualShares(0)).Message);
        Assert.Contains("beta_2 must be in (0, 1], not 1.5", Assert.Throws<ArgumentException>(() => new MarkovSchedule([0.1, 1.5])).Message);
        Assert.Contains("not 0", Assert.Throws<ArgumentException>(() => MarkovSchedule.Constant(3, 0)).Message);
        Assert.Contains("NaN", Assert.Throws<ArgumentException>(() => MarkovSchedule.Constant(3, double.NaN)).Message);
        var chain = Chain(MarkovSchedule.EqualShares(5));
        Assert.Contains("no step 6", Assert.Throws<ArgumentOutOfRangeException>(() => chain.Step(6)).Message);
        var half = Tensor.From([1, 0.5, -1, 1], [1, 4], Device.Reference);
        var reverse = chain.Reverse(s_data.X0Model(chain));
        Assert.Contains("element 1", Assert.Throws<ArgumentException>(() => MarkovBound.Evaluate(chain, reverse, half, new Generator(1))).Message);
        var batch = new MarkovBatch<Bernoulli>(chain, reverse, half, new Generator(1));
        Assert.Contains("0.5", Assert.Throws<ArgumentException>(() => batch.Draw(batch.Inputs)).Message);
        var five = Tensor.Ones([2, 5], Device.Reference);
        Assert.Contains("[2, 5]", Assert.Throws<ArgumentException>(() => reverse(five, chain.Step(1))).Message);
        Assert.Contains("[2, 4]", Assert.Throws<InvalidOperationException>(() => chain.X0Model((x, _) => x.Slice(1, 0, 4))(five, chain.Step(1))).Message);
        Assert.Contains("[2, 4]", Assert.Throws<ArgumentException>(() => chain.Posterior(five, Bernoulli.Uniform([2, 4], Device.Reference), chain.Step(1))).Message);
        Assert.Contains("not 21", Assert.Throws<ArgumentException>(() => BitMixture.Heartbeat(20, 21)).Message);
        Assert.Contains("3 probabilities", Assert.Throws<ArgumentException>(() => BitMixture.OfAll([1, 2, 3])).Message);
        Assert.Contains("beta_1 of 1E-17", Assert.Throws<ArgumentException>(() => new MarkovSchedule([1e-17])).Message);
        Assert.Contains("'0'", Assert.Throws<ArgumentOutOfRangeException>(() => chain.DrawSteps(0, new Generator(1))).Message);
        Assert.Contains("[0, 4]", Assert.Throws<ArgumentException>(() => MarkovBound.Evaluate(chain, reverse, Tensor.Zeros([0, 4], Device.Reference), new Generator(1))).Message);
        Assert.Contains("string 2", Assert.Throws<ArgumentException>(() => new BitMixture(Tensor.From([1.0, -1, 1, 1, 1, -1], [3, 2], Device.Reference), [1, 1, 1])).Message);
        Assert.Contains("not 1", Assert.Throws<ArgumentOutOfRangeException>(() => s_data.LogProbability(half, 1)).Message);
        Assert.Contains("string 1 is -1", Assert.Throws<ArgumentException>(() => BitMixture.OfAll([1, -1])).Message);
    }

    private static bool Close(double a, double b) => Math.Abs(a - b) < 1e-14;
}
