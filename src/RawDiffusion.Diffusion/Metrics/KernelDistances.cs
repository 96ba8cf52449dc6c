namespace RawDiffusion.Diffusion.Metrics;

/// <summary>Distances of two clouds by means over pairs. All of them are without bias, so values around 0 of either sign mean "alike".</summary>
public static class KernelDistances
{
    /// <summary>The energy distance 2 E|x - y| - E|x - x'| - E|y - y'| (Szekely and Rizzo 2013), [n, D] and [m, D].</summary>
    /// <exception cref="ArgumentException">The clouds are not of one dimension, or of fewer than two points.</exception>
    public static double Energy(Tensor x, Tensor y)
    {
        int size = PointDistances.Check(nameof(Energy), x, y);
        return -Discrepancy(x, y, size, (a, b) => Math.Sqrt(Rows.SquaredDistance(a, b)));
    }

    /// <summary>
    /// The squared maximum mean discrepancy with the kernel exp(-|x - y|^2 / (2 bandwidth^2)) (Gretton et al. 2012, equation 3).
    /// </summary>
    /// <param name="bandwidth">In the unit of the points.</param>
    /// <exception cref="ArgumentException">The clouds are not of one dimension, or of fewer than two points.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The bandwidth is not positive.</exception>
    public static double MaximumMeanDiscrepancy(Tensor x, Tensor y, double bandwidth)
    {
        if (!(bandwidth > 0))
            throw new ArgumentOutOfRangeException(nameof(bandwidth), $"a bandwidth must be positive, not {bandwidth}");
        int size = PointDistances.Check(nameof(MaximumMeanDiscrepancy), x, y);
        return Discrepancy(x, y, size, (a, b) => Math.Exp(-Rows.SquaredDistance(a, b) / (2 * bandwidth * bandwidth)));
    }

    /// <summary>
    /// The kernel inception distance of features (Binkowski et al. 2018): the squared discrepancy with the kernel (x . y / D + 1)^3.
    /// </summary>
    /// <param name="x">Features, [n, D].</param>
    /// <param name="y">Features, [m, D].</param>
    /// <exception cref="ArgumentException">The features are not of one dimension, or of fewer than two samples.</exception>
    public static double KernelInception(Tensor x, Tensor y)
    {
        int size = PointDistances.Check(nameof(KernelInception), x, y);
        return Discrepancy(x, y, size, (a, b) =>
        {
            double kernel = Rows.Dot(a, b) / size + 1;
            return kernel * kernel * kernel;
        });
    }

    /// <summary>E k(x, x') + E k(y, y') - 2 E k(x, y), pairs of a point with itself left out.</summary>
    private static double Discrepancy(Tensor x, Tensor y, int size, PointDistances.OfPair kernel)
    {
        double[] a = x.ToDoubleArray(), b = y.ToDoubleArray();
        return PointDistances.MeanWithin(a, size, kernel) + PointDistances.MeanWithin(b, size, kernel) - 2 * PointDistances.Mean(a, b, size, kernel);
    }
}
