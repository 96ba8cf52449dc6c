using MathNet.Numerics.LinearAlgebra;
using MathNet.Numerics.LinearAlgebra.Factorization;

namespace RawDiffusion.Diffusion.Metrics;

/// <summary>
/// The squared Frechet (2-Wasserstein) distance of the Gaussians with the means and covariances of two sets of features, which
/// Heusel et al. 2017 (equation 6) made the FID: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). It is biased: from N samples it
/// comes out larger than from more, so two values compare only at the same N, and beside the value of real samples.
/// </summary>
public static class FrechetDistance
{
    /// <exception cref="ArgumentException">The statistics are of features of different number.</exception>
    public static double Between(FeatureStatistics x, FeatureStatistics y)
    {
        if (x.Dimension != y.Dimension)
            throw new ArgumentException($"FrechetDistance: {x.Dimension} features against {y.Dimension}.");
        var covarianceX = x.Covariance;
        var covarianceY = y.Covariance;
        double means = (x.Mean - y.Mean).PointwisePower(2).Sum();
        // (C1 C2)^(1/2) has the trace of (C1^(1/2) C2 C1^(1/2))^(1/2), which is symmetric: its eigenvalues are real and, but for
        // rounding, not negative, also where there are fewer samples than features.
        var root = SquareRoot(covarianceX);
        double cross = Eigenvalues(root * covarianceY * root).Sum(static value => Math.Sqrt(Math.Max(0, value)));
        return means + covarianceX.Trace() + covarianceY.Trace() - 2 * cross;
    }

    private static Matrix<double> SquareRoot(Matrix<double> symmetric)
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
