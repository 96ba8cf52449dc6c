namespace RawDiffusion.Diffusion.Metrics;

/// <summary>Squared distances between rows of two arrays.</summary>
internal static class PointDistances
{
    public static double Squared(double[] x, double[] y, int i, int j, int size)
    {
        double sum = 0;
        for (int k = 0; k < size; k++)
        {
            double difference = x[i * size + k] - y[j * size + k];
            sum += difference * difference;
        }
        return sum;
    }

    /// <summary>The mean of f(|x_i - y_j|^2) over all pairs, or over all pairs of different numbers.</summary>
    public static double Mean(double[] x, double[] y, int size, bool skipEqual, Func<double, double> f)
    {
        int n = x.Length / size, m = y.Length / size;
        double sum = 0;
        for (int i = 0; i < n; i++)
        {
            double row = 0;
            for (int j = 0; j < m; j++)
            {
                if (!skipEqual || i != j)
                    row += f(Squared(x, y, i, j, size));
            }
            sum += row;
        }
        return sum / ((double)n * (skipEqual ? m - 1 : m));
    }

    /// <exception cref="ArgumentException">The clouds are not of one dimension, or of fewer than two points.</exception>
    public static int Check(string name, Tensor x, Tensor y)
    {
        if (x.Rank != 2 || y.Rank != 2 || x.Shape[1] != y.Shape[1] || x.Shape[0] < 2 || y.Shape[0] < 2 || x.Shape[1] == 0)
            throw new ArgumentException($"{name}: expected points [n, D] and [m, D], at least two of each, got {x.Shape} and {y.Shape}.");
        return x.Shape[1];
    }
}
