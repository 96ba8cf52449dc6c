using RawDiffusion.Diffusion.Data;

namespace RawDiffusion.Tests;

public class GaussianMixtureTests
{
    // Unequal weights and widths, so that nothing cancels by symmetry.
    private static readonly GaussianMixture s_lopsided = new(
        new GaussianComponent(new Point2(0.5, -1), 0.3, 1),
        new GaussianComponent(new Point2(-1, 0.2), 0.6, 2),
        new GaussianComponent(new Point2(1.5, 1), 0.2, 0.5));

    public static TheoryData<double, double> NoiseLevels => new()
    {
        { 1, 0 }, { 1, 0.5 }, { 0.9, 0.4358899 }, { 0.3, 0.9539392 }, { 1, 20 }, { 0.01, 0.99995 },
    };

    public static TheoryData<GaussianMixture> Mixtures => [new EightGaussians(), s_lopsided];

    [Fact]
    public void EightGaussiansStandOnACircle()
    {
        var modes = new EightGaussians().Components;
        Assert.Equal(8, modes.Count);
        Assert.Equal(new Point2(2, 0), modes[0].Mean);
        for (int k = 0; k < 8; k++)
        {
            Assert.Equal(2 * Math.Cos(k * Math.PI / 4), modes[k].Mean.X, 1e-15);
            Assert.Equal(2 * Math.Sin(k * Math.PI / 4), modes[k].Mean.Y, 1e-15);
            Assert.Equal((0.1, 0.125), (modes[k].StandardDeviation, modes[k].Weight));
        }
    }

    [Theory]
    [MemberData(nameof(NoiseLevels))]
    public void TheDensityIntegratesToOne(double alpha, double sigma)
    {
        // The trapezoid rule is exact to rounding for Gaussians when the step is below their width and the tails are inside.
        double narrow = Math.Sqrt(alpha * alpha * 0.01 + sigma * sigma);
        double step = narrow / 2, end = 2.2 * alpha + 9 * narrow;
        var mixture = new EightGaussians();
        double sum = 0;
        for (double x = -end; x <= end; x += step)
        {
            for (double y = -end; y <= end; y += step)
                sum += Math.Exp(mixture.LogDensity(new Point2(x, y), alpha, sigma));
        }
        Assert.Equal(1, sum * step * step, 1e-9);
    }

    [Fact]
    public void TheNoisedDensityIsTheConvolutionWithTheNoise()
    {
        const double Alpha = 0.8, Sigma = 0.6, Step = 0.05;
        foreach (var x in new[] { new Point2(0, 0), new Point2(1.2, -0.7), new Point2(-2, 2) })
        {
            double density = 0, meanX = 0;
            for (double u = -5; u <= 5; u += Step)
            {
                for (double v = -5; v <= 5; v += Step)
                {
                    double dx = x.X - Alpha * u, dy = x.Y - Alpha * v;
                    double noise = Math.Exp(-(dx * dx + dy * dy) / (2 * Sigma * Sigma)) / (2 * Math.PI * Sigma * Sigma);
                    double mass = Math.Exp(s_lopsided.LogDensity(new Point2(u, v))) * noise * Step * Step;
                    density += mass;
                    meanX += mass * u;
                }
            }
            Assert.Equal(1, density / Math.Exp(s_lopsided.LogDensity(x, Alpha, Sigma)), 1e-9);
            Assert.Equal(meanX / density, s_lopsided.Denoise(x, Alpha, Sigma).X, 1e-9);
        }
    }

    [Theory]
    [MemberData(nameof(NoiseLevels))]
    public void TheScoreIsTheGradientOfTheLogDensity(double alpha, double sigma)
    {
        foreach (var x in Points())
        {
            // The error of central differences is h^2 / 6 times the third derivative, which scales as 1 / width^3.
            double width = Math.Sqrt(alpha * alpha * 0.04 + sigma * sigma), h = 1e-4 * width;
            double dx = (s_lopsided.LogDensity(new Point2(x.X + h, x.Y), alpha, sigma) - s_lopsided.LogDensity(new Point2(x.X - h, x.Y), alpha, sigma)) / (2 * h);
            double dy = (s_lopsided.LogDensity(new Point2(x.X, x.Y + h), alpha, sigma) - s_lopsided.LogDensity(new Point2(x.X, x.Y - h), alpha, sigma)) / (2 * h);
            var score = s_lopsided.Score(x, alpha, sigma);
            double tolerance = 1e-5 * (1 / width + Math.Abs(dx) + Math.Abs(dy));
            Assert.Equal(dx, score.X, tolerance);
            Assert.Equal(dy, score.Y, tolerance);
        }
    }

    [Theory]
    [MemberData(nameof(NoiseLevels))]
    public void DenoiserAndScoreObeyTweedie(double alpha, double sigma)
    {
        // Efron 2011: E[x0 | x_t] = (x_t + sigma^2 score) / alpha.
        foreach (var x in Points())
        {
            var score = s_lopsided.Score(x, alpha, sigma);
            var denoised = s_lopsided.Denoise(x, alpha, sigma);
            // Dividing by alpha magnifies the rounding of x_t and of the score, which nearly cancel.
            double tolerance = 1e-13 * (1 + Math.Abs(x.X) + Math.Abs(x.Y)) * (1 + sigma * sigma) / alpha;
            Assert.Equal((x.X + sigma * sigma * score.X) / alpha, denoised.X, tolerance);
            Assert.Equal((x.Y + sigma * sigma * score.Y) / alpha, denoised.Y, tolerance);
        }
    }

