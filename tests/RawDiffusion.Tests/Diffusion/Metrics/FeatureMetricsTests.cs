using MathNet.Numerics.LinearAlgebra;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests.Diffusion.Metrics;

/// <summary>Distances between sets in the features of a network, against what is known in closed form.</summary>
public class FeatureMetricsTests
{
    private static Tensor Normal(ulong seed, Shape shape) => Tensor.Randn(new Generator(seed), shape, Device.Reference);

    private static Matrix<double> RandomSymmetric(ulong seed, int size, double least)
    {
        // Orthogonal vectors of a random matrix, and eigenvalues from `least` to 1.
        var vectors = Matrix<double>.Build.DenseOfRowMajor(size, size, Normal(seed, [size, size]).ToDoubleArray()).QR().Q;
        var values = Vector<double>.Build.Dense(size, i => Math.Pow(least, 1 - (double)i / (size - 1)));
        return vectors * Matrix<double>.Build.DenseOfDiagonalVector(values) * vectors.Transpose();
    }

    /// <summary>tr (C1 C2)^(1/2) of 2 x 2 matrices is sqrt(tr(C1 C2) + 2 sqrt(det C1 det C2)), whether they commute or not.</summary>
    [Theory]
    [InlineData(2, 0.5, 1, 1, -0.3, 0.5)]
    [InlineData(4, 1.9, 1, 1, 0, 3)]
    [InlineData(1, 0.9999999, 1, 1, -0.9999999, 1)]
    public void The_distance_of_Gaussians_of_the_plane_is_the_closed_form(double a, double b, double c, double d, double e, double f)
    {
        var x = Matrix<double>.Build.DenseOfRowMajor(2, 2, [a, b, b, c]);
        var y = Matrix<double>.Build.DenseOfRowMajor(2, 2, [d, e, e, f]);
        Vector<double> m = Vector<double>.Build.Dense([1, -2]), n = Vector<double>.Build.Dense([-0.5, 0]);
        double expected = 1.5 * 1.5 + 2 * 2 + x.Trace() + y.Trace()
            - 2 * Math.Sqrt((x * y).Trace() + 2 * Math.Sqrt(x.Determinant() * y.Determinant()));
        Assert.Equal(expected, FrechetDistance.Between(m, x, n, y), 1e-6 * expected);
        Assert.Equal(expected, FrechetDistance.Between(n, y, m, x), 1e-6 * expected);
    }

    /// <summary>
    /// In any dimension: for C1 = A^2 and C2 = S A^2 S the root of A C2 A is A S A. They do not commute, and with a least eigenvalue of 1e-4
    /// for A the smallest of C1 is 1e-8 of its largest.
    /// </summary>
    [Theory]
    [InlineData(3, 0.1)]
    [InlineData(20, 0.1)]
    [InlineData(20, 1e-4)]
    public void The_distance_of_Gaussians_whose_covariances_do_not_commute_is_the_closed_form(int size, double least)
    {
        Matrix<double> a = RandomSymmetric(1, size, least), s = RandomSymmetric(2, size, 0.1), x = a * a, y = s * x * s;
        Assert.True((x * y - y * x).L2Norm() > 0.01);
        var mean = Vector<double>.Build.Dense(size, 0.03);
        double expected = 0.0009 * size + x.Trace() + y.Trace() - 2 * (a * s * a).Trace();
        Assert.Equal(expected, FrechetDistance.Between(mean, x, mean * 0, y), 1e-6 * expected);
    }

    /// <summary>Covariances of rank 1 along directions u and v: the root of u u^T v v^T has the trace |u . v|.</summary>
    [Fact]
    public void Singular_covariances_have_their_distance_too()
    {
        Vector<double> u = Vector<double>.Build.Dense([3, 0, 4]), v = Vector<double>.Build.Dense([0, 1, 2]), mean = u * 0;
        Assert.Equal(25 + 5 - 2 * 8, FrechetDistance.Between(mean, u.OuterProduct(u), mean, v.OuterProduct(v)), 1e-6);
        Assert.Equal(25, FrechetDistance.Between(mean, u.OuterProduct(u), mean, v.OuterProduct(v) * 0), 1e-6);
    }

    /// <summary>All the way: samples with exactly the means and covariances of two Gaussians, added in batches.</summary>
    [Fact]
    public void Samples_of_two_known_Gaussians_are_at_their_distance()
    {
        const int Count = 500, Size = 6;
        Matrix<double> a = RandomSymmetric(3, Size, 0.2), s = RandomSymmetric(4, Size, 0.3), x = a * a, y = s * x * s;
        var shift = Vector<double>.Build.Dense(Size, i => i - 2);
        double expected = shift.DotProduct(shift) + x.Trace() + y.Trace() - 2 * (a * s * a).Trace();
        var first = Gather(Exactly(Count, x, shift), 37);
        var second = Gather(Exactly(Count, (y + y.Transpose()) / 2, shift * 0), 100);
        Assert.Equal(expected, FrechetDistance.Between(first, second), 1e-6 * expected);
    }

