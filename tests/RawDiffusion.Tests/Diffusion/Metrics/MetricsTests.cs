using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;

namespace RawDiffusion.Tests;

public class MetricsTests
{
    [Fact]
    public void APermutedCloudIsAtDistanceZero()
    {
        var x = new EightGaussians().Sample(999, new Generator(1));
        float[] values = x.ToArray();
        var backwards = Enumerable.Range(0, 999).Reverse().SelectMany(i => new[] { values[2 * i], values[2 * i + 1] }).ToArray();
        Assert.Equal(0, SlicedWasserstein.Distance(x, Tensor.From(backwards, x.Shape)));
    }

    [Fact]
    public void InOneDimensionTheDistanceIsExact()
    {
        Assert.Equal(5, Line([0, 1], [6, 5]));
        Assert.Equal(2, Line([0], [1, 3]));
        // The quantile functions differ by 1 for u in [1/3, 2/3], hence both orders give 1/3 before the root.
        Assert.Equal(1.0 / 3, Line([0, 1, 2], [0, 2]), 1e-15);
        Assert.Equal(Math.Sqrt(1.0 / 3), Line([2, 1, 0], [2, 0], order: 2), 1e-15);

        static double Line(float[] x, float[] y, int order = 1) =>
            SlicedWasserstein.Distance(Tensor.From(x, [x.Length, 1]), Tensor.From(y, [y.Length, 1]), 10, order);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(5)]
    public void AShiftIsFeltAsItsMeanProjection(int dimension)
    {
        const int Projections = 4000;
        const float Shift = 3;
        var random = new Random(2);
        float[] x = new float[500 * dimension];
        for (int i = 0; i < x.Length; i++)
            x[i] = random.NextSingle();
        float[] y = x.Select((value, i) => i % dimension == 0 ? value + Shift : value).ToArray();
        var (cloudX, cloudY) = (Tensor.From(x, [500, dimension]), Tensor.From(y, [500, dimension]));
        // E|theta_1| on the sphere is 2/pi in the plane, 3/8 in five dimensions; E theta_1^2 = 1/D. The mean of 4,000 directions
        // has a standard error below 0.5 / sqrt(4000) = 0.8% of the shift; four of them are allowed.
        double expected = dimension == 2 ? 2 / Math.PI : 3.0 / 8;
        double tolerance = 4 * Shift * 0.5 / Math.Sqrt(Projections);
        Assert.Equal(Shift * expected, SlicedWasserstein.Distance(cloudX, cloudY, Projections), tolerance);
        double order2 = SlicedWasserstein.Distance(cloudX, cloudY, Projections, order: 2);
        Assert.Equal(Shift * Shift / dimension, order2 * order2, Shift * tolerance);
    }

    [Fact]
    public void AScaledGaussianIsAtTheDistanceOfItsQuantiles()
    {
        // Between N(0, 1) and N(0, s^2) every W_2 is s - 1 and every W_1 is (s - 1) E|z| = (s - 1) sqrt(2/pi).
        const int Count = 20_000;
        const double Scale = 1.5;
        var unit = new GaussianMixture(new GaussianComponent(default, 1, 1));
        var wide = new GaussianMixture(new GaussianComponent(default, Scale, 1));
        var (x, y) = (unit.Sample(Count, new Generator(1)), wide.Sample(Count, new Generator(2)));
        // The sampling error of a standard deviation is s / sqrt(2n), of both together below 0.01; three of them.
        Assert.Equal(Scale - 1, SlicedWasserstein.Distance(x, y, 100, order: 2), 0.03);
        Assert.Equal((Scale - 1) * Math.Sqrt(2 / Math.PI), SlicedWasserstein.Distance(x, y, 100), 0.03);
    }

    [Fact]
    public void DifferentSizesOfOneCloudAgree()
    {
        var x = new EightGaussians().Sample(300, new Generator(1));
        float[] once = x.ToArray();
        var twice = Tensor.From([.. once, .. once], [600, 2]);
        // A cloud and its double are one distribution; the projections' float32 rounding is the same for both.
        Assert.Equal(0, SlicedWasserstein.Distance(x, twice, 50), 1e-12);
    }

    [Fact]
    public void ResultsRepeatAndDirectionsMatterLittle()
    {
        var mixture = new EightGaussians();
        var (x, y) = (mixture.Sample(2000, new Generator(1)), mixture.Sample(2000, new Generator(2)));
        double first = SlicedWasserstein.Distance(x, y);
        Assert.Equal(first, SlicedWasserstein.Distance(x, y));
        double other = SlicedWasserstein.Distance(x, y, seed: 1);
        Assert.NotEqual(first, other);
        Assert.Equal(1, other / first, 0.1);
    }

    [Fact]
    public void TheFloorFallsAsTheRootOfTheSize()
    {
        var mixture = new EightGaussians();
        double small = SlicedWasserstein.Floor(mixture, 1000, 200), large = SlicedWasserstein.Floor(mixture, 16_000, 200);
        // Expected ratio 4; the mean of five pairs scatters by less than a third.
        Assert.InRange(small / large, 2, 8);
    }

    [Fact]
    public void NotANumberIsNotHidden()
    {
        var x = Tensor.From([0f, 1f, float.NaN, 2f], [2, 2]);
        Assert.True(double.IsNaN(SlicedWasserstein.Distance(x, Tensor.From([0f, 1f, 1f, 2f], [2, 2]))));
    }

    [Fact]
    public void CloudsThatCannotBeComparedAreRefused()
    {
        var x = Tensor.From([0f, 1f], [1, 2]);
        Assert.Contains("[1, 2] and [2, 1]", Assert.Throws<ArgumentException>(() => SlicedWasserstein.Distance(x, Tensor.From([0f, 1f], [2, 1]))).Message);
        Assert.Throws<ArgumentException>(() => SlicedWasserstein.Distance(x, Tensor.From(ReadOnlySpan<float>.Empty, [0, 2])));
        Assert.Throws<ArgumentException>(() => SlicedWasserstein.Distance(x, x, order: 3));
    }

    [Fact]
    public void CoverageCountsModesAndStrays()
    {
        Point2[] modes = [new(0, 0), new(10, 0), new(0, 10)];
        // Two at the first mode, one near the second, one nearer to the second than to others but far from it, one not a number.
        var samples = Tensor.From([0f, 0.5f, 0.5f, 0f, 10f, 1f, 10f, 4f, float.NaN, 0f], [5, 2]);
        var coverage = ModeCoverage.Measure(samples, modes, radius: 1);
        Assert.Equal([0.4, 0.4, 0], coverage.Share);
        Assert.Equal([0.4, 0.2, 0], coverage.ShareWithin);
        Assert.Equal(2, coverage.ModesFound);
        Assert.Equal(0.4, coverage.Strays);
    }

    [Fact]
    public void FreshDataCoverAllModes()
    {
        const int Count = 20_000;
        var mixture = new EightGaussians();
        var coverage = ModeCoverage.Measure(mixture.Sample(Count, new Generator(4)), mixture);
        Assert.Equal(8, coverage.ModesFound);
        Assert.Equal(1, coverage.Share.Sum(), 1e-12);
        // Five standard errors of a share of 1/8.
        Assert.All(coverage.Share, share => Assert.Equal(0.125, share, 5 * Math.Sqrt(0.125 * 0.875 / Count)));
        // A plane Gaussian leaves exp(-4^2 / 2) = 0.034% beyond four standard deviations: 6.7 of 20,000.
        Assert.InRange(coverage.Strays * Count, 0, 25);
    }
}
