namespace RawDiffusion.Diffusion.Metrics;

/// <summary>
/// A set of samples as its features, gathered batch after batch: the statistics of all of them, and the first of the features themselves for
/// the metrics that look at pairs. The batches that a set comes in make no difference, and sets can be joined.
/// </summary>
public sealed class FeatureSet
{
    /// <summary>Pairs of so many are compared in a fraction of a second.</summary>
    public const int DefaultKept = 2000;

    private readonly List<double> _kept = [];
    private readonly int _keep;

    /// <param name="dimension">Number of features.</param>
    /// <param name="keep">Of how many samples the features are kept.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one.</exception>
    public FeatureSet(int dimension, int keep = DefaultKept)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(keep, 1);
        Statistics = new FeatureStatistics(dimension);
        _keep = keep;
    }

    /// <summary>Of all samples.</summary>
    public FeatureStatistics Statistics { get; }

    /// <summary>Number of samples whose features are kept.</summary>
    public int KeptCount => _kept.Count / Statistics.Dimension;

    /// <summary>The features of the first <see cref="KeptCount"/> samples, float64 [KeptCount, D], or of fewer of them.</summary>
    public Tensor Kept(int? count = null)
    {
        int wanted = Math.Min(count ?? KeptCount, KeptCount);
        return Tensor.From(_kept.GetRange(0, wanted * Statistics.Dimension).ToArray(), [wanted, Statistics.Dimension], Device.Reference);
    }

    /// <summary>Takes samples in.</summary>
    /// <param name="features">[n, D].</param>
    /// <exception cref="ArgumentException">The shape does not fit, or a feature is not finite.</exception>
    public void Add(Tensor features)
    {
        Statistics.Add(features);
        int wanted = Math.Min(features.Shape[0], _keep - KeptCount);
        if (wanted > 0)
            _kept.AddRange(features.ToDoubleArray().AsSpan(0, wanted * Statistics.Dimension));
    }

    /// <summary>Takes in all samples of another, as if they had been added here after those of this one.</summary>
    /// <exception cref="ArgumentException">It has another number of features.</exception>
    public void Merge(FeatureSet other)
    {
        Statistics.Merge(other.Statistics);
        int wanted = Math.Min(other.KeptCount, _keep - KeptCount);
        if (wanted > 0)
            _kept.AddRange(other._kept.GetRange(0, wanted * Statistics.Dimension));
    }
}