    [Fact]
    public void A_set_in_batches_and_a_set_of_parts_are_the_set_at_once()
    {
        var x = Normal(5, [300, 7]) * 3 + 100;
        var whole = new FeatureSet(7, keep: 120);
        whole.Add(x);
        FeatureSet streamed = new(7, 120), left = new(7, 120), right = new(7, 120);
        for (int start = 0; start < 300; start += 50)
        {
            streamed.Add(x.Slice(0, start, 50));
            (start < 100 ? left : right).Add(x.Slice(0, start, 50));
        }
        left.Merge(right);
        foreach (var other in new[] { streamed, left })
        {
            Assert.Equal(300, other.Statistics.Count);
            // Sums of 300 numbers around 100, of which the mean is taken off: 1e-13 of what the batches' means add.
            Assert.True((whole.Statistics.Mean - other.Statistics.Mean).L2Norm() < 1e-10);
            Assert.True((whole.Statistics.Covariance - other.Statistics.Covariance).L2Norm() < 1e-10);
            Assert.Equal(whole.Kept().ToDoubleArray(), other.Kept().ToDoubleArray());
            Assert.Equal(120, other.KeptCount);
        }
        Assert.Equal(x.Slice(0, 0, 3).ToDoubleArray(), whole.Kept(3).ToDoubleArray());
    }

    [Fact]
    public void Joining_nothing_changes_nothing_and_joining_itself_doubles()
    {
        FeatureStatistics empty = new(2), set = Gather(Normal(6, [50, 2]), 50), twice = Gather(Normal(6, [50, 2]), 50);
        set.Merge(empty);
        Assert.Equal(50, set.Count);
        empty.Merge(set);
        Assert.True((empty.Covariance - set.Covariance).L2Norm() < 1e-14);
        twice.Merge(twice);
        Assert.Equal(100, twice.Count);
        Assert.True((twice.Covariance - set.Covariance * (49.0 / 50 * 100 / 99)).L2Norm() < 1e-13);
    }

