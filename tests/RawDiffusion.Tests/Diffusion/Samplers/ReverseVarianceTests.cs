using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Tests.Diffusion.Samplers;

/// <summary>
/// Variances of the reverse step on data N(m, s^2), where the reverse conditional is a Gaussian whose mean and variance are known:
/// Var(x_0 | x_t) = s^2 sigma^2 / (alpha^2 s^2 + sigma^2) for every x_t.
/// </summary>
public class ReverseVarianceTests
{
    private const double Mean = 1.5, Deviation = 0.4;

    private static readonly LinearSchedule s_process = new();

    /// <param name="spread">What a network would say of the variance; null for one that says nothing.</param>
    private static Denoiser Exact(double? spread = null) => Denoiser.FromFunction(
        (x, t) =>
        {
            double alpha = s_process.Alpha(t), gain = alpha * CleanVariance(t) / Math.Pow(s_process.Sigma(t), 2);
            var x0 = x * gain + Mean * (1 - gain * alpha);
            return spread is { } value ? Tensor.Concat([x0, Tensor.Full(x.Shape, value, x.Device)], axis: x.Rank - 1) : x0;
        },
        s_process, Parameterisation.X0, learnsVariance: spread is not null);

    private static double CleanVariance(double t)
    {
        double alpha = s_process.Alpha(t), sigma = s_process.Sigma(t), variance = Deviation * Deviation;
        return variance * sigma * sigma / (alpha * alpha * variance + sigma * sigma);
    }

    private static Tensor Data(int n, ulong seed) => Tensor.Randn(new Generator(seed), [n, 1], Device.Reference) * Deviation + Mean;

    /// <summary>The true reverse chain makes the bound an equality, however few its steps: L_T is 1e-5 nat for this process.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(20)]
    public void With_the_best_variance_the_bound_is_the_entropy(int steps)
    {
        var terms = VariationalBound.Evaluate(
            Exact(), Data(20_000, 1), TimeGrid.Uniform(s_process, steps), new Generator(2), Decoder.Gaussian, ReverseVariance.Analytic(CleanVariance));
        double entropy = 0.5 * Math.Log(2 * Math.PI * Math.E * Deviation * Deviation);
        Assert.InRange(Math.Abs(terms.Total - entropy), 0, 4 * terms.StandardError + 1e-4);
    }

    [Fact]
    public void Fixed_variances_have_higher_bounds()
    {
        var times = TimeGrid.Uniform(s_process, 10);
        // Equal noise: what differs are the variances alone.
        double Bound(ReverseVariance variance) =>
            VariationalBound.Evaluate(Exact(), Data(4000, 1), times, new Generator(2), Decoder.Gaussian, variance).Total;
        double best = Bound(ReverseVariance.Analytic(CleanVariance));
        Assert.True(best < Bound(ReverseVariance.FixedSmall) - 0.1);
        Assert.True(best < Bound(ReverseVariance.FixedLarge) - 0.1);
    }

    /// <summary>With the true reverse conditionals every state has its true marginal after any steps; here after 4 long ones.</summary>
    [Fact]
    public void With_the_best_variance_few_steps_sample_the_right_spread()
    {
        const int N = 20_000;
        double[] times = [1, 0.7, 0.4, 0.2, 0.05];
        double expected = Math.Pow(s_process.Alpha(times[^1]) * Deviation, 2) + Math.Pow(s_process.Sigma(times[^1]), 2);
        double Spread(ReverseVariance variance)
        {
            var generator = new Generator(3);
            double[] values = Sampler.Ddpm(Exact(), Tensor.Randn(generator, [N, 1], Device.Reference), times, generator, variance).ToDoubleArray();
            double mean = values.Average();
            return values.Average(v => (v - mean) * (v - mean));
        }
        // Four standard errors of a variance, sqrt(2 / N) each.
        double error = 4 * Math.Sqrt(2.0 / N);
        Assert.Equal(1, Spread(ReverseVariance.Analytic(CleanVariance)) / expected, error);
        Assert.Equal(1, Spread(ReverseVariance.Tweedie) / expected, error);
        Assert.True(Spread(ReverseVariance.FixedSmall) / expected < 0.8);
        Assert.True(Spread(ReverseVariance.FixedLarge) / expected > 1.2);
    }

