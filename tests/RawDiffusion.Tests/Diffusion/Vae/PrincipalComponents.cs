using MathNet.Numerics.LinearAlgebra;

namespace RawDiffusion.Tests.Diffusion.Vae;

/// <summary>Probabilistic principal components: x = W z + mean + noise of one variance (Tipping and Bishop 1999).</summary>
internal static class PrincipalComponents
{
    /// <summary>
    /// The least -ln p per sample over all W, means and variances, by their equation 8: the variance is the mean of the eigenvalues of the
    /// data's covariance that are left out, and then tr(C^-1 S) is the number of dimensions.
    /// </summary>
    public static double NegativeLogLikelihood(Tensor x, int components)
    {
        int n = x.Shape[0], size = x.Shape[1];
        var rows = Matrix<double>.Build.DenseOfRowMajor(n, size, x.ToDoubleArray());
        var centred = rows - Matrix<double>.Build.DenseOfRowVectors(Enumerable.Repeat(rows.ColumnSums() / n, n));
        double[] eigenvalues = [.. (centred.TransposeThisAndMultiply(centred) / n).Evd().EigenValues.Select(value => value.Real).OrderDescending()];
        double left = eigenvalues.Skip(components).Average();
        double logDeterminant = eigenvalues.Take(components).Sum(Math.Log) + (size - components) * Math.Log(left);
        return 0.5 * (size * Math.Log(2 * Math.PI) + logDeterminant + size);
    }
}
