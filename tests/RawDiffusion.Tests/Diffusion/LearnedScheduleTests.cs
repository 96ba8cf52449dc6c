using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests.Diffusion;

public class LearnedScheduleTests
{
    /// <summary>Weights that are not those at the start, of every size and sign.</summary>
    internal static MonotoneLogSnr Trained(ulong seed = 1)
    {
        var schedule = new MonotoneLogSnr(9, -8, hidden: 6);
        var generator = new Generator(seed);
        foreach (var parameter in schedule.Parameters())
            parameter.CopyFrom(parameter.Detach() + Tensor.Randn(generator, parameter.Shape, Device.Reference));
        return schedule;
    }

    [Fact]
    public void The_log_SNR_falls_from_one_end_to_the_other_whatever_the_weights()
    {
        for (ulong seed = 0; seed < 20; seed++)
        {
            var process = Trained(seed).Snapshot();
            Assert.Equal(9, process.LogSnr(0), 1e-12);
            Assert.Equal(-8, process.LogSnr(1), 1e-12);
            for (double t = 0.01; t <= 1; t += 0.01)
                Assert.True(process.LogSnr(t) < process.LogSnr(t - 0.01), $"seed {seed}: the log-SNR does not fall at {t}");
        }
    }

    /// <summary>The tensors that are trained and the numbers that processes work with are one function.</summary>
    [Fact]
    public void A_snapshot_has_the_values_and_derivatives_of_its_module()
    {
        var schedule = Trained();
        var process = schedule.Snapshot();
        double[] times = [0, 0.1, 0.37, 0.5, 0.93, 1];
        var (gamma, slope) = schedule.At(times);
        const double H = 1e-5;
        for (int i = 0; i < times.Length; i++)
        {
            Assert.Equal(-process.LogSnr(times[i]), gamma.ToDoubleArray()[i], 1e-11);
            Assert.Equal(process.GammaDot(times[i]), slope.ToDoubleArray()[i], 1e-9);
            // Central differences of step 1e-5 are good to some 1e-10 of the third derivative, which is below 1e4 here.
            double t = Math.Clamp(times[i], H, 1 - H);
            Assert.Equal((process.LogSnr(t - H) - process.LogSnr(t + H)) / (2 * H), process.GammaDot(t), 1e-5);
            Assert.Equal((process.GammaDot(t + H) - process.GammaDot(t - H)) / (2 * H), process.GammaDotDot(t), 1e-3);
        }
    }

    [Fact]
    public void Signal_and_noise_have_unit_power_and_the_network_is_told_the_log_SNR()
    {
        var process = Trained().Snapshot();
        for (double t = 0; t <= 1; t += 0.125)
        {
            Assert.Equal(1, process.AlphaBar(t) + process.Sigma(t) * process.Sigma(t), 1e-12);
            Assert.Equal(process.Alpha(t) * process.Alpha(t), process.AlphaBar(t), 1e-12);
        }
        // One noise, one number, whatever the schedule.
        var other = Trained(7).Snapshot();
        foreach (double ratio in new[] { 0.05, 1, 20 })
            Assert.Equal(process.NetworkTime(process.TimeOf(ratio)), other.NetworkTime(other.TimeOf(ratio)), 1e-8);
        Assert.Equal(0, process.NetworkTime(0), 1e-9);
        Assert.Equal(999, process.NetworkTime(1), 1e-9);
    }

    [Fact]
    public void A_snapshot_stays_as_it_was()
    {
        var schedule = Trained();
        var process = schedule.Snapshot();
        double before = process.LogSnr(0.4);
        schedule.Rate.CopyFrom(schedule.Rate.Detach() * 2);
        Assert.Equal(before, process.LogSnr(0.4));
        Assert.NotEqual(before, schedule.Snapshot().LogSnr(0.4), 1e-6);
    }

    // A loss that depends on the log-SNR alone, with its peak off the middle, as losses of networks have.
    private static double Loss(double gamma) => 0.1 + 4 * Math.Exp(-0.5 * Math.Pow((gamma - 2) / 1.5, 2));