    [Fact]
    public void The_derivative_of_the_denoiser_gives_the_best_variance()
    {
        var x = Tensor.Randn(new Generator(4), [5, 2], Device.Reference);
        foreach (var (t, s) in new[] { (1.0, 0.9), (0.5, 0.1), (0.1, 0.0) })
        {
            var step = new Transition(s_process, t, s);
            double expected = step.PosteriorVariance + step.PosteriorX0 * step.PosteriorX0 * CleanVariance(t);
            double[] logs = ReverseVariance.Tweedie.Of(Exact(), x, t, step, null).Logarithms!.ToDoubleArray();
            Assert.Equal(10, logs.Length);
            // Float64.
            Assert.All(logs, log => Assert.Equal(1, Math.Exp(log) / expected, 1e-9));
        }
    }

    [Fact]
    public void The_best_variance_of_a_mixture_is_that_of_its_clean_samples()
    {
        // Eight Gaussians between their modes, where x_0 is in one of several: by weighted samples of x_0.
        var data = new EightGaussians();
        var process = new CosineSchedule();
        const double T = 0.6;
        double alpha = process.Alpha(T), sigma = process.Sigma(T);
        var x = Tensor.From(new[] { 0.5, 0.2 }, [1, 2], Device.Reference);
        var step = new Transition(process, T, 0.55);
        double[] logs = ReverseVariance.Tweedie.Of(data.DifferentiableDenoiser(process), x, T, step, null).Logarithms!.ToDoubleArray();

        double[] points = data.Sample(400_000, new Generator(5)).ToDoubleArray();
        double weights = 0, sum = 0, squares = 0;
        for (int i = 0; i < points.Length; i += 2)
        {
            double weight = Math.Exp(-(Math.Pow(0.5 - alpha * points[i], 2) + Math.Pow(0.2 - alpha * points[i + 1], 2)) / (2 * sigma * sigma));
            (weights, sum, squares) = (weights + weight, sum + weight * points[i], squares + weight * points[i] * points[i]);
        }
        double variance = squares / weights - Math.Pow(sum / weights, 2), expected = step.PosteriorVariance + Math.Pow(step.PosteriorX0, 2) * variance;
        // Some 1e5 samples count: half a percent, twice.
        Assert.Equal(1, Math.Exp(logs[0]) / expected, 0.01);
    }

    [Fact]
    public void The_error_of_the_clean_sample_measures_the_best_variance()
    {
        double[] times = TimeGrid.Uniform(s_process, 5);
        var measured = ReverseVariance.Analytic(Exact(), Data(50_000, 6), times, new Generator(7));
        for (int i = 0; i + 1 < times.Length; i++)
        {
            var step = new Transition(s_process, times[i], times[i + 1]);
            double expected = ReverseVariance.Analytic(CleanVariance).Of(Exact(), Data(1, 1), times[i], step, null).Common;
            // A mean of 5e4 squares scatters by sqrt(2 / 5e4) = 0.6% of itself; four times.
            Assert.Equal(1, measured.Of(Exact(), Data(1, 1), times[i], step, null).Common / expected, 0.025);
        }
    }

