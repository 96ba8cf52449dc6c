using MathNet.Numerics.LinearAlgebra;
using MathNet.Numerics.LinearAlgebra.Factorization;

namespace RawDiffusion.Diffusion.Metrics;

/// <summary>
/// The squared Frechet (2-Wasserstein) distance of the Gaussians with the means and covariances of two sets of features, which
/// Heusel et al. 2017 (equation 6) made the FID: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). Of features that know their place in the
/// image (<see cref="FeatureExtractors.Spatial"/>) it is the sFID. It is biased: from N samples it comes out larger than from more, so two
/// values compare only at the same N, and beside the value of real samples.
/// </summary>
public static class FrechetDistance
{
    /// <param name="y">Where several are compared with one, that one: the root of its covariance is found only once.</param>
    /// <exception cref="ArgumentException">The statistics are of features of different number.</exception>
    /// <exception cref="InvalidOperationException">One of them is of fewer than two samples.</exception>
    public static double Between(FeatureStatistics x, FeatureStatistics y) => x.Dimension == y.Dimension
        ? Between(x.Mean, x.Covariance, y.Mean, y.Covariance, y.CovarianceRoot)
        : throw new ArgumentException($"FrechetDistance: {x.Dimension} features against {y.Dimension}.");

    /// <summary>Of two Gaussians by their means [D] and covariances [D, D], which may be singular.</summary>
    /// <exception cref="ArgumentException">The sizes do not fit.</exception>
    public static double Between(Vector<double> meanX, Matrix<double> covarianceX, Vector<double> meanY, Matrix<double> covarianceY)
    {
        int size = meanX.Count;
        if (meanY.Count != size || covarianceX.RowCount != size || covarianceX.ColumnCount != size || covarianceY.RowCount != size || covarianceY.ColumnCount != size)
        {
            throw new ArgumentException(
                $"FrechetDistance: means of {size} and {meanY.Count} features with covariances [{covarianceX.RowCount}, {covarianceX.ColumnCount}] and [{covarianceY.RowCount}, {covarianceY.ColumnCount}].");
        }
        return Between(meanX, covarianceX, meanY, covarianceY, SquareRoot(covarianceY));
    }

    private static double Between(
        Vector<double> meanX, Matrix<double> covarianceX, Vector<double> meanY, Matrix<double> covarianceY, Matrix<double> rootY)
    {
        // (C1 C2)^(1/2) has the trace of (C2^(1/2) C1 C2^(1/2))^(1/2), which is symmetric: its eigenvalues are real and, but for
        // rounding, not negative, also where there are fewer samples than features.
        double cross = Eigenvalues(rootY * covarianceX * rootY).Sum(static value => Math.Sqrt(Math.Max(0, value)));
        double means = (meanX - meanY).PointwisePower(2).Sum();
        // Rounding may leave equal ones a little below 0.
        return Math.Max(0, means + covarianceX.Trace() + covarianceY.Trace() - 2 * cross);
    }

    /// <summary>The symmetric root of a symmetric matrix without negative eigenvalues.</summary>
    internal static Matrix<double> SquareRoot(Matrix<double> symmetric)
    {
        var evd = symmetric.Evd(Symmetricity.Symmetric);
        var roots = evd.EigenValues.Map(static value => Math.Sqrt(Math.Max(0, value.Real)));
        return evd.EigenVectors * Matrix<double>.Build.DenseOfDiagonalVector(roots) * evd.EigenVectors.Transpose();
    }

    private static IEnumerable<double> Eigenvalues(Matrix<double> symmetric)
    {
        // Rounding leaves the product unsymmetric in the last bits.
        var halves = (symmetric + symmetric.Transpose()) / 2;
        return halves.Evd(Symmetricity.Symmetric).EigenValues.Select(static value => value.Real);
    }
}
