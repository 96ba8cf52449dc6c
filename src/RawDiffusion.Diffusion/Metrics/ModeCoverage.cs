using RawDiffusion.Diffusion.Data;

namespace RawDiffusion.Diffusion.Metrics;

/// <summary>How samples of the plane share themselves among the modes of a distribution.</summary>
/// <param name="Share">For each mode, the share of all samples that are nearest to it. Sums to 1 where all samples are finite.</param>
/// <param name="ShareWithin">The same, counting only samples within <paramref name="Radius"/> of the mode.</param>
/// <param name="Radius">In the unit of the points.</param>
/// <param name="ModesFound">Number of modes whose <paramref name="ShareWithin"/> is at least <see cref="FoundShare"/> of an equal part.</param>
/// <param name="Strays">Share of samples that are within the radius of no mode, or not finite.</param>
public sealed record ModeCoverage(
    IReadOnlyList<double> Share, IReadOnlyList<double> ShareWithin, double Radius, int ModesFound, double Strays)
{
    /// <summary>A mode counts as found when it holds at least a tenth of what it would if all modes were alike.</summary>
    public const double FoundShare = 0.1;

    /// <param name="samples">[n, 2].</param>
    /// <param name="radius">Four standard deviations of a mode leave exp(-8) = 0.03% of its own points outside.</param>
    /// <exception cref="ArgumentOutOfRangeException">The radius is not positive.</exception>
    /// <exception cref="ArgumentException">No samples or no modes, or the samples are not points of the plane.</exception>
    public static ModeCoverage Measure(Tensor samples, IReadOnlyList<Point2> modes, double radius)
    {
        if (samples.Rank != 2 || samples.Shape[1] != 2 || samples.Count == 0 || modes.Count == 0)
            throw new ArgumentException($"ModeCoverage: expected at least one point [n, 2] and one mode, got {samples.Shape} and {modes.Count} modes.");
        if (!(radius > 0))
            throw new ArgumentOutOfRangeException(nameof(radius), $"a radius must be positive, not {radius}");
        float[] points = samples.ToArray();
        double[] nearest = new double[modes.Count], within = new double[modes.Count];
        double part = 1.0 / samples.Shape[0];
        int strays = 0;
        for (int i = 0; i < points.Length; i += 2)
        {
            int best = -1;
            double bestSquare = double.PositiveInfinity;
            for (int k = 0; k < modes.Count; k++)
            {
                double dx = points[i] - modes[k].X, dy = points[i + 1] - modes[k].Y, square = dx * dx + dy * dy;
                if (square < bestSquare)
                    (best, bestSquare) = (k, square);
            }
            if (best >= 0)
                nearest[best]++;
            if (bestSquare <= radius * radius)
                within[best]++;
            else
                strays++;
        }
        int found = 0;
        for (int k = 0; k < modes.Count; k++)
        {
            nearest[k] *= part;
            within[k] *= part;
            if (within[k] >= FoundShare / modes.Count)
                found++;
        }
        return new ModeCoverage(nearest, within, radius, found, strays * part);
    }

    /// <summary>Measures against the means of a mixture, within four of its largest standard deviation.</summary>
    public static ModeCoverage Measure(Tensor samples, GaussianMixture mixture) => Measure(
        samples,
        [.. mixture.Components.Select(static component => component.Mean)],
        4 * mixture.Components.Max(static component => component.StandardDeviation));
}