    /// <summary>A spread of -1 is the small variance and 1 the large one, in samples and in the bound.</summary>
    [Theory]
    [InlineData(-1, true)]
    [InlineData(1, false)]
    public void The_ends_of_the_learned_variance_are_the_fixed_ones(double spread, bool small)
    {
        var fixedVariance = small ? ReverseVariance.FixedSmall : ReverseVariance.FixedLarge;
        double[] times = TimeGrid.Uniform(s_process, 10);
        Tensor x = Tensor.Randn(new Generator(1), [16, 2], Device.Reference);
        // As a generator's noise is drawn inside the fused step or outside of it, the same is given to both.
        RecordedNoise Noise() => new(Enumerable.Range(0, 12).Select(i => Tensor.Randn(new Generator((ulong)i, 9), x.Shape, Device.Reference)));
        double[] expected = Sampler.Ddpm(Exact(), x, times, Noise(), fixedVariance).ToDoubleArray();
        double[] actual = Sampler.Ddpm(Exact(spread), x, times, Noise(), ReverseVariance.Learned).ToDoubleArray();
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], 1e-10);

        var ofFixed = VariationalBound.Evaluate(Exact(), Data(16, 1), times, new Generator(2), Decoder.Gaussian, fixedVariance);
        var ofLearned = VariationalBound.Evaluate(Exact(spread), Data(16, 1), times, new Generator(2), Decoder.Gaussian, ReverseVariance.Learned);
        for (int i = 0; i < ofFixed.Steps.Count; i++)
            Assert.Equal(ofFixed.Steps[i], ofLearned.Steps[i], 1e-9);
    }

    [Fact]
    public void Between_its_ends_the_learned_variance_is_their_geometric_mean()
    {
        var step = new Transition(s_process, 0.5, 0.3);
        var spread = Tensor.From(new[] { 0, 0.5 }, [1, 2], Device.Reference);
        double[] logs = ReverseVariance.Learned.Of(Exact(), spread, 0.5, step, spread).Logarithms!.ToDoubleArray();
        Assert.Equal(Math.Sqrt(step.Variance * step.PosteriorVariance), Math.Exp(logs[0]), 1e-12);
        // v = 3/4.
        Assert.Equal(Math.Pow(step.Variance, 0.75) * Math.Pow(step.PosteriorVariance, 0.25), Math.Exp(logs[1]), 1e-12);
        // Into time 0 the posterior has no variance.
        var last = new Transition(s_process, 0.3, 0);
        Assert.Equal((Math.Log(0.5 * last.Variance), Math.Log(last.Variance)), ReverseVariance.LogBounds(last));
    }

    [Fact]
    public void The_second_half_of_the_channels_is_the_spread_and_changes_no_answer()
    {
        var x = Tensor.Randn(new Generator(1), [3, 2, 2, 1], Device.Reference);
        var (x0, spread) = Exact(0.25).Predict(x, 0.3, Parameterisation.X0);
        Assert.Equal(Exact().X0(x, 0.3).ToDoubleArray(), x0.ToDoubleArray());
        Assert.Equal(x.Shape, spread!.Shape);
        Assert.All(spread.ToDoubleArray(), value => Assert.Equal(0.25, value));
        Assert.Null(Exact().Predict(x, 0.3, Parameterisation.Score).Spread);
        var silent = Denoiser.FromFunction((state, _) => state, s_process, Parameterisation.X0, learnsVariance: true);
        Assert.Contains("twice the channels", Assert.Throws<InvalidOperationException>(() => silent.X0(x, 0.3)).Message);
    }

    [Fact]
    public void Variances_that_cannot_be_had_are_named()
    {
        var x = Tensor.Zeros([1, 2]);
        Assert.Contains("learnsVariance", Assert.Throws<InvalidOperationException>(
            () => Sampler.Ddpm(Exact(), x, [1, 0.5, 0], new Generator(1), ReverseVariance.Learned)).Message);
        var measured = ReverseVariance.Analytic(Exact(), Data(10, 1), [1, 0.5, 0], new Generator(1));
        Assert.Contains("0.7", Assert.Throws<ArgumentException>(() => Sampler.Ddpm(Exact(), x, [1, 0.7, 0.5], new Generator(1), measured)).Message);
        Assert.Contains("-1", Assert.Throws<ArgumentOutOfRangeException>(() => new StepVariance(-1)).Message);
    }
}
