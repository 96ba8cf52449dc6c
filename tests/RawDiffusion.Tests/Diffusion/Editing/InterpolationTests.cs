using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Editing;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Tests.Diffusion.Editing;

public class InterpolationTests
{
    [Theory]
    [InlineData(0, 1, 0)]
    [InlineData(1, 0, 1)]
    [InlineData(0.5, 0.70710678118654752, 0.70710678118654752)]
    [InlineData(1.0 / 3, 0.86602540378443865, 0.5)]
    [InlineData(2, -1, 0)]
    public void Slerp_goes_along_the_circle_in_equal_parts(double weight, double x, double y)
    {
        double[] found = Interpolation.Slerp(Reference(1, 0), Reference(0, 1), weight).ToDoubleArray();
        // Rounding of sines in float64.
        Assert.Equal(x, found[0], 1e-14);
        Assert.Equal(y, found[1], 1e-14);
    }

    [Fact]
    public void Slerp_keeps_the_length_of_normals_where_a_straight_line_does_not()
    {
        const int size = 10_000;
        var generator = new Generator(1);
        Tensor a = Tensor.Randn(generator, [2, size]), b = Tensor.Randn(generator, [2, size]);
        // Two lengths that scatter by 1 / sqrt(2 size) = 0.7% about sqrt(size), and an angle that does so about 90 degrees.
        Assert.All(Interpolation.Slerp(a, b, 0.5).Norm([1]).ToArray(), norm => Assert.Equal(Math.Sqrt(size), norm, 3.0));
        Assert.All(((a + b) * 0.5).Norm([1]).ToArray(), norm => Assert.Equal(Math.Sqrt(size / 2.0), norm, 3.0));
    }

    [Fact]
    public void Each_sample_of_a_batch_has_its_own_angle()
    {
        Tensor a = Tensor.From([1.0, 0, 0, 3], [2, 2, 1], Device.Reference), b = Tensor.From([0.0, 1, 0, 1], [2, 2, 1], Device.Reference);
        double[] found = Interpolation.Slerp(a, b, 0.5).ToDoubleArray(), expected = [Math.Sqrt(0.5), Math.Sqrt(0.5), 0, 2];
        Assert.All(expected.Zip(found), pair => Assert.Equal(pair.First, pair.Second, 1e-14));
    }

    /// <summary>Both formulas agree there to the square of the angle.</summary>
    [Theory]
    [InlineData(1e-3)]
    [InlineData(1e-5)]
    [InlineData(0)]
    public void Nearly_parallel_samples_are_joined_by_a_straight_line(double angle)
    {
        double[] found = Interpolation.Slerp(Reference(2, 0), Reference(2 * Math.Cos(angle), 2 * Math.Sin(angle)), 0.25).ToDoubleArray();
        Assert.Equal(2, found[0], 1e-6);
        Assert.Equal(0.5 * angle, found[1], 1e-9);
    }

    [Fact]
    public void A_straight_line_leads_from_zero() =>
        Assert.Equal([0.25, 0.5], Interpolation.Slerp(Reference(0, 0), Reference(1, 2), 0.25).ToDoubleArray());

    [Fact]
    public void Opposite_samples_are_refused_by_number() => Assert.Contains(
        "samples 1 have opposite directions",
        Assert.Throws<ArgumentException>(() => Interpolation.Slerp(
            Tensor.From([1.0, 0, 1, 1], [2, 2]), Tensor.From([0.0, 1, -2, -2], [2, 2]), 0.5)).Message);

    [Fact]
    public void Shapes_that_differ_are_refused()
    {
        Assert.Contains("[1, 2] and [2, 2]", Assert.Throws<ArgumentException>(() => Interpolation.Slerp(Tensor.Ones([1, 2]), Tensor.Ones([2, 2]), 0.5)).Message);
        var denoiser = new EightGaussians().Denoiser(new LinearSchedule());
        Assert.Throws<ArgumentException>(() => Interpolation.Between(denoiser, Tensor.Ones([1, 2]), Tensor.Ones([2, 2]), [0.5], [1, 0]));
        Assert.Contains("weight", Assert.Throws<ArgumentException>(() => Interpolation.Between(denoiser, Tensor.Ones([1, 2]), Tensor.Ones([1, 2]), [], [1, 0])).Message);
    }

    [Fact]
    public void The_ends_of_an_interpolation_are_the_samples_themselves()
    {
        var data = new EightGaussians();
        var process = new CosineSchedule();
        var generator = new Generator(3);
        Tensor a = data.Sample(30, generator, Device.Reference), b = data.Sample(30, generator, Device.Reference);
        var way = Interpolation.Between(data.Denoiser(process), a, b, [0, 1], TimeGrid.LogSnr(process, 1000, 0.01));
        Assert.Equal(new Shape(60, 2), way.Shape);
        double[] expected = Tensor.Concat([a, b]).ToDoubleArray(), found = way.ToDoubleArray();
        // The steps' error: 1e-4 of the mean square, a tenth of a mode's deviation, is asked of 1,000 steps; a single point may be worse.
        Assert.True(expected.Zip(found).Average(pair => Math.Pow(pair.First - pair.Second, 2)) < 1e-4);
    }

    /// <summary>x_s from x_t is a linear map for one Gaussian: in latents of N(0, 1) it is a factor, and inversion its inverse as steps become small.</summary>
    [Fact]
    public void Inversion_follows_the_flow_of_a_Gaussian()
    {
        const double deviation = 0.4;
        var process = new CosineSchedule();
        var data = new GaussianMixture(new GaussianComponent(new Point2(0, 0), deviation, 1));
        var x = data.Sample(10, new Generator(1), Device.Reference);
        double end = process.TimeOf(5), factor = Deviation(end) / deviation;
        double[] errors = new double[2];
        for (int i = 0; i < errors.Length; i++)
        {
            int steps = 200 << i;
            double[] times = [.. Enumerable.Range(0, steps + 1).Select(step => end * step / steps)];
            errors[i] = (Sampler.Invert(data.Denoiser(process), x, times) - x * factor).Square().Mean().Sqrt().Item();
        }
        Assert.True(errors[0] < 0.02, $"{errors[0]}");
        // Half as long steps, half the error: the first order, up to terms of the second.
        Assert.Equal(2, errors[0] / errors[1], 0.2);

        double Deviation(double t) => Math.Sqrt(Math.Pow(process.Alpha(t) * deviation, 2) + Math.Pow(process.Sigma(t), 2));
    }

    private static Tensor Reference(double x, double y) => Tensor.From([x, y], [1, 2], Device.Reference);
}
