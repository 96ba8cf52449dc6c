namespace RawDiffusion.Diffusion.Metrics;

/// <summary>How far a set of samples is from data in the features of a network.</summary>
/// <param name="Frechet"><see cref="FrechetDistance"/>, the FID: of all samples.</param>
/// <param name="Kernel"><see cref="KernelDistances.KernelInception"/>, the KID: of the samples kept, without bias in their number.</param>
/// <param name="Precision">See <see cref="PrecisionRecall"/>: of equally many samples and data; not a number where those are too few.</param>
/// <param name="Recall">The same.</param>
public sealed record SetDistances(double Frechet, double Kernel, double Precision, double Recall)
{
    /// <summary>Of sets too small to have any.</summary>
    public static SetDistances None { get; } = new(double.NaN, double.NaN, double.NaN, double.NaN);

    /// <exception cref="ArgumentException">The sets have features of different number.</exception>
    /// <exception cref="InvalidOperationException">One of them has fewer than two samples.</exception>
    public static SetDistances Between(FeatureSet samples, FeatureSet data)
    {
        double frechet = FrechetDistance.Between(samples.Statistics, data.Statistics);
        double kernel = KernelDistances.KernelInception(samples.Kept(), data.Kept());
        int count = Math.Min(samples.KeptCount, data.KeptCount);
        var coverage = count > PrecisionRecall.DefaultNeighbours
            ? PrecisionRecall.Measure(data.Kept(count), samples.Kept(count))
            : new PrecisionRecall(double.NaN, double.NaN);
        return new SetDistances(frechet, kernel, coverage.Precision, coverage.Recall);
    }

    /// <summary>The mean of each, over draws.</summary>
    public static SetDistances Mean(IReadOnlyCollection<SetDistances> draws) => new(
        draws.Average(each => each.Frechet), draws.Average(each => each.Kernel), draws.Average(each => each.Precision), draws.Average(each => each.Recall));
}
