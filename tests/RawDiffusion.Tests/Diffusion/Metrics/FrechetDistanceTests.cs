using RawDiffusion.Diffusion.Metrics;

namespace RawDiffusion.Tests;

/// <summary>Mean, covariance and the distance built on them, against values known in closed form.</summary>
public class FrechetDistanceTests
{
    [Fact]
    public void BatchesOfAnySizeGiveTheStatisticsOfAllSamplesTogether()
    {
        var x = Tensor.Randn(new Generator(1), [500, 5]) * Tensor.From([1f, 10f, 0.1f, 3f, 2f], [5]) + 7;
        var whole = Statistics(x);
        var parts = new FeatureStatistics(5);
        for (int start = 0, size = 1; start < 500; start += size, size += 3)
            parts.Add(x.Slice(0, start, Math.Min(size, 500 - start)));
        Assert.Equal(500, parts.Count);
        // Sums of 500 terms in float64 in another order.
        Assert.True((whole.Mean - parts.Mean).L2Norm() < 1e-12 * whole.Mean.L2Norm());
        Assert.True((whole.Covariance - parts.Covariance).L2Norm() < 1e-12 * whole.Covariance.L2Norm());
    }

    [Fact]
    public void TheCovarianceIsThatOfItsDefinition()
    {
        var statistics = Statistics(Tensor.From([1f, 4f, 3f, 6f, 5f, 2f], [3, 2]));
        // Small whole numbers: exact.
        Assert.Equal([3, 4], statistics.Mean.ToArray());
        Assert.Equal([4, -2, -2, 4], statistics.Covariance.ToRowMajorArray());
    }

    /// <summary>Where a naive sum of squares would be left with no digits: the spread is 1e-4 of the mean in float32.</summary>
    [Fact]
    public void ALargeMeanDoesNotHurtTheCovariance()
    {
        var statistics = Statistics(Tensor.From([10000f, 10001f, 10002f], [3, 1]));
        Assert.Equal(1, statistics.Covariance[0, 0], 12);
    }

    [Fact]
    public void ADistributionIsAtDistanceZeroFromItself()
    {
        var statistics = Statistics(Tensor.Randn(new Generator(2), [300, 8]));
        // The traces are 8; what is left is rounding of the eigenvalues.
        Assert.Equal(0, FrechetDistance.Between(statistics, statistics), 1e-10);
    }

    [Fact]
    public void AShiftAddsItsSquaredLength()
    {
        var x = Tensor.Randn(new Generator(3), [300, 3], Device.Reference);
        var shifted = x + Tensor.From([1.0, 2.0, -2.0], [3], Device.Reference);
        // Features are float32, so a shifted sample is off by up to 2e-7.
        Assert.Equal(9, FrechetDistance.Between(Statistics(x), Statistics(shifted)), 1e-5);
    }

    /// <summary>For commuting covariances the distance is the sum of (s1 - s2)^2 over the standard deviations.</summary>
    [Fact]
    public void ScalingAddsTheSquaredDifferencesOfTheDeviations()
    {
        // A point on either side of each axis: mean 0, covariance 2/5 times the identity.
        float[] cross = [1, 0, 0, -1, 0, 0, 0, 1, 0, 0, -1, 0, 0, 0, 1, 0, 0, -1];
        var x = Tensor.From(cross, [6, 3]);
        var y = x * Tensor.From([2f, 1f, 0.5f], [3]);
        double variance = 2.0 / 5;
        Assert.Equal(variance * (1 + 0 + 0.25), FrechetDistance.Between(Statistics(x), Statistics(y)), 1e-12);
    }

    [Fact]
    public void FewerSamplesThanFeaturesStillGiveANumber()
    {
        var x = Statistics(Tensor.Randn(new Generator(4), [4, 16]));
        var y = Statistics(Tensor.Randn(new Generator(5), [4, 16]));
        Assert.InRange(FrechetDistance.Between(x, y), 0.1, 100);
    }

    [Fact]
    public void WhatCannotBeMeasuredIsRefused()
    {
        var x = Statistics(Tensor.Randn(new Generator(6), [100, 2]));
        Assert.Throws<ArgumentException>(() => x.Add(Tensor.Ones([3, 3])));
        Assert.Throws<InvalidOperationException>(() => Statistics(Tensor.Ones([1, 2])).Covariance);
        Assert.Throws<ArgumentException>(() => FrechetDistance.Between(x, Statistics(Tensor.Ones([3, 3]))));
    }

    private static FeatureStatistics Statistics(Tensor features)
    {
        var statistics = new FeatureStatistics(features.Shape[1]);
        statistics.Add(features);
        return statistics;
    }
}
