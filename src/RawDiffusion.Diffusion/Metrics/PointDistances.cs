using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Diffusion.Metrics;

/// <summary>Means over pairs of rows of two arrays, on all cores.</summary>
internal static class PointDistances
{
    /// <summary>A number that belongs to two points.</summary>
    public delegate double OfPair(ReadOnlySpan<double> x, ReadOnlySpan<double> y);

    /// <summary>The mean of f(x_i, y_j) over all pairs. The same bits for every number of threads.</summary>
    public static double Mean(double[] x, double[] y, int size, OfPair f)
    {
        int n = x.Length / size, m = y.Length / size;
        return Sum(x, y, size, f, within: false) / ((double)n * m);
    }

    /// <summary>The mean of a symmetric f(x_i, x_j) over all pairs of different numbers.</summary>
    public static double MeanWithin(double[] x, int size, OfPair f)
    {
        int n = x.Length / size;
        return 2 * Sum(x, x, size, f, within: true) / ((double)n * (n - 1));
    }

    private static double Sum(double[] x, double[] y, int size, OfPair f, bool within)
    {
        var rows = new double[x.Length / size];
        Workers.For(rows.Length, new RowBody(x, y, size, f, within, rows));
        return rows.Sum();
    }

    /// <exception cref="ArgumentException">The clouds are not of one dimension, or of fewer than two points.</exception>
    public static int Check(string name, Tensor x, Tensor y)
    {
        if (x.Rank != 2 || y.Rank != 2 || x.Shape[1] != y.Shape[1] || x.Shape[0] < 2 || y.Shape[0] < 2 || x.Shape[1] == 0)
            throw new ArgumentException($"{name}: expected points [n, D] and [m, D], at least two of each, got {x.Shape} and {y.Shape}.");
        return x.Shape[1];
    }

    private readonly struct RowBody(double[] x, double[] y, int size, OfPair f, bool within, double[] rows) : IParallelBody
    {
        public void Run(int index, int worker)
        {
            var point = x.AsSpan(index * size, size);
            double sum = 0;
            for (int start = within ? (index + 1) * size : 0; start < y.Length; start += size)
                sum += f(point, y.AsSpan(start, size));
            rows[index] = sum;
        }
    }
}
