using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using static RawDiffusion.Tests.Diffusion.Samplers.ExactGuidance;

namespace RawDiffusion.Tests.Diffusion.Samplers;

/// <summary>Classifier-free guidance with denoisers that are known exactly, told the mode of eight Gaussians, a set of modes, or nothing.</summary>
public class ClassifierFreeGuidanceTests
{
    // What two attributes say of the mode: which half of the circle, and where in it.
    private static readonly int[] s_half = [0, 1, 2, 3], s_place = [1, 5];
    private const int Mode = 1;

    /// <summary>
    /// (1 + w) eps(c) - w eps with scale = 1 + w: the score of p(x) p(c | x)^scale, which rises towards c. With the wrong sign, (1 - w) eps(c) +
    /// w eps, it would be that of p(x) p(c | x)^(2 - scale), which falls: a thousand times the tolerance away even where all is nearly noise.
    /// </summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void The_score_is_that_of_the_density_times_a_power_of_the_probability(double scale)
    {
        foreach (double t in Times)
        {
            var x = Noised(t);
            Tensor Exact(double power) => Gradient(p => (1 - power) * LogJoint(p, t, 0, 1, 2, 3, 4, 5, 6, 7) + power * LogJoint(p, t, Mode), x);
            var guided = Guidance.ClassifierFree(Of(Mode), Unconditional, scale).Score(x, t);
            Assert.InRange(Distance(Exact(scale), guided), 0, 1e-6);
            if (scale != 1)
                Assert.True(Distance(Exact(2 - scale), guided) > 1e-3);
        }
    }

    [Fact]
    public void Holds_for_whatever_the_networks_predict()
    {
        const double T = 0.4;
        var x = Noised(T);
        var expected = Guidance.ClassifierFree(Of(Mode), Unconditional, 2.5).Epsilon(x, T);
        foreach (var kind in Enum.GetValues<Parameterisation>())
        {
            Denoiser As(Denoiser of) => Denoiser.FromFunction(
                (state, t) => of.Answer(kind == Parameterisation.Preconditioned ? state * (Process.Alpha(t) / of.InputScale(t)) : state, t, kind), Process, kind);
            Assert.InRange(Distance(expected, Guidance.ClassifierFree(As(Of(Mode)), As(Unconditional), 2.5).Epsilon(x, T)), 0, 1e-10);
        }
    }

    [Fact]
    public void Counts_every_network_that_is_asked_and_asks_none_in_vain()
    {
        var x = Noised(0.4);
        int Asked(double scale, GuidanceInterval? interval = null)
        {
            var guided = Guidance.ClassifierFree(Of(Mode), Unconditional, scale, interval);
            guided.Epsilon(x, 0.4);
            return guided.Evaluations;
        }

        Assert.Equal(2, Asked(3));
        Assert.Equal(1, Asked(1));
        Assert.Equal(1, Asked(0));
        Assert.Equal(1, Asked(3, new GuidanceInterval(Process.NoiseToSignal(0.5), 100)));
        // At both scales the answer is that of the one that is left.
        Assert.Equal(Of(Mode).Epsilon(x, 0.4).ToDoubleArray(), Guidance.ClassifierFree(Of(Mode), Unconditional, 1).Epsilon(x, 0.4).ToDoubleArray());
        Assert.Equal(Unconditional.Epsilon(x, 0.4).ToDoubleArray(), Guidance.ClassifierFree(Of(Mode), Unconditional, 0).Epsilon(x, 0.4).ToDoubleArray());
    }

    /// <summary>Guidance of guidance: the one that is told nothing stands beside and within the other, and is asked twice.</summary>
    [Fact]
    public void Counts_a_network_once_for_each_time_that_it_is_asked()
    {
        Denoiser unconditional = Unconditional, told = Of(Mode), inner = Guidance.ClassifierFree(told, unconditional, 3);
        var outer = Guidance.ClassifierFree(inner, unconditional, 2);
        outer.Epsilon(Noised(0.4), 0.4);
        Assert.Equal(2, unconditional.Evaluations);
        Assert.Equal(1, told.Evaluations);
        Assert.Equal(3, outer.Evaluations);
        // What is asked behind its back is not its own.
        inner.Epsilon(Noised(0.4), 0.4);
        Assert.Equal(3, outer.Evaluations);
        Assert.Equal(4, inner.Evaluations);
    }