    [Fact]
    public void FarAwayNothingOverflows()
    {
        // There the nearest mode alone counts: the density itself underflows to 0, its logarithm does not.
        var mixture = new EightGaussians();
        var far = new Point2(1e6, 0);
        Assert.Equal(-0.5 * Math.Pow((1e6 - 2) / 0.1, 2), mixture.LogDensity(far), 1e-12 * 5e13);
        Assert.Equal(-(1e6 - 2) / 0.01, mixture.Score(far).X, 1e-3);
        Assert.Equal(0, mixture.Score(far).Y, 1e-3);
    }

    [Fact]
    public void WithoutSignalTheBestGuessIsTheMean()
    {
        double mean = s_lopsided.Components.Sum(component => component.Weight * component.Mean.X);
        Assert.Equal(mean, s_lopsided.Denoise(new Point2(3, -4), alpha: 0, sigma: 1).X, 1e-12);
    }

    [Fact]
    public void APointMassHasNoDensityWithoutNoise()
    {
        var point = new GaussianMixture(new GaussianComponent(new Point2(1, 1), 0, 1));
        Assert.Throws<ArgumentException>(() => point.LogDensity(new Point2(1, 1)));
        Assert.Equal(new Point2(1, 1), point.Denoise(new Point2(5, 5), 1, 1));
    }

    [Theory]
    [MemberData(nameof(Mixtures))]
    public void SamplesHaveTheMomentsAndSharesOfTheMixture(GaussianMixture mixture)
    {
        const int Count = 100_000;
        double[] points = mixture.Sample(Count, new Generator(3), Device.Reference).ToDoubleArray();
        double meanX = 0, squareX = 0, expectedX = 0, expectedSquareX = 0;
        for (int i = 0; i < Count; i++)
        {
            meanX += points[2 * i] / Count;
            squareX += points[2 * i] * points[2 * i] / Count;
        }
        foreach (var (mean, deviation, weight) in mixture.Components)
        {
            expectedX += weight * mean.X;
            expectedSquareX += weight * (mean.X * mean.X + deviation * deviation);
        }
        // Coordinates and their squares have standard deviations below 1.5 here: five standard errors.
        Assert.Equal(expectedX, meanX, 5 * 1.5 / Math.Sqrt(Count));
        Assert.Equal(expectedSquareX, squareX, 5 * 1.5 / Math.Sqrt(Count));
        // The mean log-density is minus the entropy only if samples and density are of one distribution: Gibbs' inequality
        // makes E[ln p] an optimum, and the score has mean zero.
        double scoreX = 0, scoreSquare = 0;
        for (int i = 0; i < Count; i++)
        {
            double score = mixture.Score(new Point2(points[2 * i], points[2 * i + 1])).X;
            scoreX += score / Count;
            scoreSquare += score * score / Count;
        }
        Assert.Equal(0, scoreX, 5 * Math.Sqrt(scoreSquare / Count));
    }

    [Fact]
    public void SamplingIsRepeatableAndAdvancesTheGenerator()
    {
        var mixture = new EightGaussians();
        var generator = new Generator(1, stream: 2);
        float[] first = mixture.Sample(1000, generator).ToArray(), second = mixture.Sample(500, generator).ToArray();
        float[] whole = mixture.Sample(1500, new Generator(1, stream: 2)).ToArray();
        Assert.Equal(whole, first.Concat(second));
        Assert.NotEqual(first[..1000], mixture.Sample(500, new Generator(2, stream: 2)).ToArray());
        Assert.Equal(new Shape(0, 2), mixture.Sample(0, generator).Shape);
        double[] reference = mixture.Sample(1000, new Generator(1, stream: 2), Device.Reference).ToDoubleArray();
        Assert.Equal(first, Array.ConvertAll(reference, static value => (float)value));
    }

    [Fact]
    public void TensorsGiveWhatPointsGive()
    {
        var mixture = new EightGaussians();
        var x = mixture.Sample(1111, new Generator(1), Device.Reference);
        double[] points = x.ToDoubleArray();
        double[] logDensity = mixture.LogDensity(x, 0.6, 0.8).ToDoubleArray();
        double[] score = mixture.Score(x, 0.6, 0.8).ToDoubleArray(), denoised = mixture.Denoise(x, 0.6, 0.8).ToDoubleArray();
        for (int i = 0; i < 1111; i++)
        {
            var point = new Point2(points[2 * i], points[2 * i + 1]);
            Assert.Equal(mixture.LogDensity(point, 0.6, 0.8), logDensity[i]);
            Assert.Equal(mixture.Score(point, 0.6, 0.8), new Point2(score[2 * i], score[2 * i + 1]));
            Assert.Equal(mixture.Denoise(point, 0.6, 0.8), new Point2(denoised[2 * i], denoised[2 * i + 1]));
        }
        Assert.Contains("[3, 3]", Assert.Throws<ArgumentException>(() => mixture.Score(Tensor.Empty([3, 3]))).Message);
    }

    [Fact]
    public void ImpossibleComponentsAreRefused()
    {
        Assert.Throws<ArgumentException>(() => new GaussianMixture());
        Assert.Throws<ArgumentException>(() => new GaussianMixture(new GaussianComponent(default, 1, 0)));
        Assert.Throws<ArgumentException>(() => new GaussianMixture(new GaussianComponent(default, -1, 1)));
        Assert.Throws<ArgumentException>(() => new GaussianMixture(new GaussianComponent(default, double.NaN, 1)));
    }

    private static IEnumerable<Point2> Points()
    {
        var random = new Random(5);
        for (int i = 0; i < 50; i++)
            yield return new Point2(random.NextDouble() * 6 - 3, random.NextDouble() * 6 - 3);
    }
}
