using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Tests.Diffusion.Objectives;

public class LossAwareTests
{
    private const int Steps = 10;

    private static readonly DiscreteSchedule s_schedule = new(new CosineSchedule(), Steps, Device.Reference);

    /// <summary>Losses as unequal as those of the variational bound.</summary>
    private static double Loss(double t) => 1 / (t * t);

    private static LossAwareTimes Learned(Func<double, double> loss)
    {
        var times = new LossAwareTimes(s_schedule);
        var generator = new Generator(1);
        for (int batch = 0; batch < 10; batch++)
        {
            Assert.False(times.IsFull);
            double[] drawn = [.. times.Draw(Steps, generator).Select(d => d.Time)];
            times.Observe(drawn, [.. drawn.Select(loss)]);
        }
        Assert.True(times.IsFull);
        return times;
    }

    [Fact]
    public void Steps_are_equally_likely_until_ten_losses_of_each_are_known()
    {
        var times = new LossAwareTimes(s_schedule);
        double[] all = [.. Enumerable.Range(0, Steps).Select(s_schedule.Time)];
        double[] others = all[1..];
        for (int i = 0; i < 10; i++)
            times.Observe(others, [.. others.Select(Loss)]);
        Assert.False(times.IsFull);
        Assert.Equal(all, times.Draw(Steps, new Generator(2)).Select(d => d.Time));
        Assert.All(times.Draw(Steps, new Generator(2)), d => Assert.Equal(1, d.Density, 1e-12));
        for (int i = 0; i < 10; i++)
            times.Observe([all[0]], [Loss(all[0])]);
        Assert.True(times.IsFull);
    }

    [Fact]
    public void Then_they_are_drawn_in_proportion_to_the_root_of_the_mean_square_loss()
    {
        var times = Learned(Loss);
        double sum = Enumerable.Range(0, Steps).Sum(i => Loss(s_schedule.Time(i)));
        for (int i = 0; i < Steps; i++)
        {
            // A thousandth of the probability is for all steps alike.
            Assert.Equal(0.999 * Loss(s_schedule.Time(i)) / sum + 0.0001, times.Probability(i), 1e-12);
        }
        var count = times.Draw(10_000, new Generator(3)).GroupBy(d => d.Time).ToDictionary(group => group.Key, group => group.Count());
        // Evenly spread draws are off by one at most.
        for (int i = 0; i < Steps; i++)
            Assert.Equal(10_000 * times.Probability(i), count[s_schedule.Time(i)], 1.0);
    }

    [Fact]
    public void Divided_by_their_density_losses_have_the_mean_that_they_have_over_all_steps()
    {
        var times = Learned(Loss);
        // Whatever is averaged, not only what the probabilities were made from.
        foreach (var f in new Func<double, double>[] { Loss, t => t, _ => 1 })
        {
            double expected = Enumerable.Range(0, Steps).Average(i => f(s_schedule.Time(i))), exact = 0;
            const int N = 100_000;
            for (int i = 0; i < Steps; i++)
            {
                var (time, density) = times.At((Enumerable.Range(0, i).Sum(times.Probability) + 0.5 * times.Probability(i)));
                Assert.Equal(s_schedule.Time(i), time);
                exact += times.Probability(i) * f(time) / density;
            }
            Assert.Equal(expected, exact, 1e-9 * expected);
            // And so they are drawn: each step at most one draw from its share, of weight f / density.
            double drawn = times.Draw(N, new Generator(4)).Average(d => f(d.Time) / d.Density);
            double worst = Enumerable.Range(0, Steps).Sum(i => f(s_schedule.Time(i)) / (times.Probability(i) * Steps)) / N;
            Assert.Equal(expected, drawn, worst);
        }
    }

    [Fact]
    public void The_scatter_of_the_loss_all_but_goes()
    {
        double Scatter(TimeSampler times)
        {
            double[] values = [.. times.Draw(10_000, new Generator(5)).Select(d => Loss(d.Time) / d.Density)];
            double mean = values.Average();
            return Math.Sqrt(values.Average(v => (v - mean) * (v - mean))) / mean;
        }
        Assert.True(Scatter(TimeSampler.Steps(s_schedule)) > 1.5);
        // What is left comes of the thousandth that is drawn evenly.
        Assert.True(Scatter(Learned(Loss)) < 0.02);
    }

    [Fact]
    public void A_step_whose_losses_were_0_is_seen_again()
    {
        var times = Learned(t => t < 0.5 ? 0 : 1);
        Assert.Equal(0.001 / Steps, times.Probability(0), 1e-12);
        Assert.Equal(0.1, Learned(_ => 0).Probability(3), 1e-12);
    }

    [Fact]
    public void Observations_that_cannot_be_are_named()
    {
        var times = new LossAwareTimes(s_schedule);
        Assert.Contains("0.15", Assert.Throws<ArgumentException>(() => times.Observe([0.15], [1])).Message);
        Assert.Contains("NaN", Assert.Throws<ArgumentException>(() => times.Observe([0.1], [double.NaN])).Message);
        Assert.Contains("2 times", Assert.Throws<ArgumentException>(() => times.Observe([0.1, 0.2], [1])).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => new LossAwareTimes(s_schedule, 0));
    }
}
