using RawDiffusion.Diffusion.Data;

namespace RawDiffusion.Tests;

public class CheckerboardTests
{
    private static readonly Checkerboard s_board = new();

    /// <summary>From almost no noise to almost no signal, on both sides of the change to the midpoint rule, and at alpha = 0.</summary>
    public static TheoryData<double, double> NoiseLevels => new()
    {
        { 1, 0.05 }, { 0.9, 0.4358899 }, { 1, 20 }, { 0.01, 0.99995 }, { 1.001e-4, 1 }, { 0.999e-4, 1 }, { 0, 1 },
    };

    [Fact]
    public void SamplesFillTheDarkSquaresEvenly()
    {
        const int Count = 80_000;
        double[] points = s_board.Sample(Count, new Generator(1), Device.Reference).ToDoubleArray();
        var seen = new int[4, 4];
        double sumX = 0, sumY = 0;
        for (int i = 0; i < Count; i++)
        {
            var point = new Point2(points[2 * i], points[2 * i + 1]);
            Assert.Equal(-Math.Log(8), s_board.LogDensity(point));
            seen[(int)Math.Floor(point.X + 2), (int)Math.Floor(point.Y + 2)]++;
            sumX += point.X - Math.Floor(point.X);
            sumY += point.Y - Math.Floor(point.Y);
        }
        for (int column = 0; column < 4; column++)
        {
            for (int row = 0; row < 4; row++)
            {
                // Five standard deviations of a binomial count.
                Assert.Equal((column + row) % 2 == 0 ? Count / 8 : 0, seen[column, row], 5 * Math.Sqrt(Count / 8.0));
            }
        }
        double deviation = 5 * Math.Sqrt(1.0 / 12 / Count);
        Assert.Equal(0.5, sumX / Count, deviation);
        Assert.Equal(0.5, sumY / Count, deviation);
    }

    [Fact]
    public void LightSquaresAndTheOutsideHaveNoDensity()
    {
        Assert.Equal(double.NegativeInfinity, s_board.LogDensity(new Point2(-1.5, -0.5)));
        Assert.Equal(double.NegativeInfinity, s_board.LogDensity(new Point2(2.5, 2.5)));
        Assert.Equal(-Math.Log(8 * 0.25), s_board.LogDensity(new Point2(-0.75, -0.75), alpha: 0.5), 1e-15);
        Assert.Throws<ArgumentException>(() => s_board.Score(new Point2(0.5, 0.5)));
        Assert.Equal(new Point2(0.5, 0.75), s_board.Denoise(new Point2(0.25, 0.375), 0.5, 0));
    }

    [Fact]
    public void TheNoisedDensityIsTheConvolutionWithTheNoise()
    {
        // The integrand is smooth on every dark square, where the midpoint rule errs by the square of the step times the relative curvature, below 40 here, / 24.
        const double Alpha = 0.8, Sigma = 0.6;
        const int Points = 400;
        foreach (var x in new[] { new Point2(0, 0), new Point2(1.2, -0.7), new Point2(-2, 2.5) })
        {
            double density = 0, meanX = 0, meanY = 0;
            for (int square = 0; square < 16; square++)
            {
                if ((square / 4 + square % 4) % 2 == 1)
                    continue;
                for (int i = 0; i < Points * Points; i++)
                {
                    double u = square / 4 - 2 + (i / Points + 0.5) / Points, v = square % 4 - 2 + (i % Points + 0.5) / Points;
                    double dx = x.X - Alpha * u, dy = x.Y - Alpha * v;
                    double mass = Math.Exp(-(dx * dx + dy * dy) / (2 * Sigma * Sigma)) / (2 * Math.PI * Sigma * Sigma) / 8 / Points / Points;
                    density += mass;
                    meanX += mass * u;
                    meanY += mass * v;
                }
            }
            Assert.Equal(1, density / Math.Exp(s_board.LogDensity(x, Alpha, Sigma)), 1e-5);
            Assert.Equal(meanX / density, s_board.Denoise(x, Alpha, Sigma).X, 1e-5);
            Assert.Equal(meanY / density, s_board.Denoise(x, Alpha, Sigma).Y, 1e-5);
        }
    }

    [Theory]
    [MemberData(nameof(NoiseLevels))]
    public void TheScoreIsTheGradientOfTheLogDensity(double alpha, double sigma)
    {
        foreach (var x in Points())
        {
            double h = 1e-4 * sigma;
            double dx = (s_board.LogDensity(new Point2(x.X + h, x.Y), alpha, sigma) - s_board.LogDensity(new Point2(x.X - h, x.Y), alpha, sigma)) / (2 * h);
            double dy = (s_board.LogDensity(new Point2(x.X, x.Y + h), alpha, sigma) - s_board.LogDensity(new Point2(x.X, x.Y - h), alpha, sigma)) / (2 * h);
            var score = s_board.Score(x, alpha, sigma);
            // Rounding of the density, which loses up to four digits, is divided by h; the truncation is h^2 / 6 of the third derivative.
            double tolerance = 1e-6 * (1 / sigma + Math.Abs(dx) + Math.Abs(dy));
            Assert.Equal(dx, score.X, tolerance);
            Assert.Equal(dy, score.Y, tolerance);
        }
    }

    [Theory]
    [MemberData(nameof(NoiseLevels))]
    public void DenoiserAndScoreObeyTweedie(double alpha, double sigma)
    {
        foreach (var x in Points())
        {
            var score = s_board.Score(x, alpha, sigma);
            var denoised = s_board.Denoise(x, alpha, sigma);
            // Efron 2011, alpha E[x0 | x_t] = x_t + sigma^2 score; the right side nearly cancels where alpha is small, and the midpoint
            // rule is good to (alpha / sigma)^2.
            double tolerance = 1e-8 * sigma;
            Assert.Equal(x.X + sigma * sigma * score.X, alpha * denoised.X, tolerance);
            Assert.Equal(x.Y + sigma * sigma * score.Y, alpha * denoised.Y, tolerance);
            Assert.InRange(denoised.X, -2 - 1e-6, 2 + 1e-6);
            Assert.InRange(denoised.Y, -2 - 1e-6, 2 + 1e-6);
        }
    }

    [Fact]
    public void TheMidpointRuleTakesOverWithoutAStep()
    {
        foreach (var x in Points())
        {
            double below = s_board.LogDensity(x, 0.99999999e-4, 1), above = s_board.LogDensity(x, 1.00000001e-4, 1);
            // (alpha / sigma)^2 / 24 times the curvature of the normal density, below 20.
            Assert.Equal(below, above, 1e-8);
            // Above, the mean is a difference of numbers near 1e4, good to 1e-11, divided by alpha.
            Assert.Equal(s_board.Denoise(x, 0.99999999e-4, 1).X, s_board.Denoise(x, 1.00000001e-4, 1).X, 1e-5);
        }
    }

    [Fact]
    public void FarAwayTheNearestSquareCounts()
    {
        var far = new Point2(1000, 1000);
        Assert.Equal(-(1000 - 2) / 0.01, s_board.Score(far, 1, 0.1).X, 1);
        Assert.Equal(2, s_board.Denoise(far, 1, 0.1).X, 1e-4);
        Assert.True(double.IsFinite(s_board.LogDensity(far, 1, 0.1)));
    }

    private static IEnumerable<Point2> Points()
    {
        var random = new Random(5);
        for (int i = 0; i < 50; i++)
            yield return new Point2(random.NextDouble() * 6 - 3, random.NextDouble() * 6 - 3);
    }
}