    [Fact]
    public void Is_limited_to_an_interval_of_noise()
    {
        double[] times = TimeGrid.Uniform(Process, 20);
        var interval = new GuidanceInterval(0.3, 3);
        var guided = Guidance.ClassifierFree(Of(Mode), Unconditional, 3, interval);
        Sampler.Ddim(guided, Tensor.Randn(new Generator(1), [4, 2], Device.Reference), times, new Generator(1));
        int within = times[..^1].Count(t => Process.NoiseToSignal(t) is > 0.3 and <= 3);
        Assert.InRange(within, 1, 18);
        Assert.Equal(20 + within, guided.Evaluations);

        double high = Process.TimeOf(10);
        var x = Noised(high);
        Assert.Equal(Of(Mode).Epsilon(x, high).ToDoubleArray(), guided.Epsilon(x, high).ToDoubleArray());
    }

    /// <summary>Lin et al. 2023, equations 14 to 16, for images of four pixels.</summary>
    [Fact]
    public void Rescaling_brings_back_the_spread_of_each_sample()
    {
        Tensor c = Tensor.Randn(new Generator(1), [3, 2, 2, 1], Device.Reference), u = Tensor.Randn(new Generator(2), [3, 2, 2, 1], Device.Reference);
        Denoiser Saying(Tensor what) => Denoiser.FromFunction((_, _) => what, Process, Parameterisation.Velocity);
        Tensor Guided(double rescale) => Guidance.ClassifierFree(Saying(c), Saying(u), 4, rescale: rescale).Velocity(c, 0.5);

        var plain = u + (c - u) * 4;
        double[] own = c.Std([1, 2, 3]).ToDoubleArray(), wide = plain.Std([1, 2, 3]).ToDoubleArray(), back = Guided(1).Std([1, 2, 3]).ToDoubleArray();
        double[] half = Guided(0.5).ToDoubleArray(), guided = plain.ToDoubleArray();
        for (int i = 0; i < 3; i++)
        {
            Assert.True(wide[i] > 1.5 * own[i]);
            Assert.Equal(own[i], back[i], 1e-12);
        }
        for (int i = 0; i < guided.Length; i++)
            Assert.Equal(guided[i] * (0.5 + 0.5 * own[i / 4] / wide[i / 4]), half[i], 1e-12);
        Assert.InRange(Distance(plain, Guided(0)), 0, 1e-12);
    }

