using MathNet.Numerics.LinearAlgebra;
using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Diffusion.Metrics;

/// <summary>
/// Mean and covariance of features, gathered batch after batch in float64 and joined (Chan, Golub and LeVeque 1979): a batch's own mean is
/// subtracted before anything is squared, so no digits are lost where the mean is large against the spread.
/// </summary>
public sealed class FeatureStatistics
{
    private readonly double[] _mean;

    // Sum of (x - mean) (x - mean)^T: the diagonal and what is right of it.
    private readonly double[] _scatter;

    private Matrix<double>? _root;

    /// <param name="dimension">Number of features.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one.</exception>
    public FeatureStatistics(int dimension)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(dimension, 1);
        Dimension = dimension;
        (_mean, _scatter) = (new double[dimension], new double[dimension * dimension]);
    }

    /// <summary>Number of samples so far.</summary>
    public long Count { get; private set; }

    public int Dimension { get; }

    public Vector<double> Mean => Vector<double>.Build.DenseOfArray(_mean);

    /// <summary>The unbiased covariance, divided by Count - 1.</summary>
    /// <exception cref="InvalidOperationException">Fewer than two samples.</exception>
    public Matrix<double> Covariance
    {
        get
        {
            if (Count < 2)
                throw new InvalidOperationException($"a covariance needs at least 2 samples, not {Count}");
            return Matrix<double>.Build.Dense(Dimension, Dimension, (i, j) => _scatter[Math.Min(i, j) * Dimension + Math.Max(i, j)] / (Count - 1));
        }
    }

    /// <summary>The square root of <see cref="Covariance"/>, found once for as long as no samples come.</summary>
    internal Matrix<double> CovarianceRoot => _root ??= FrechetDistance.SquareRoot(Covariance);

    /// <summary>Takes samples in.</summary>
    /// <param name="features">[n, <see cref="Dimension"/>].</param>
    /// <exception cref="ArgumentException">The shape does not fit, or a feature is not finite. Nothing has been taken in then.</exception>
    public void Add(Tensor features)
    {
        if (features.Rank != 2 || features.Shape[1] != Dimension)
            throw new ArgumentException($"FeatureStatistics: expected features [n, {Dimension}], got {features.Shape}.");
        double[] centred = features.ToDoubleArray();
        int count = features.Shape[0];
        if (count == 0)
            return;
        var mean = new double[Dimension];
        for (int k = 0; k < centred.Length; k++)
            mean[k % Dimension] += centred[k];
        for (int i = 0; i < Dimension; i++)
            mean[i] /= count;
        if (!mean.All(double.IsFinite))
            throw new ArgumentException($"FeatureStatistics: a feature of sample {Array.FindIndex(centred, x => !double.IsFinite(x)) / Dimension} is not finite.");
        for (int k = 0; k < centred.Length; k++)
            centred[k] -= mean[k % Dimension];
        Workers.For(Dimension, new ScatterBody(centred, _scatter, Dimension));
        Join(count, mean);
    }

    /// <summary>Takes in all samples of another, as if they had been added here: parts of a set can be gathered apart.</summary>
    /// <exception cref="ArgumentException">It has another number of features.</exception>
    public void Merge(FeatureStatistics other)
    {
        if (other.Dimension != Dimension)
            throw new ArgumentException($"FeatureStatistics: {other.Dimension} features cannot join {Dimension}.");
        if (other.Count == 0)
            return;
        // It may be this one.
        double[] scatter = [.. other._scatter], mean = [.. other._mean];
        for (int i = 0; i < scatter.Length; i++)
            _scatter[i] += scatter[i];
        Join(other.Count, mean);
    }

    /// <summary>Joins the mean of samples whose scatter about it has been added already.</summary>
    private void Join(long count, double[] mean)
    {
        // The two means' distance d is what joining adds to the scatter: n m / (n + m) d d^T.
        long total = Count + count;
        double weight = (double)Count * count / total;
        double[] distance = [.. mean.Select((value, i) => value - _mean[i])];
        for (int i = 0; i < Dimension; i++)
        {
            for (int j = i; j < Dimension; j++)
                _scatter[i * Dimension + j] += weight * distance[i] * distance[j];
            _mean[i] += distance[i] * count / total;
        }
        (Count, _root) = (total, null);
    }

    /// <summary>A row of the scatter: one sample after the other, whatever the number of threads.</summary>
    private readonly struct ScatterBody(double[] centred, double[] scatter, int dimension) : IParallelBody
    {
        public void Run(int index, int worker)
        {
            var row = scatter.AsSpan(index * dimension + index, dimension - index);
            for (int start = index; start < centred.Length; start += dimension)
                Rows.AddScaled(row, centred.AsSpan(start, row.Length), centred[start]);
        }
    }
}
