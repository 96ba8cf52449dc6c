using RawDiffusion.Diffusion.Metrics;

namespace RawDiffusion.Tests.Diffusion.Metrics;

public class MoreMetricsTests
{
    private static Tensor Normal(ulong seed, Shape shape, double scale = 1, double shift = 0) =>
        Tensor.Randn(new Generator(seed), shape, Device.Reference) * scale + shift;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void The_best_pairing_is_found_among_all(int order)
    {
        Tensor x = Normal(1, [6, 2]), y = Normal(2, [6, 2]);
        double[] a = x.ToDoubleArray(), b = y.ToDoubleArray();
        double best = Permutations([0, 1, 2, 3, 4, 5]).Min(p => Enumerable.Range(0, 6).Average(i =>
            Math.Pow(Math.Sqrt(Math.Pow(a[2 * i] - b[2 * p[i]], 2) + Math.Pow(a[2 * i + 1] - b[2 * p[i] + 1], 2)), order)));
        Assert.Equal(order == 1 ? best : Math.Sqrt(best), ExactWasserstein.Distance(x, y, order), 1e-12);
    }

    [Fact]
    public void A_shift_is_its_own_distance_and_order_does_not_matter()
    {
        var x = Normal(3, [200, 3]);
        var shifted = x + Tensor.From(new double[] { 3, 0, 4 }, [3], Device.Reference);
        // The pairing of each point with its own shifted self costs 5 everywhere, and no pairing can cost less than the shift of the mean.
        Assert.Equal(5, ExactWasserstein.Distance(x, shifted), 1e-9);
        var reversed = shifted.IndexSelect(0, Tensor.From(Enumerable.Range(0, 200).Reverse().ToArray(), [200], Device.Reference));
        Assert.Equal(5, ExactWasserstein.Distance(x, reversed, 2), 1e-9);
    }

    [Fact]
    public void On_a_line_it_is_the_sliced_distance()
    {
        Tensor x = Normal(4, [300, 1]), y = Normal(5, [300, 1], 2, 1);
        // One direction up to its sign; projections are float32.
        Assert.Equal(SlicedWasserstein.Distance(x, y, projections: 1), ExactWasserstein.Distance(x, y), 1e-5);
    }

    [Fact]
    public void Distances_over_pairs_have_their_closed_forms()
    {
        // Points 0 and 2 against 1 and 5 on a line: means over the four pairs and over the one pair within each.
        Tensor x = Tensor.From(new double[] { 0, 2 }, [2, 1], Device.Reference), y = Tensor.From(new double[] { 1, 5 }, [2, 1], Device.Reference);
        Assert.Equal(2 * (1 + 5 + 1 + 3) / 4.0 - 2 - 4, KernelDistances.Energy(x, y), 1e-12);
        double K(double d) => Math.Exp(-d * d / (2 * 1.5 * 1.5));
        Assert.Equal(K(2) + K(4) - 2 * (K(1) + K(5) + K(1) + K(3)) / 4, KernelDistances.MaximumMeanDiscrepancy(x, y, 1.5), 1e-12);
        double P(double a, double b) => Math.Pow(a * b + 1, 3);
        Assert.Equal(P(0, 2) + P(1, 5) - 2 * (P(0, 1) + P(0, 5) + P(2, 1) + P(2, 5)) / 4, KernelDistances.KernelInception(x, y), 1e-9);
    }

    [Fact]
    public void Distances_of_one_distribution_scatter_around_0_and_those_of_two_do_not()
    {
        const int Pairs = 200;
        double[] same = new double[Pairs], other = new double[Pairs];
        for (int i = 0; i < Pairs; i++)
        {
            var x = Normal((ulong)(1000 + i), [50, 2]);
            same[i] = KernelDistances.Energy(x, Normal((ulong)(2000 + i), [50, 2]));
            other[i] = KernelDistances.Energy(x, Normal((ulong)(2000 + i), [50, 2], 1, 0.7));
        }
        double deviation = Math.Sqrt(same.Sum(v => v * v) / Pairs);
        Assert.InRange(Math.Abs(same.Average()), 0, 3 * deviation / Math.Sqrt(Pairs));
        Assert.True(other.Average() > 5 * deviation && other.Count(v => v > 3 * deviation) > 0.9 * Pairs);
    }

