using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Tests.Diffusion.Likelihood;

/// <summary>Estimates of the variational bound from one step for each sample, with the exact denoiser of eight Gaussians.</summary>
public class BoundEstimatesTests
{
    private const int Steps = 20, Count = 20_000;

    private static readonly EightGaussians s_data = new();
    private static readonly CosineSchedule s_process = new();
    private static readonly double[] s_times = TimeGrid.LogSnr(s_process, Steps, 0.05);

    private static BoundEstimates Estimate(TimeSpread spread, ulong seed)
    {
        var generator = new Generator(seed, 3);
        int[] steps = Array.ConvertAll(TimeSampler.Numbers(Count, generator, spread), u => (int)(Steps * u));
        return BoundEstimates.Evaluate(s_data.Denoiser(s_process), s_data.Sample(Count, generator, Device.Cpu), s_times, steps, generator, Decoder.Gaussian);
    }

    private static (double Mean, double Variance) Moments(double[] values)
    {
        double mean = values.Average();
        return (mean, values.Sum(v => (v - mean) * (v - mean)) / (values.Length - 1));
    }

    private static void AssertNear(double expected, double[] values, double besides = 0)
    {
        var (mean, variance) = Moments(values);
        // Independent samples: four standard errors are passed once in 16,000 times.
        Assert.InRange(mean - expected, -4 * Math.Sqrt(variance / values.Length + besides), 4 * Math.Sqrt(variance / values.Length + besides));
    }

    [Fact]
    public void All_of_them_estimate_the_bound_that_the_sum_over_all_steps_gives()
    {
        var x = s_data.Sample(4000, new Generator(5), Device.Cpu);
        var whole = VariationalBound.Evaluate(s_data.Denoiser(s_process), x, s_times, new Generator(6), Decoder.Gaussian);
        var estimates = Estimate(TimeSpread.Independent, 1);
        double besides = whole.StandardError * whole.StandardError;
        AssertNear(whole.Total, estimates.ForwardRatio, besides);
        AssertNear(whole.Total, estimates.PosteriorRatio, besides);
        AssertNear(whole.Total, estimates.ClosedForm, besides);
        // The same draws: their differences have no mean.
        AssertNear(0, [.. estimates.PosteriorRatio.Zip(estimates.ClosedForm, (a, b) => a - b)]);
        AssertNear(0, [.. estimates.ForwardRatio.Zip(estimates.ClosedForm, (a, b) => a - b)]);
    }

    /// <summary>
    /// Within a step, an expectation given x_t can only take variance away (Rao and Blackwell). Turning the forward step around takes away
    /// what its noise adds, wherever it is not the data that the noise uncovers: near the data both scatter alike.
    /// </summary>
    [Fact]
    public void The_more_is_in_closed_form_the_less_they_scatter()
    {
        double[] times = TimeGrid.LogSnr(s_process, 100, 0.05);
        foreach (int step in new[] { 10, 50, 90 })
        {
            var generator = new Generator(2, 3);
            int[] steps = [.. Enumerable.Repeat(step, 2000)];
            var estimates = BoundEstimates.Evaluate(s_data.Denoiser(s_process), s_data.Sample(2000, generator, Device.Cpu), times, steps, generator, Decoder.Gaussian);
            double forward = Moments(estimates.ForwardRatio).Variance, posterior = Moments(estimates.PosteriorRatio).Variance, closed = Moments(estimates.ClosedForm).Variance;
            Assert.True(closed < posterior, $"step {step}: {closed} {posterior}");
            if (step <= 50)
                Assert.True(posterior < forward, $"step {step}: {posterior} {forward}");
        }
    }

    [Fact]
    public void Batches_of_even_times_scatter_less_than_those_of_independent_ones()
    {
        const int Batch = 200;
        double Scatter(TimeSpread spread)
        {
            var means = new double[100];
            for (int i = 0; i < means.Length; i++)
            {
                var generator = new Generator((ulong)i, 9);
                int[] steps = Array.ConvertAll(TimeSampler.Numbers(Batch, generator, spread), u => (int)(Steps * u));
                means[i] = BoundEstimates.Evaluate(
                    s_data.Denoiser(s_process), s_data.Sample(Batch, generator, Device.Cpu), s_times, steps, generator, Decoder.Gaussian).ClosedForm.Average();
            }
            return Moments(means).Variance;
        }
        // The variance of 100 batches is known to 14%; half is five times that away.
        double even = Scatter(TimeSpread.Even), independent = Scatter(TimeSpread.Independent);
        Assert.True(even < 0.5 * independent, $"{even} {independent}");
    }

    [Fact]
    public void Numbers_of_every_spread_are_uniform()
    {
        foreach (var spread in Enum.GetValues<TimeSpread>())
        {
            var generator = new Generator(4);
            var counts = new int[10];
            for (int i = 0; i < 2000; i++)
            {
                foreach (double u in TimeSampler.Numbers(5, generator, spread))
                    counts[(int)(10 * u)]++;
            }
            // 1,000 expected of each; the standard deviation is at most that of pairs that always agree, 43.
            Assert.All(counts, count => Assert.InRange(count, 1000 - 170, 1000 + 170));
        }
        double[] alone = TimeSampler.Numbers(7, new Generator(1, offset: 5), TimeSpread.Independent);
        var integers = Tensor.RandInt(new Generator(1, offset: 5), 0, 1 << 24, [7], Device.Cpu).ToInt32Array();
        Assert.Equal(integers.Select(value => (value + 0.5) / (1 << 24)), alone);
        double[] pairs = TimeSampler.Numbers(7, new Generator(1), TimeSpread.Antithetic);
        Assert.Equal(1, pairs[0] + pairs[1], 1e-12);
        Assert.Equal(1, pairs[4] + pairs[5], 1e-12);
    }

    [Fact]
    public void Steps_that_do_not_fit_are_named()
    {
        var x = s_data.Sample(2, new Generator(1), Device.Cpu);
        var denoiser = s_data.Denoiser(s_process);
        string Refused(double[] times, int[] steps) =>
            Assert.Throws<ArgumentException>(() => BoundEstimates.Evaluate(denoiser, x, times, steps, new Generator(1), Decoder.Gaussian)).Message;
        Assert.Contains("sample 1 has step 20", Refused(s_times, [0, Steps]));
        Assert.Contains("1 steps were given for 2", Refused(s_times, [0]));
        Assert.Contains("0.5", Refused([1, 0.5], [0, 0]));
    }
}
