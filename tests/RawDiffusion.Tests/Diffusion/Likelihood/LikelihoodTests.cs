using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Tests.Diffusion.Likelihood;

/// <summary>Likelihoods with the exact denoiser of eight Gaussians, whose density is known.</summary>
public class LikelihoodTests
{
    private static readonly EightGaussians s_data = new();

    /// <summary>The entropy of eight round Gaussians that do not overlap, in nats.</summary>
    private static readonly double s_entropy =
        Math.Log(EightGaussians.Modes) + 1 + Math.Log(2 * Math.PI * EightGaussians.StandardDeviation * EightGaussians.StandardDeviation);

    private static Tensor Points(int count) => s_data.Sample(count, new Generator(11)).To(Device.Reference);

    [Fact]
    public void The_differentiable_denoiser_is_the_exact_one()
    {
        var x = Tensor.Randn(new Generator(1), [50, 2], Device.Reference) * 2;
        foreach (var (alpha, sigma) in new[] { (1.0, 0.01), (0.8, 0.6), (0.01, 1.0), (1.0, 30.0) })
        {
            double[] expected = s_data.Denoise(x, alpha, sigma).ToDoubleArray(), actual = s_data.DenoiseTensor(x, alpha, sigma).ToDoubleArray();
            for (int i = 0; i < expected.Length; i++)
                Assert.Equal(expected[i], actual[i], 1e-9);
        }
    }

    public static TheoryData<int> Processes => [0, 1, 2, 3];