    [Fact]
    public void What_is_no_number_is_named_and_not_taken_in()
    {
        var set = new FeatureStatistics(2);
        Assert.Contains("sample 1", Assert.Throws<ArgumentException>(() => set.Add(Tensor.From([1f, 2, 3, float.NaN], [2, 2]))).Message);
        Assert.Equal(0, set.Count);
        Assert.Throws<ArgumentException>(() => set.Merge(new FeatureStatistics(3)));
        Assert.Throws<ArgumentOutOfRangeException>(() => new FeatureStatistics(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new FeatureSet(2, keep: 0));
    }

    /// <summary>
    /// In one dimension (x y + 1)^3 compares the first three moments: the distance is 3 (m1 - m1')^2 + 3 (m2 - m2')^2 + (m3 - m3')^2. The mean
    /// over many small sets has no bias, which with sets of ten would be large.
    /// </summary>
    [Theory]
    [InlineData(0)]
    [InlineData(0.5)]
    public void The_kernel_distance_is_without_bias(double shift)
    {
        const int Pairs = 1000, Size = 10;
        var values = new double[Pairs];
        Tensor x = Normal(7, [Pairs, Size, 1]), y = Normal(8, [Pairs, Size, 1]) + shift;
        for (int i = 0; i < Pairs; i++)
            values[i] = KernelDistances.KernelInception(x.Slice(0, i, 1).Reshape(Size, 1), y.Slice(0, i, 1).Reshape(Size, 1));
        double second = shift * shift, third = shift * shift * shift + 3 * shift;
        double expected = 3 * shift * shift + 3 * second * second + third * third;
        double mean = values.Average(), error = Math.Sqrt(values.Sum(v => (v - mean) * (v - mean)) / Pairs / (Pairs - 1));
        Assert.InRange(mean, expected - 3 * error, expected + 3 * error);
        // With each point paired with itself as well, either set would add a tenth of E k(x, x) - E k(x, x') = 28 - 4: that would be seen.
        Assert.True(error < 0.5, $"{error}");
    }

    /// <summary>Balls of the data on whole numbers reach to the neighbours; those of samples as far apart as they are.</summary>
    [Fact]
    public void Precision_and_recall_of_points_on_a_line_are_counted()
    {
        var data = Line(0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
        // Within 1 of some whole number from 0 to 9: three of five samples. Their own balls: 0.5 reaches 2 to both sides, 2.5 and 4.5 too,
        // 20 reaches 10 and 30 reaches 10: [-1.5, 6.5] and [10, 40] hold 0 to 6 of the data.
        var coverage = PrecisionRecall.Measure(data, Line(0.5, 2.5, 4.5, 20, 30), neighbours: 1);
        Assert.Equal(new PrecisionRecall(0.6, 0.7), coverage);
        Assert.Equal(new PrecisionRecall(1, 1), PrecisionRecall.Measure(data, data, neighbours: 1));
        Assert.Equal(new PrecisionRecall(0, 0), PrecisionRecall.Measure(data, Line(100, 101, 102), neighbours: 1));
        // One mode of two: all samples are good, half of the data is missed.
        var half = PrecisionRecall.Measure(Line(0, 1, 2, 3, 100, 101, 102, 103), Line(0, 1, 2, 3), neighbours: 1);
        Assert.Equal(new PrecisionRecall(1, 0.5), half);
    }

    /// <summary>
    /// Features that know their place notice that patches of digits have changed places: the sFID goes from 0.8 to 80 (2 x 2 patches) and 22
    /// (4 x 4). So does the FID of this classifier, from 0.9 to 296 and 73: its last layers see where things are as well, unlike those of a
    /// network that averages over all positions before its features.
    /// </summary>
    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void The_spatial_distance_more_than_doubles_when_patches_are_shuffled(int patches)
    {
        const int Count = 400;
        var data = new DigitData(colored: false);
        var classifier = Trained(data);
        var spatial = FeatureExtractors.Spatial(classifier.FeatureMap, 4);
        Tensor reference = data.HeldOut.Draw(0, 1000, 1).X, images = data.HeldOut.Draw(5000, Count, 1).X;
        var shuffled = Shuffle(images, patches);
        // The same pixels, elsewhere.
        Assert.Equal(images.ToArray().Order(), shuffled.ToArray().Order());
        double before = Distance(spatial, images, reference), after = Distance(spatial, shuffled, reference);
        double fidBefore = Distance(classifier.Features, images, reference), fidAfter = Distance(classifier.Features, shuffled, reference);
        Assert.True(after > 2 * before, $"{patches} x {patches}: sFID {before} to {after}, FID {fidBefore} to {fidAfter}");
        Assert.True(fidAfter > fidBefore, $"{patches} x {patches}: FID {fidBefore} to {fidAfter}");
    }

    [Fact]
    public void Spatial_features_are_the_first_channels_at_every_place()
    {
        var map = Tensor.From(Enumerable.Range(0, 48).Select(i => (float)i).ToArray(), [2, 2, 3, 4]);
        var features = FeatureExtractors.Spatial(images => images, 2)(map);
        Assert.Equal(new Shape(2, 12), features.Shape);
        Assert.Equal([0f, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21], features.Slice(0, 0, 1).ToArray());
        Assert.Contains("at least 5", Assert.Throws<ArgumentException>(() => FeatureExtractors.Spatial(images => images, 5)(map)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => FeatureExtractors.Spatial(images => images, 0));
    }

    /// <summary>Of any function of images: here the pixels themselves.</summary>
    [Fact]
    public void Sets_are_compared_in_any_features()
    {
        FeatureExtractor pixels = images => images.Reshape(images.Shape[0], images.Count / images.Shape[0]);
        FeatureSet data = new(4), samples = new(4);
        data.Add(pixels(Normal(9, [200, 2, 2, 1])));
        samples.Add(pixels(Normal(10, [200, 2, 2, 1]) + 3));
        var distances = SetDistances.Between(samples, data);
        // 9 for each of four pixels, within what 200 samples scatter: 2 sqrt(9 * 4 * 2 / 200) three times.
        Assert.InRange(distances.Frechet, 36 - 3.6, 36 + 3.6);
        Assert.True(distances.Kernel > 10, $"{distances.Kernel}");
        Assert.InRange(distances.Precision, 0, 0.1);
        Assert.InRange(distances.Recall, 0, 0.1);
        var few = new FeatureSet(4);
        few.Add(pixels(Normal(11, [3, 2, 2, 1])));
        Assert.Equal((double.NaN, double.NaN), (SetDistances.Between(few, data).Precision, SetDistances.Between(few, data).Recall));
    }

    /// <summary>By hand: an error of 1 in one of 4 numbers of a range of 2 is 10 log10(4 / 0.25) decibels.</summary>
    [Fact]
    public void The_signal_to_noise_ratio_is_that_computed_by_hand()
    {
        Tensor x = Tensor.From([0f, 0, 0, 0], [1, 2, 2, 1]), y = Tensor.From([0f, 1, 0, 0], [1, 2, 2, 1]);
        Assert.Equal(12.041199826559248, ImageSimilarity.PeakSignalToNoise(x, y), 1e-12);
        Assert.Equal(6.020599913279624, ImageSimilarity.PeakSignalToNoise(x, y, range: 1), 1e-12);
    }

    /// <summary>
    /// One window of stripes c + s p with p = -1 left of the middle column, 0 in it and 1 right of it: its mean is c, its variance s^2 v and
    /// its covariance with another s s' v, where v is 1 less the middle column's weight, 1 / (1 + 2 (e^-2/9 + e^-8/9 + e^-2 + e^-32/9 + e^-50/9))
    /// = 0.266012. Means are those of intensities: the distance to black.
    /// </summary>
    [Fact]
    public void The_structural_similarity_is_that_computed_by_hand()
    {
        const double v = 1 - 0.26601172486179436, c1 = 0.0004, c2 = 0.0036;
        const double c = 0.2, s = 0.3, d = -0.1, t = 0.5;
        Assert.Equal(Expected(c + 1, d + 1), ImageSimilarity.StructuralSimilarity(Stripes(c, s), Stripes(d, t)), 1e-9);
        Assert.Equal(Expected(c, d), ImageSimilarity.StructuralSimilarity(Stripes(c, s), Stripes(d, t), black: 0), 1e-9);

        static double Expected(double a, double b) => (2 * a * b + c1) * (2 * s * t * v + c2) / ((a * a + b * b + c1) * ((s * s + t * t) * v + c2));

        static Tensor Stripes(double mean, double height)
        {
            double[] row = [.. Enumerable.Range(0, 11).Select(i => mean + height * Math.Sign(i - 5))];
            return Tensor.From(row, [1, 1, 11, 1], Device.Reference).BroadcastTo([1, 11, 11, 1]);
        }
    }

    private static double Distance(FeatureExtractor extractor, Tensor x, Tensor y)
    {
        using var noGrad = new NoGrad();
        return FrechetDistance.Between(Gather(extractor(x), 500), Gather(extractor(y), 500));
    }

    /// <summary>Cuts images into n x n patches and puts them in the opposite order: each comes to another place.</summary>
    private static Tensor Shuffle(Tensor images, int n)
    {
        int side = images.Shape[1] / n;
        Tensor Patch(int index) => images.Slice(1, index / n * side, side).Slice(2, index % n * side, side);
        return Tensor.Concat([.. Enumerable.Range(0, n).Select(row =>
            Tensor.Concat([.. Enumerable.Range(0, n).Select(column => Patch(n * n - 1 - (row * n + column)))], axis: 2))], axis: 1);
    }

    private static ConvClassifier Trained(DigitData data)
    {
        var model = new ConvClassifier(new Generator(1));
        var optimizer = new AdamW(model.NamedParameters(), 3e-3);
        for (int step = 0; step < 40; step++)
        {
            using var scope = new MemoryScope();
            var batch = data.Draw(step * 64, 64, seed: 1);
            F.CrossEntropy(model.Forward(batch.X), batch.Labels!).Backward();
            optimizer.Step();
            optimizer.ZeroGrad();
        }
        return model;
    }

    /// <summary>Samples whose mean and unbiased covariance are exactly those given: random ones, whitened.</summary>
    private static Tensor Exactly(int count, Matrix<double> covariance, Vector<double> mean)
    {
        int size = mean.Count;
        var random = Gather(Normal((ulong)count, [count, size]), count);
        var x = Matrix<double>.Build.DenseOfRowMajor(count, size, Normal((ulong)count, [count, size]).ToDoubleArray());
        var centred = x - Matrix<double>.Build.Dense(count, size, (_, j) => random.Mean[j]);
        var white = centred * random.Covariance.Cholesky().Factor.Transpose().Inverse();
        var shaped = white * covariance.Cholesky().Factor.Transpose() + Matrix<double>.Build.Dense(count, size, (_, j) => mean[j]);
        return Tensor.From(shaped.ToRowMajorArray(), [count, size], Device.Reference);
    }

    private static FeatureStatistics Gather(Tensor features, int batch)
    {
        var statistics = new FeatureStatistics(features.Shape[1]);
        for (int start = 0; start < features.Shape[0]; start += batch)
            statistics.Add(features.Slice(0, start, Math.Min(batch, features.Shape[0] - start)));
        return statistics;
    }

    private static Tensor Line(params double[] points) => Tensor.From(points, [points.Length, 1], Device.Reference);
}
