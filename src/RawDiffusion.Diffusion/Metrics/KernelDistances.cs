namespace RawDiffusion.Diffusion.Metrics;

/// <summary>Distances of two clouds by means over pairs. All of them are without bias, so values around 0 of either sign mean "alike".</summary>
public static class KernelDistances
{
    /// <summary>The energy distance 2 E|x - y| - E|x - x'| - E|y - y'| (Szekely and Rizzo 2013), [n, D] and [m, D].</summary>
    /// <exception cref="ArgumentException">The clouds are not of one dimension, or of fewer than two points.</exception>
    public static double Energy(Tensor x, Tensor y)
    {
        int size = PointDistances.Check(nameof(Energy), x, y);
        return -Discrepancy(x.ToDoubleArray(), y.ToDoubleArray(), size, Math.Sqrt);
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
        return Discrepancy(x.ToDoubleArray(), y.ToDoubleArray(), size, square => Math.Exp(-square / (2 * bandwidth * bandwidth)));
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
        double[] a = x.ToDoubleArray(), b = y.ToDoubleArray();
        return Mean(a, a, skipEqual: true) + Mean(b, b, skipEqual: true) - 2 * Mean(a, b, skipEqual: false);

        double Mean(double[] left, double[] right, bool skipEqual)
        {
            int n = left.Length / size, m = right.Length / size;
            double sum = 0;
            for (int i = 0; i < n; i++)
            {
                for (int j = 0; j < m; j++)
                {
                    if (skipEqual && i == j)
                        continue;
                    double product = 0;
                    for (int k = 0; k < size; k++)
                        product += left[i * size + k] * right[j * size + k];
                    double kernel = product / size + 1;
                    sum += kernel * kernel * kernel;
                }
            }
            return sum / ((double)n * (skipEqual ? m - 1 : m));
        }
    }

    /// <summary>E k(x, x') + E k(y, y') - 2 E k(x, y), pairs of a point with itself left out.</summary>
    private static double Discrepancy(double[] x, double[] y, int size, Func<double, double> kernel) =>
        PointDistances.Mean(x, x, size, skipEqual: true, kernel) + PointDistances.Mean(y, y, size, skipEqual: true, kernel)
        - 2 * PointDistances.Mean(x, y, size, skipEqual: false, kernel);
}