    // The issue asks for 0.02 nat; the noise of the start time changes the density by a thousandth, and the solver is told 1e-5.
    [Theory]
    [MemberData(nameof(Processes))]
    public void The_flow_gives_the_density_that_the_data_have(int index)
    {
        ForwardProcess process = index switch { 0 => new LinearSchedule(), 1 => new CosineSchedule(), 2 => new EdmProcess(), _ => new StraightFlow() };
        double start = process.TimeOf(1e-3);
        var x = Points(64);
        var result = FlowLikelihood.Evaluate(s_data.DifferentiableDenoiser(process), x, start, new OdeTolerance(1e-5, 1e-5));
        double[] expected = s_data.LogDensity(x).ToDoubleArray(), actual = result.LogLikelihood.ToDoubleArray();
        Assert.Equal(expected.Average(), actual.Average(), 0.02);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], 0.05);
        Assert.True(result.Evaluations > 0);
    }

    [Fact]
    public void Estimated_divergences_agree_with_the_exact_one_within_their_standard_error()
    {
        var process = new LinearSchedule();
        var denoiser = s_data.DifferentiableDenoiser(process);
        var x = Tensor.Randn(new Generator(2), [1, 2], Device.Reference);
        const double T = 0.3;
        double exact = FlowLikelihood.VelocityAndDivergence(denoiser, x, T, null).Divergence.Item();
        foreach (var kind in new[] { Divergence.Rademacher, Divergence.Gaussian })
        {
            const int Probes = 400;
            var generator = new Generator(3);
            var many = x.BroadcastTo([Probes, 2]);
            var v = kind == Divergence.Gaussian
                ? Tensor.Randn(generator, [Probes, 2], Device.Reference)
                : Tensor.Rand(generator, [Probes, 2], device: Device.Reference).Gt(0.5) * 2 - 1;
            double[] estimates = FlowLikelihood.VelocityAndDivergence(denoiser, many, T, v).Divergence.ToDoubleArray();
            double mean = estimates.Average(), error = Math.Sqrt(estimates.Sum(e => (e - mean) * (e - mean)) / (Probes - 1) / Probes);
            Assert.InRange(Math.Abs(mean - exact), 0, 3 * error + 1e-9);
        }
    }

    [Fact]
    public void The_bound_lies_above_the_negative_likelihood_and_comes_near_the_entropy()
    {
        // Steps of equal log-SNR: on a grid of equal times the last ones, near the data, are far too long.
        var process = new CosineSchedule();
        double[] times = TimeGrid.LogSnr(process, 1000, 2e-3);
        var x = Points(2000);
        double[] logDensity = s_data.LogDensity(x).ToDoubleArray();
        var terms = VariationalBound.Evaluate(s_data.DifferentiableDenoiser(process), x, times, new Generator(4), Decoder.Gaussian);
        Assert.Equal(terms.Total, terms.PerSample.Average(), 1e-9);
        Assert.Equal(999, terms.Steps.Count);
        double[] gaps = [.. terms.PerSample.Select((bound, i) => bound + logDensity[i])];
        double gap = gaps.Average(), error = Math.Sqrt(gaps.Sum(g => (g - gap) * (g - gap)) / gaps.Length / (gaps.Length - 1));
        // Never below, up to what the noise of the estimate can do; and the entropy is met as the issue asks.
        Assert.True(gap > -3 * error, $"{gap} +- {error}");
        Assert.InRange(error, 0, 0.07);
        Assert.Equal(s_entropy, terms.Total, 0.1);
    }

    [Fact]
    public void More_steps_make_the_bound_tighter()
    {
        var x = Points(256);
        double previous = double.PositiveInfinity;
        var process = new CosineSchedule();
        foreach (int steps in new[] { 5, 20, 100 })
        {
            double bound = VariationalBound.Evaluate(
                s_data.DifferentiableDenoiser(process), x, TimeGrid.LogSnr(process, steps, 2e-3), new Generator(4), Decoder.Gaussian).Total;
            Assert.True(bound < previous, $"{steps} steps: {bound} after {previous}");
            previous = bound;
        }
    }

    [Fact]
    public void The_bins_of_a_discretised_Gaussian_hold_all_of_it()
    {
        // Over all 256 values of a pixel the probabilities sum to 1, wherever the mean is.
        var levels = Tensor.From(Enumerable.Range(0, 256).Select(i => 2.0 * i / 255 - 1).ToArray(), [256, 1], Device.Reference);
        foreach (double mean in new[] { -1.3, -1, 0.2, 0.999 })
        {
            double[] logs = Decoder.Discretised.LogLikelihood(levels, Tensor.Full([256, 1], mean, Device.Reference), 0.01).ToDoubleArray();
            // 256 times the least probability of a bin.
            Assert.Equal(1, logs.Sum(Math.Exp), 1e-9);
        }
    }

    public static TheoryData<double> Deviations => [1e-3, 0.01, 0.1, 1];

    /// <summary>
    /// Masses far below what float32 can tell from 0 beside 1, against integrals in float64: ln of the density at the nearer limit, and of
    /// the integral of what it falls by. Bins of 0.0078 to 7.8 deviations, the means up to 10 deviations away, from data in the middle and at both ends.
    /// </summary>
    [Theory]
    [MemberData(nameof(Deviations))]
    public void The_mass_of_a_bin_keeps_its_digits_in_the_tails(double deviation)
    {
        const double Half = 1.0 / 255;
        double[] data = [-1, -0.2f, 1], away = [.. Enumerable.Range(-20, 41).Select(i => 0.5 * i)];
        foreach (double x in data)
        {
            float[] means = [.. away.Select(z => (float)(x + z * deviation))];
            int n = means.Length;
            var logs = Decoder.Discretised.LogLikelihood(Tensor.Full([n, 1], x, Device.Cpu), Tensor.From(means, [n, 1], Device.Cpu), deviation * deviation).ToArray();
            for (int i = 0; i < n; i++)
            {
                double distance = x - means[i], expected = x == 1 ? LogBetween((distance - Half) / deviation, double.PositiveInfinity)
                    : x == -1 ? LogBetween((-distance - Half) / deviation, double.PositiveInfinity)
                    : LogBetween((Math.Abs(distance) - Half) / deviation, (Math.Abs(distance) + Half) / deviation);
                // ln of the variance, its exponential and the distance are some 5e-7 off together, which counts z^2 times. The two logarithms whose
                // difference is the bin carry 4e-7, beside a difference of a bin's width times the larger of z and the density at 0.
                double z = Math.Abs(away[i]) + Half / deviation, width = 2 * Half / deviation;
                Assert.Equal(expected, logs[i], 1e-6 + 5e-7 * z * z + 4e-7 / Math.Min(1, width * Math.Max(0.4, Math.Abs(away[i]))));
            }
        }
    }

    /// <summary>Far out, where the mass itself is no float: its logarithm and derivatives with respect to mean and variance still are, and lead back.</summary>
    [Fact]
    public void A_mean_that_is_far_away_is_led_back()
    {
        float[] means = [-1e3f, -30, -1.5f, -0.2f, 0.3f, 1.5f, 30, 1e3f];
        foreach (double x in new[] { -1, 0.3, 1 })
        {
            var mean = Tensor.From(means, [means.Length, 1], Device.Cpu).RequireGrad();
            var logVariance = Tensor.Full([means.Length, 1], Math.Log(1e-4), Device.Cpu).RequireGrad();
            var logs = Decoder.Discretised.LogLikelihood(Tensor.Full([means.Length, 1], x, Device.Cpu), mean, logVariance);
            logs.Sum().Backward();
            float[] values = logs.ToArray(), ofMean = mean.Grad!.ToArray(), ofVariance = logVariance.Grad!.ToArray();
            for (int i = 0; i < means.Length; i++)
            {
                Assert.True(float.IsFinite(values[i]) && float.IsFinite(ofMean[i]) && float.IsFinite(ofVariance[i]), $"{x}, {means[i]}: {values[i]}, {ofMean[i]}, {ofVariance[i]}");
                if (Math.Abs(x - means[i]) < 0.5 || x == 1 && means[i] > 1 || x == -1 && means[i] < -1)
                    continue;
                // -(x - mean)^2 / (2 variance), up to what a bin's width and the tail's own factor add.
                double expected = -Math.Pow(Math.Abs(x - means[i]) - 1.0 / 255, 2) / 2e-4;
                Assert.Equal(1, values[i] / expected, 0.01);
                Assert.Equal(Math.Sign(x - means[i]), Math.Sign(ofMean[i]));
                Assert.True(ofVariance[i] > 0, "a larger variance reaches farther");
            }
        }
    }

    /// <summary>The derivatives are those of the logarithms, in float64, within bins, beside them and at the ends.</summary>
    [Fact]
    public void Derivatives_of_a_bins_mass_are_those_of_differences()
    {
        const double H = 1e-5;
        foreach (double x in new[] { -1, 0.1, 1 })
        {
            foreach (double m in new[] { x, x + 0.003, x - 0.02, x + 0.3 })
            {
                var mean = Tensor.Full([1, 1], m, Device.Reference).RequireGrad();
                var logVariance = Tensor.Full([1, 1], -7, Device.Reference).RequireGrad();
                Log(mean, logVariance).Sum().Backward();
                double At(double dm, double dv) => Log(Tensor.Full([1, 1], m + dm, Device.Reference), Tensor.Full([1, 1], -7 + dv, Device.Reference)).Item();
                Assert.Equal((At(H, 0) - At(-H, 0)) / (2 * H), mean.Grad!.Item(), 1e-4 * (1 + Math.Abs(mean.Grad!.Item())));
                Assert.Equal((At(0, H) - At(0, -H)) / (2 * H), logVariance.Grad!.Item(), 1e-4 * (1 + Math.Abs(logVariance.Grad!.Item())));
            }

            Tensor Log(Tensor mean, Tensor logVariance) => Decoder.Discretised.LogLikelihood(Tensor.Full([1, 1], x, Device.Reference), mean, logVariance);
        }
    }

    /// <summary>ln of the normal mass between two limits, by Simpson's rule: -low^2 / 2 and the integral of exp(-low s - s^2 / 2) from there.</summary>
    private static double LogBetween(double low, double high)
    {
        // Where the lower limit is far below 0 nearly everything is within, and the largest value is not at the limit.
        double top = low < 0 ? 0 : low, width = Math.Min(high, top + 40) - low, sum = 0;
        const int Intervals = 20_000;
        for (int i = 0; i <= Intervals; i++)
        {
            double at = low + width * i / Intervals;
            sum += (i is 0 or Intervals ? 1 : i % 2 == 0 ? 2 : 4) * Math.Exp(0.5 * (top * top - at * at));
        }
        return -0.5 * top * top + Math.Log(sum * width / (3 * Intervals) / Math.Sqrt(2 * Math.PI));
    }

    [Fact]
    public void Bits_per_dimension_have_their_offset()
    {
        // A uniform density over [-1, 1]^D knows nothing about bytes: 8 bits each.
        const int D = 12;
        Assert.Equal(8, BitsPerDimension.OfDequantisedBytes(D * Math.Log(2), D), 1e-12);
        Assert.Equal(1, BitsPerDimension.Of(Math.Log(2), 1), 1e-12);
    }

    [Fact]
    public void Wrong_starts_are_named()
    {
        var denoiser = s_data.DifferentiableDenoiser(new LinearSchedule());
        var x = Tensor.Zeros([1, 2], Device.Reference);
        Assert.Contains("not at 0", Assert.Throws<ArgumentException>(() => FlowLikelihood.Evaluate(denoiser, x, 0, new OdeTolerance())).Message);
        Assert.Contains("generator", Assert.Throws<ArgumentException>(() => FlowLikelihood.Evaluate(denoiser, x, 0.1, new OdeTolerance(), Divergence.Rademacher)).Message);
        Assert.Contains("tensor operations", Assert.Throws<InvalidOperationException>(() => FlowLikelihood.Evaluate(s_data.Denoiser(new LinearSchedule()), x, 0.1, new OdeTolerance())).Message);
        Assert.Contains("0.5", Assert.Throws<ArgumentException>(() => VariationalBound.Evaluate(denoiser, x, [1, 0.5], new Generator(1), Decoder.Gaussian)).Message);
    }
}
