using MathNet.Numerics.LinearAlgebra;

namespace RawDiffusion.Diffusion.Metrics;

/// <summary>
/// Mean and covariance of features, gathered batch after batch in float64 (Chan, Golub and LeVeque 1979): a batch's own mean is
/// subtracted before anything is squared, so no digits are lost where the mean is large against the spread.
/// </summary>
/// <param name="dimension">Number of features.</param>
public sealed class FeatureStatistics(int dimension)
{
    private readonly double[] _mean = new double[dimension];

    // Sum of (x - mean) (x - mean)^T.
    private readonly double[] _scatter = new double[dimension * dimension];

    /// <summary>Number of samples so far.</summary>
    public long Count { get; private set; }

    public int Dimension { get; } = dimension;

    public Vector<double> Mean => Vector<double>.Build.DenseOfArray(_mean);

    /// <summary>The unbiased covariance, divided by Count - 1.</summary>
    /// <exception cref="InvalidOperationException">Fewer than two samples.</exception>
    public Matrix<double> Covariance
    {
        get
        {
            if (Count < 2)
                throw new InvalidOperationException($"a covariance needs at least 2 samples, not {Count}");
            return Matrix<double>.Build.Dense(Dimension, Dimension, (i, j) => _scatter[i * Dimension + j] / (Count - 1));
        }
    }

    /// <summary>Takes samples in.</summary>
    /// <param name="features">[n, <see cref="Dimension"/>].</param>
    /// <exception cref="ArgumentException">The shape does not fit.</exception>
    public void Add(Tensor features)
    {
        if (features.Rank != 2 || features.Shape[1] != Dimension)
            throw new ArgumentException($"FeatureStatistics: expected features [n, {Dimension}], got {features.Shape}.");
        Add(features.ToArray());
    }

    private void Add(float[] features)
    {
        int count = features.Length / Dimension;
        if (count == 0)
            return;
        double[] mean = new double[Dimension], centred = new double[Dimension];
        for (int n = 0, k = 0; n < count; n++)
        {
            for (int i = 0; i < Dimension; i++)
                mean[i] += features[k++];
        }
        for (int i = 0; i < Dimension; i++)
            mean[i] /= count;
        for (int n = 0; n < count; n++)
        {
            for (int i = 0; i < Dimension; i++)
                centred[i] = features[n * Dimension + i] - mean[i];
            AddProduct(centred, 1);
        }
        // The two means' distance is what joining adds to the scatter: n m / (n + m) d d^T.
        long total = Count + count;
        for (int i = 0; i < Dimension; i++)
            centred[i] = mean[i] - _mean[i];
        AddProduct(centred, (double)Count * count / total);
        for (int i = 0; i < Dimension; i++)
            _mean[i] += centred[i] * count / total;
        Count = total;
    }

    private void AddProduct(double[] x, double weight)
    {
        for (int i = 0; i < Dimension; i++)
        {
            double factor = weight * x[i];
            for (int j = 0; j < Dimension; j++)
                _scatter[i * Dimension + j] += factor * x[j];
        }
    }
}
