using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Tests.Diffusion;

public class ProcessTests
{
    public static TheoryData<VariancePreserving> Schedules => [new LinearSchedule(), new LinearSchedule(0, 8), new CosineSchedule(), new CosineSchedule(0.02, 0.05)];

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Signal_and_noise_have_unit_power_together(VariancePreserving process)
    {
        for (double t = 0; t <= 1; t += 0.01)
            Assert.Equal(1, process.Alpha(t) * process.Alpha(t) + process.Sigma(t) * process.Sigma(t), 1e-12);
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Time_zero_is_the_data_and_the_signal_falls_from_there(VariancePreserving process)
    {
        Assert.Equal(1, process.Alpha(0));
        Assert.Equal(0, process.Sigma(0));
        for (double t = 0.01; t <= 1; t += 0.01)
            Assert.True(process.Alpha(t) < process.Alpha(t - 0.01), $"alpha does not fall at {t}");
    }

    // Central differences with step 1e-5 are good to about 1e-9 of these smooth functions' third derivatives, some thousands.
    [Theory]
    [MemberData(nameof(Schedules))]
    public void Drift_is_the_logarithmic_derivative_of_alpha(VariancePreserving process)
    {
        const double H = 1e-5;
        for (double t = 0.05; t < 0.95; t += 0.05)
        {
            double expected = (Math.Log(process.Alpha(t + H)) - Math.Log(process.Alpha(t - H))) / (2 * H);
            Assert.Equal(expected, process.Drift(t), 1e-5 * Math.Max(1, Math.Abs(expected)));
        }
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Diffusion_follows_from_the_growth_of_the_noise(VariancePreserving process)
    {
        const double H = 1e-5;
        for (double t = 0.05; t < 0.95; t += 0.05)
        {
            double growth = (Square(process.Sigma(t + H)) - Square(process.Sigma(t - H))) / (2 * H);
            double expected = growth - 2 * process.Drift(t) * Square(process.Sigma(t));
            Assert.Equal(expected, process.DiffusionSquared(t), 1e-5 * Math.Max(1, expected));
        }
    }

    [Fact]
    public void Noise_at_tiny_times_keeps_its_digits()
    {
        // For small B, sigma = sqrt(1 - exp(-B)) = sqrt(B (1 - B/2 + ...)); the naive form has no digit left at B = 1e-17.
        var process = new LinearSchedule();
        double b = process.IntegratedBeta(1e-16);
        Assert.Equal(1, process.Sigma(1e-16) / Math.Sqrt(b), 1e-12);
    }

    [Fact]
    public void The_linear_schedule_in_1000_steps_is_that_of_DDPM()
    {
        var schedule = new DiscreteSchedule(new LinearSchedule(), 1000, Device.Reference);

        // Ho et al. 2020: beta from 1e-4 to 0.02. The continuous process averages beta over each step, which moves the first by
        // half a step's growth (10%) and the last by 1% (exp against linear).
        Assert.Equal(1e-4, schedule.Beta[0], 1.2e-5);
        Assert.Equal(0.02, schedule.Beta[^1], 3e-4);
        Assert.Equal(4.0e-5, schedule.AlphaBar[^1], 1e-5);
    }

    [Fact]
    public void The_cosine_schedule_ends_where_it_was_told_to()
    {
        Assert.Equal(0.05, new CosineSchedule(finalAlpha: 0.05).Alpha(1), 1e-12);
    }

    [Fact]
    public void Alpha_bar_is_the_product_of_one_minus_beta()
    {
        var schedule = new DiscreteSchedule(new CosineSchedule(), 50, Device.Reference);
        double product = 1;
        for (int i = 0; i < 50; i++)
        {
            product *= 1 - schedule.Beta[i];
            Assert.Equal(product, schedule.AlphaBar[i], 1e-12);
        }
    }

    [Fact]
    public void Drawn_steps_carry_the_scales_of_their_own_time()
    {
        var process = new LinearSchedule();
        var schedule = new DiscreteSchedule(process, 100, Device.Reference);
        var (alpha, sigma, networkTime) = schedule.Draw(500, new Generator(3));
        double[] a = alpha.ToDoubleArray(), s = sigma.ToDoubleArray(), times = networkTime.ToDoubleArray();
        for (int i = 0; i < 500; i++)
        {
            double t = (times[i] + 1) / 1000;
            Assert.Equal(process.Alpha(t), a[i], 1e-12);
            Assert.Equal(process.Sigma(t), s[i], 1e-12);
        }
        // 500 draws of 100 steps are five of each, whatever u is.
        Assert.Equal(Enumerable.Repeat(5, 100), times.GroupBy(t => t).Select(g => g.Count()));
    }

    [Fact]
    public void Every_step_is_drawn_equally_often_in_the_long_run()
    {
        var schedule = new DiscreteSchedule(new LinearSchedule(), 10, Device.Reference);
        var generator = new Generator(11);
        var counts = new int[10];
        for (int i = 0; i < 2000; i++)
        {
            foreach (double time in schedule.Draw(3, generator).NetworkTime.ToDoubleArray())
                counts[(int)Math.Round((time + 1) / 100) - 1]++;
        }
        // 600 expected of each; a standard deviation is at most that of 6,000 independent draws, 23.
        Assert.All(counts, count => Assert.InRange(count, 600 - 120, 600 + 120));
    }

    [Theory]
    [InlineData(-0.1)]
    [InlineData(1.1)]
    [InlineData(double.NaN)]
    public void A_time_outside_the_process_is_refused_with_its_value(double t)
    {
        var e = Assert.Throws<ArgumentOutOfRangeException>(() => new LinearSchedule().Alpha(t));
        Assert.Contains(t.ToString(), e.Message);
    }

    [Fact]
    public void Schedules_that_make_no_sense_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new LinearSchedule(20, 0.1));
        Assert.Throws<ArgumentException>(() => new LinearSchedule(0, double.NaN));
        Assert.Throws<ArgumentException>(() => new CosineSchedule(finalAlpha: 0));
        Assert.Throws<ArgumentException>(() => new DiscreteSchedule(new LinearSchedule(), 0, Device.Reference));
        Assert.Throws<ArgumentOutOfRangeException>(() => TimeGrid.Uniform(new LinearSchedule(), 0));
        // From where a process ends, whatever its time is.
        Assert.Equal([1, 0.75, 0.5, 0.25, 0], TimeGrid.Uniform(new CosineSchedule(), 4));
        Assert.Equal([80, 60, 40, 20, 0], TimeGrid.Uniform(new EdmProcess(), 4));
    }

    private static double Square(double x) => x * x;

    /// <summary>So much noise that nothing of the data is left in float64 is all noise, and not no number.</summary>
    [Theory]
    [InlineData(100)]
    [InlineData(2900)]
    [InlineData(1e5)]
    public void Very_much_noise_is_all_noise(double betaMax)
    {
        var process = new LinearSchedule(0.1, betaMax);
        Assert.Equal(1, process.Sigma(1), 1e-12);
        Assert.Equal(1, new SubVariancePreserving(0.1, betaMax).Sigma(1), 1e-12);
        // The first bits of a small time are kept.
        double few = Math.Sqrt(process.IntegratedBeta(1e-12));
        Assert.Equal(few, process.Sigma(1e-12), 1e-9 * few);
    }
}