    /// <summary>p(x) p(half | x)^s p(place | x, half)^r: the chain rule with a power of each.</summary>
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(3, 1)]
    [InlineData(1.5, 4)]
    public void Each_of_several_attributes_has_a_scale_of_its_own(double half, double place)
    {
        foreach (double t in Times)
        {
            var x = Noised(t);
            double All(RawDiffusion.Diffusion.Data.Point2 p) => LogJoint(p, t, 0, 1, 2, 3, 4, 5, 6, 7);
            var expected = Gradient(p => All(p) + half * (LogJoint(p, t, s_half) - All(p)) + place * (LogJoint(p, t, Mode) - LogJoint(p, t, s_half)), x);
            var guided = Guidance.ClassifierFree(Unconditional, [new(Of(s_half), half), new(Of(Mode), place)]);
            Assert.InRange(Distance(expected, guided.Score(x, t)), 0, 1e-6);
            // 1 and 1: the conditional one alone; equal: as one attribute; scale 1 first: nothing of the unconditional one is left.
            Assert.Equal((half, place) switch { (1, 1) => 1, (2, 2) => 2, (3, 1) => 3, _ => 3 }, guided.Evaluations);
        }
    }

    /// <summary>
    /// Why attributes are told one after the other: adding up what each alone would change takes them to be independent given x_t, which
    /// they are not, and even scales of 1 miss the distribution of both. Here by a tenth and more of the largest score.
    /// </summary>
    [Fact]
    public void Adding_up_attributes_that_depend_on_each_other_gives_something_else()
    {
        const double T = 0.4;
        var x = Noised(T);
        Tensor nothing = Unconditional.Score(x, T), sum = nothing + (Of(s_half).Score(x, T) - nothing) + (Of(s_place).Score(x, T) - nothing);
        Assert.True(Distance(Of(Mode).Score(x, T), sum) > 0.1);
        Assert.InRange(Distance(Of(Mode).Score(x, T), Guidance.ClassifierFree(Unconditional, [new(Of(s_half), 1), new(Of(Mode), 1)]).Score(x, T)), 0, 1e-12);
    }

    /// <summary>Networks that have learned the variance go on saying it, so that guided samples can be drawn with it.</summary>
    [Fact]
    public void A_learned_variance_is_left_as_the_last_one_asked_says_it()
    {
        const double T = 0.4;
        var x = Noised(T);
        Denoiser Learned(Denoiser of, double spread) => Denoiser.FromFunction(
            (state, t) => Tensor.Concat([of.Epsilon(state, t), state * 0 + spread], axis: 1), Process, Parameterisation.Epsilon, learnsVariance: true, parts: of);
        Denoiser conditional = Learned(Of(Mode), 0.3), unconditional = Learned(Unconditional, -0.2);
        foreach (var (scale, spread) in new[] { (3.0, 0.3), (1, 0.3), (0, -0.2) })
        {
            var guided = Guidance.ClassifierFree(conditional, unconditional, scale);
            var (answer, said) = guided.Predict(x, T, Parameterisation.Epsilon);
            Assert.InRange(Distance(Guidance.ClassifierFree(Of(Mode), Unconditional, scale).Epsilon(x, T), answer), 0, 1e-12);
            Assert.All(said!.ToDoubleArray(), value => Assert.Equal(spread, value, 1e-12));
        }
        var outside = Guidance.ClassifierFree(conditional, unconditional, 3, new GuidanceInterval(100, 200));
        Assert.All(outside.Predict(x, T, Parameterisation.X0).Spread!.ToDoubleArray(), value => Assert.Equal(0.3, value, 1e-12));
        var byClassifier = Guidance.ByClassifier(
            unconditional, (Tensor state, double t) => Data.ComponentLogits(state, Process.Alpha(t), Process.Sigma(t)),
            Tensor.From([.. Enumerable.Repeat(Mode, x.Shape[0])], [x.Shape[0]], x.Device), scale: 1);
        var (eps, own) = byClassifier.Predict(x, T, Parameterisation.Epsilon);
        Assert.InRange(Distance(Of(Mode).Epsilon(x, T), eps), 0, 1e-6);
        Assert.All(own!.ToDoubleArray(), value => Assert.Equal(-0.2, value, 1e-12));
        Sampler.Ddpm(byClassifier, x, [T, 0.2, 0], new Generator(1), ReverseVariance.Learned);
        // Where one of the two has learned none, there is none.
        Assert.False(Guidance.ClassifierFree(conditional, Unconditional, 0).LearnsVariance);
    }

    [Fact]
    public void A_denoiser_that_is_told_twice_is_counted_as_often_as_it_is_asked()
    {
        var guided = Guidance.ClassifierFree(Unconditional, [new(Of(Mode), 2), new(Of(Mode), 3)]);
        var one = Of(Mode);
        var same = Guidance.ClassifierFree(Unconditional, [new(one, 2), new(one, 3)]);
        var x = Noised(0.4);
        Assert.Equal(guided.Epsilon(x, 0.4).ToDoubleArray(), same.Epsilon(x, 0.4).ToDoubleArray());
        Assert.Equal((3, 3), (guided.Evaluations, same.Evaluations));
    }

    [Fact]
    public void What_makes_no_sense_is_named()
    {
        string Message(Action action) => Assert.Throws<ArgumentException>(action).Message;
        var other = Data.DifferentiableDenoiser(new CosineSchedule());
        Assert.Contains("of one process, not of linear and cosine", Message(() => Guidance.ClassifierFree(other, Unconditional, 2)));
        Assert.Contains("must be a number, not NaN", Message(() => Guidance.ClassifierFree(Of(Mode), Unconditional, double.NaN)));
        Assert.Contains("0 <= low < high (as sigma / alpha), not 3 and 1", Message(() => Guidance.ClassifierFree(Of(Mode), Unconditional, 2, new GuidanceInterval(3, 1))));
        Assert.Contains("must be in [0, 1], not 2", Message(() => Guidance.ClassifierFree(Of(Mode), Unconditional, 2, rescale: 2)));
        Assert.Contains("told something", Message(() => Guidance.ClassifierFree(Unconditional, [])));
    }
}