    [Fact]
    public void Precision_falls_with_strays_and_recall_with_missing_modes()
    {
        Tensor left = Normal(1, [200, 2]), right = Normal(2, [200, 2], 1, 20), strays = Normal(3, [200, 2], 1, -50);
        var data = Tensor.Concat([left, right]);
        var alike = PrecisionRecall.Measure(data, Tensor.Concat([Normal(4, [200, 2]), Normal(5, [200, 2], 1, 20)]));
        Assert.True(alike is { Precision: > 0.8, Recall: > 0.8 }, alike.ToString());
        var oneMode = PrecisionRecall.Measure(data, Tensor.Concat([Normal(4, [200, 2]), Normal(6, [200, 2])]));
        Assert.True(oneMode is { Precision: > 0.8, Recall: < 0.5 }, oneMode.ToString());
        var half = PrecisionRecall.Measure(data, Tensor.Concat([Normal(4, [200, 2]), strays]));
        Assert.InRange(half.Precision, 0.35, 0.5);
    }

    [Fact]
    public void Image_similarities_have_their_fixed_points()
    {
        var x = Normal(1, [2, 16, 16, 3], 0.3);
        Assert.Equal(double.PositiveInfinity, ImageSimilarity.PeakSignalToNoise(x, x));
        // An error of 0.2 everywhere beside a range of 2: 20 decibels.
        Assert.Equal(20, ImageSimilarity.PeakSignalToNoise(x, x + 0.2), 1e-9);
        Assert.Equal(1, ImageSimilarity.StructuralSimilarity(x, x), 1e-12);
        double little = ImageSimilarity.StructuralSimilarity(x, x + Normal(2, x.Shape, 0.1)), much = ImageSimilarity.StructuralSimilarity(x, x + Normal(2, x.Shape, 0.5));
        Assert.True(1 > little && little > much && much > 0, $"{little} {much}");
        // Constant images a and b: only the means count, which are 1.5 and 0.75 above black.
        Tensor a = Tensor.Full([1, 11, 11, 1], 0.5, Device.Reference), b = Tensor.Full([1, 11, 11, 1], -0.25, Device.Reference);
        double c1 = Math.Pow(0.01 * 2, 2);
        Assert.Equal((2 * 1.5 * 0.75 + c1) / (2.25 + 0.5625 + c1), ImageSimilarity.StructuralSimilarity(a, b), 1e-9);
        // How an image is told does not matter.
        var other = x + Normal(3, x.Shape, 0.2);
        Assert.Equal(
            ImageSimilarity.StructuralSimilarity(x, other), ImageSimilarity.StructuralSimilarity(x * 0.5 + 0.5, other * 0.5 + 0.5, range: 1, black: 0), 1e-9);
    }

    /// <summary>One bad feature would change the balls around all the others, and nobody would see it.</summary>
    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void What_is_not_finite_is_no_neighbour_and_no_partner(double value)
    {
        Tensor good = Normal(1, [20, 2]), bad = Tensor.Concat([Normal(2, [19, 2]), Tensor.From([value, 0], [1, 2], good.Device)]);
        Assert.Contains("number 19 of the samples", Assert.Throws<ArgumentException>(() => PrecisionRecall.Measure(good, bad)).Message);
        Assert.Contains("number 19 of the data", Assert.Throws<ArgumentException>(() => PrecisionRecall.Measure(bad, good)).Message);
        Assert.Contains("not finite", Assert.Throws<ArgumentException>(() => ExactWasserstein.Distance(good, bad)).Message);
        Assert.Contains("not finite", Assert.Throws<ArgumentException>(() => ExactWasserstein.Distance(bad, good)).Message);
    }

    [Fact]
    public void What_does_not_fit_is_named()
    {
        Assert.Contains("[3, 2]", Assert.Throws<ArgumentException>(() => ExactWasserstein.Distance(Normal(1, [3, 2]), Normal(1, [4, 2]))).Message);
        Assert.Contains("-1", Assert.Throws<ArgumentOutOfRangeException>(() => KernelDistances.MaximumMeanDiscrepancy(Normal(1, [3, 2]), Normal(1, [4, 2]), -1)).Message);
        Assert.Contains("neighbours", Assert.Throws<ArgumentException>(() => PrecisionRecall.Measure(Normal(1, [3, 2]), Normal(1, [4, 2]))).Message);
        Assert.Contains("11", Assert.Throws<ArgumentException>(() => ImageSimilarity.StructuralSimilarity(Normal(1, [1, 9, 9, 1]), Normal(1, [1, 9, 9, 1]))).Message);
    }

    private static IEnumerable<int[]> Permutations(int[] items)
    {
        if (items.Length <= 1)
            return [items];
        return items.SelectMany((item, i) => Permutations([.. items[..i], .. items[(i + 1)..]]).Select(rest => (int[])[item, .. rest]));
    }
}