    private static double[] Midpoints(int n) => [.. Enumerable.Range(0, n).Select(i => (i + 0.5) / n)];

    private static double[] Estimates(LearnedSchedule process, double[] times) =>
        [.. times.Select(t => process.GammaDot(t) * Loss(-process.LogSnr(t)))];

    /// <summary>By differences of ln E[e^2] itself; 2,000 even times make the mean an integral.</summary>
    [Fact]
    public void The_gradient_is_that_of_the_mean_square_of_the_estimates()
    {
        var schedule = Trained(3);
        double[] times = Midpoints(2000);
        var now = schedule.Snapshot();
        ScheduleVariance.Objective(schedule, now, times, Estimates(now, times)).Backward();
        foreach (var parameter in schedule.Parameters())
        {
            double[] values = parameter.ToDoubleArray(), gradient = parameter.Grad!.ToDoubleArray();
            for (int k = 0; k < values.Length; k++)
            {
                const double H = 1e-4;
                double difference = (At(k, H) - At(k, -H)) / (2 * H);
                // The midpoint rule's error is some 1e-6 of the integral.
                Assert.Equal(difference, gradient[k], 1e-5 + 1e-4 * Math.Abs(difference));
            }

            double At(int k, double by)
            {
                double[] moved = [.. values];
                moved[k] += by;
                parameter.CopyFrom(Tensor.From(moved, parameter.Shape, Device.Reference));
                double result = Math.Log(Estimates(schedule.Snapshot(), times).Average(e => e * e));
                parameter.CopyFrom(Tensor.From(values, parameter.Shape, Device.Reference));
                return result;
            }
        }
    }

    /// <summary>Where the loss has no scatter of its own, the best schedule makes every estimate the same: gamma' is in proportion to 1 / loss.</summary>
    [Fact]
    public void Training_takes_the_scatter_away_and_leaves_the_mean()
    {
        var schedule = new MonotoneLogSnr(9, -8, hidden: 12);
        double[] times = Midpoints(100);
        var (mean, spread) = Moments(schedule.Snapshot());
        var optimizer = new Adam(schedule, 0.05);
        for (int step = 0; step < 250; step++)
        {
            using var scope = new MemoryScope();
            var now = schedule.Snapshot();
            optimizer.ZeroGrad();
            ScheduleVariance.Objective(schedule, now, times, Estimates(now, times)).Backward();
            optimizer.Step();
        }
        var (meanAfter, spreadAfter) = Moments(schedule.Snapshot());
        Assert.Equal(mean, meanAfter, 1e-3 * mean);
        Assert.True(spread > 0.9 * mean, $"{spread} of {mean}");
        // What is left is what a dozen sigmoids do not bend.
        Assert.True(spreadAfter < 0.2 * mean, $"{spreadAfter} of {mean}");

        (double Mean, double Deviation) Moments(LearnedSchedule process)
        {
            double[] e = Estimates(process, Midpoints(4000));
            double average = e.Average();
            return (average, Math.Sqrt(e.Average(x => (x - average) * (x - average))));
        }
    }

    [Fact]
    public void Wrong_settings_are_named()
    {
        Assert.Contains("-3", Assert.Throws<ArgumentException>(() => new MonotoneLogSnr(-3, 3)).Message);
        var schedule = Trained();
        Assert.Contains("2 times and 1", Assert.Throws<ArgumentException>(() => ScheduleVariance.Objective(schedule, schedule.Snapshot(), [0.1, 0.2], [1])).Message);
        Assert.Contains("NaN", Assert.Throws<ArgumentException>(() => ScheduleVariance.Objective(schedule, schedule.Snapshot(), [0.1], [double.NaN])).Message);
        schedule.Height.CopyFrom(schedule.Height.Detach() * double.NaN);
        Assert.Contains("diverged", Assert.Throws<ArgumentException>(() => schedule.Snapshot()).Message);
    }
}
