using RawDiffusion.Backends;

namespace RawDiffusion.Tests;

/// <summary>The meaning of the noise-schedule operations; more shapes, gradients and threads are in the table of operations.</summary>
public class DiffusionTests
{
    public static TheoryData<string> Devices => [.. Device.Names];

    [Theory]
    [MemberData(nameof(Devices))]
    public void Forward_diffusion_returns_the_noise_it_added_and_it_is_that_of_randn(string name)
    {
        var device = Device.Parse(name);
        var x0 = Tensor.Randn(new Generator(1), [3, 5, 7], device);
        Tensor alpha = Tensor.From([1f, 0.6f, 0], [3], device), sigma = Tensor.From([0f, 0.8f, 1], [3], device);
        var (xt, noise) = F.ForwardDiffusion(x0, alpha, sigma, new Generator(2));
        Assert.Equal(Tensor.Randn(new Generator(2), x0.Shape, device).ToArray(), noise.ToArray());
        double[] x = x0.ToDoubleArray(), eps = noise.ToDoubleArray(), y = xt.ToDoubleArray();
        for (int i = 0; i < y.Length; i++)
            Assert.Equal(new[] { 1, 0.6, 0 }[i / 35] * x[i] + new[] { 0, 0.8, 1 }[i / 35] * eps[i], y[i], 1e-6);
    }

    [Fact]
    public void Successive_calls_draw_new_noise()
    {
        var x0 = Tensor.Zeros([4, 4]);
        Tensor zero = Tensor.Zeros([4]), one = Tensor.Ones([4]);
        var generator = new Generator(3);
        Assert.NotEqual(F.ForwardDiffusion(x0, zero, one, generator).Noise.ToArray(), F.ForwardDiffusion(x0, zero, one, generator).Noise.ToArray());
        Assert.Equal(8ul, generator.Offset);
    }

    /// <summary>With the exact noise as prediction, x0 comes back, and a DDIM step lands on the same x0 and noise at the next level.</summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public void Deterministic_step_with_the_exact_noise_moves_along_the_same_line(string name)
    {
        var device = Device.Parse(name);
        var x0 = Tensor.Randn(new Generator(4), [6, 50], device);
        Tensor alpha = Tensor.Full([6], 0.6, device), sigma = Tensor.Full([6], 0.8, device);
        var (xt, noise) = F.ForwardDiffusion(x0, alpha, sigma, new Generator(5));
        var y = F.DiffusionStep(xt, noise, new(1 / 0.6, 0.8 / 0.6, double.PositiveInfinity, 0, 0.8, 0.6, 0));
        double[] x = x0.ToDoubleArray(), eps = noise.ToDoubleArray(), actual = y.ToDoubleArray();
        for (int i = 0; i < actual.Length; i++)
            Assert.Equal(0.8 * x[i] + 0.6 * eps[i], actual[i], 1e-5);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Step_clamps_the_prediction_of_x0_and_adds_noise_of_the_stated_scale(string name)
    {
        var device = Device.Parse(name);
        Tensor x = Tensor.Full([20000], 3, device), eps = Tensor.Zeros([20000], device);
        double[] y = F.DiffusionStep(x, eps, new(1, 1, 1, 0, 2, 0, 0.5), new Generator(6)).ToDoubleArray();
        // x0 = 3 is clamped to 1, so the mean is 2; five standard errors.
        Assert.Equal(2, y.Average(), 5 * 0.5 / Math.Sqrt(20000));
        Assert.Equal(0.25, y.Average(value => (value - 2) * (value - 2)), 5 * 0.25 * Math.Sqrt(2.0 / 20000));
        Assert.Throws<ArgumentNullException>(() => F.DiffusionStep(x, eps, new(1, 1, 1, 0, 2, 0, 0.5)));
    }

    /// <summary>The step with gradients is composed of plain operations: the same noise, the same result to rounding.</summary>
    [Fact]
    public void Differentiable_step_is_the_fused_step()
    {
        var x = Tensor.Randn(new Generator(7), [1000]);
        var eps = Tensor.Randn(new Generator(8), [1000]);
        var c = new DiffusionStepCoefficients(1.2, 0.7, 0.5, 0.4, 0.6, 0.1, 0.3);
        double[] fused = F.DiffusionStep(x, eps, c, new Generator(9)).ToDoubleArray();
        double[] composed = F.DiffusionStep(x.Detach().RequireGrad(), eps, c, new Generator(9)).ToDoubleArray();
        for (int i = 0; i < fused.Length; i++)
            Assert.Equal(composed[i], fused[i], 2e-6);
    }

    /// <summary>From 1e6 on, one unit in the last place of a float32 time is 1/16: an angle rounded to float32 would be off by that.</summary>
    [Fact]
    public void Time_embedding_is_exact_to_float32_for_large_times()
    {
        float[] times = [0, 0.001f, 1, 999, 12345.678f, 1e6f, 16777215, -500];
        double[] actual = F.TimeEmbedding(Tensor.From(times, [times.Length], Device.Cpu), 256).ToDoubleArray();
        double[] expected = F.TimeEmbedding(Tensor.From(times, [times.Length], Device.Reference), 256).ToDoubleArray();
        for (int i = 0; i < actual.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) < 1e-6, $"time {times[i / 256]}, feature {i % 256}: {actual[i]} instead of {expected[i]}");
    }

    [Fact]
    public void Time_embedding_of_an_odd_dimension_ends_with_zero_and_begins_with_the_fastest_frequency()
    {
        double[] y = F.TimeEmbedding(Tensor.From([2f], [1]), 5, maxPeriod: 100).ToDoubleArray();
        double[] expected = [Math.Sin(2), Math.Sin(0.2), Math.Cos(2), Math.Cos(0.2), 0];
        for (int i = 0; i < 5; i++)
            Assert.Equal(expected[i], y[i], 1e-6);
        y = F.TimeEmbedding(Tensor.From([2f], [1]), 4, maxPeriod: 100, flipSinToCos: true, frequencyShift: 1).ToDoubleArray();
        expected = [Math.Cos(2), Math.Cos(0.02), Math.Sin(2), Math.Sin(0.02)];
        for (int i = 0; i < 4; i++)
            Assert.Equal(expected[i], y[i], 1e-6);
    }

    [Fact]
    public void Wrong_shapes_are_named()
    {
        var x = Tensor.Zeros([2, 3]);
        Assert.Contains(
            "forwardDiffusion: [3] is not one number for each sample of [2, 3]",
            Assert.Throws<ArgumentException>(() => F.ForwardDiffusion(x, Tensor.Zeros([3]), Tensor.Zeros([2]), new Generator(0))).Message);
        Assert.Contains("weightedMse: shapes [2, 3] and [3, 2]", Assert.Throws<ArgumentException>(() => F.WeightedMse(x, Tensor.Zeros([3, 2]), Tensor.Zeros([2]))).Message);
        Assert.Contains("timeEmbedding: the times must be a vector", Assert.Throws<ArgumentException>(() => F.TimeEmbedding(x, 4)).Message);
        Assert.Contains("timeEmbedding: a shift of 2", Assert.Throws<ArgumentOutOfRangeException>(() => F.TimeEmbedding(Tensor.Zeros([1]), 4, frequencyShift: 2)).Message);
        Assert.Contains(
            "alpha and sigma get no gradients",
            Assert.Throws<ArgumentException>(() => F.ForwardDiffusion(x, Tensor.Ones([2]).RequireGrad(), Tensor.Zeros([2]), new Generator(0))).Message);
    }
}
