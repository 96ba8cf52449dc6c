using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Editing;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Tests.Diffusion.Editing;

/// <summary>
/// For one Gaussian N(m, s^2) the exact answer is known: the guide g becomes x_t = alpha g + sigma z, and x_0 is drawn from
/// N(m + k (x_t - alpha m), (1 - k alpha) s^2) with k = alpha s^2 / (alpha^2 s^2 + sigma^2).
/// </summary>
public class SdEditTests
{
    private const double Mean = 1, Deviation = 0.5, Guide = -2;

    private static readonly LinearSchedule s_process = new();
    private static readonly GaussianMixture s_data = new(new GaussianComponent(new Point2(Mean, Mean), Deviation, 1));

    [Theory]
    [InlineData(0.1)]
    [InlineData(0.3)]
    [InlineData(1)]
    public void An_edit_is_a_draw_given_the_noised_guide(double strength)
    {
        const int count = 5000;
        var edited = SdEdit.Edit(s_data.Denoiser(s_process), Tensor.Full([count, 2], Guide), SdEdit.Times(s_process, strength, 200), new Generator(1));
        double alpha = s_process.Alpha(strength), variance = Math.Pow(s_process.Sigma(strength), 2), s2 = Deviation * Deviation;
        double k = alpha * s2 / (alpha * alpha * s2 + variance);
        double mean = Mean + k * alpha * (Guide - Mean), deviation = Math.Sqrt((1 - k * alpha) * s2 + k * k * variance);
        double[] values = edited.ToDoubleArray();
        double found = values.Average();
        // Four standard errors of 10,000 numbers, and 2% of the data's deviation for 200 steps.
        Assert.Equal(mean, found, 4 * deviation / Math.Sqrt(2 * count) + 0.02 * Deviation);
        Assert.Equal(deviation, Math.Sqrt(values.Average(v => (v - found) * (v - found))), 0.03 * deviation + 0.02 * Deviation);
    }

    [Fact]
    public void The_times_go_from_the_strength_to_the_data()
    {
        Assert.Equal([0.5, 0.25, 0], SdEdit.Times(s_process, 0.5, 2));
        Assert.Equal(new EdmProcess().EndTime, SdEdit.Times(new EdmProcess(), 1, 3)[0]);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-0.5)]
    [InlineData(1.01)]
    [InlineData(double.NaN)]
    public void A_strength_outside_the_process_is_refused(double strength) => Assert.Contains(
        FormattableString.CurrentCulture($"in (0, 1], not {strength}"),
        Assert.Throws<ArgumentOutOfRangeException>(() => SdEdit.Times(s_process, strength, 10)).Message);

    [Fact]
    public void No_steps_are_refused() =>
        Assert.Contains("at least 1 step", Assert.Throws<ArgumentOutOfRangeException>(() => SdEdit.Times(s_process, 0.5, 0)).Message);
}
