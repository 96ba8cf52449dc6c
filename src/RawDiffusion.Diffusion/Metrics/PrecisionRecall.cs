using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Diffusion.Metrics;

/// <summary>
/// How many samples look like data, and how much of the data is covered by samples (Kynkaanniemi et al. 2019): a set is taken to be the
/// union of balls around its points that reach to their k-th neighbour.
/// </summary>
/// <param name="Precision">Share of samples within the balls of the data: quality.</param>
/// <param name="Recall">Share of the data within the balls of the samples: variety.</param>
public sealed record PrecisionRecall(double Precision, double Recall)
{
    public const int DefaultNeighbours = 3;

    /// <param name="data">Features of data, [n, D].</param>
    /// <param name="samples">Features of samples, [m, D].</param>
    /// <param name="neighbours">k.</param>
    /// <exception cref="ArgumentException">The features are not of one dimension, not more than k of each, or not finite.</exception>
    public static PrecisionRecall Measure(Tensor data, Tensor samples, int neighbours = DefaultNeighbours)
    {
        int size = PointDistances.Check(nameof(PrecisionRecall), data, samples);
        if (neighbours < 1 || neighbours >= data.Shape[0] || neighbours >= samples.Shape[0])
            throw new ArgumentException($"PrecisionRecall: {data.Shape[0]} and {samples.Shape[0]} points do not have {neighbours} neighbours each.");
        double[] x = data.ToDoubleArray(), y = samples.ToDoubleArray();
        foreach (var (set, values) in new[] { ("data", x), ("samples", y) })
        {
            // Comparisons with it come out false, and every point would take it for a near neighbour.
            if (Array.FindIndex(values, value => !double.IsFinite(value)) is >= 0 and var at)
                throw new ArgumentException($"PrecisionRecall: a feature of number {at / size} of the {set} is not finite.");
        }
        return new PrecisionRecall(ShareWithin(x, Radii(x, size, neighbours), y, size), ShareWithin(y, Radii(y, size, neighbours), x, size));
    }

    /// <summary>The squared distance of every point to its k-th neighbour.</summary>
    private static double[] Radii(double[] points, int size, int neighbours)
    {
        var radii = new double[points.Length / size];
        Workers.For(radii.Length, new RadiusBody(points, size, neighbours, radii));
        return radii;
    }

    private static double ShareWithin(double[] centres, double[] radii, double[] points, int size)
    {
        var inside = new bool[points.Length / size];
        Workers.For(inside.Length, new InsideBody(centres, radii, points, size, inside));
        return (double)inside.Count(static each => each) / inside.Length;
    }

    private readonly struct RadiusBody(double[] points, int size, int neighbours, double[] radii) : IParallelBody
    {
        public void Run(int index, int worker)
        {
            var point = points.AsSpan(index * size, size);
            // The nearest so far, the point itself among them, in rising order.
            var nearest = new double[neighbours + 1];
            Array.Fill(nearest, double.PositiveInfinity);
            for (int j = 0; j < radii.Length; j++)
            {
                double distance = Rows.SquaredDistance(point, points.AsSpan(j * size, size));
                int place = neighbours;
                if (distance >= nearest[place])
                    continue;
                for (; place > 0 && nearest[place - 1] > distance; place--)
                    nearest[place] = nearest[place - 1];
                nearest[place] = distance;
            }
            radii[index] = nearest[neighbours];
        }
    }

    private readonly struct InsideBody(double[] centres, double[] radii, double[] points, int size, bool[] inside) : IParallelBody
    {
        public void Run(int index, int worker)
        {
            var point = points.AsSpan(index * size, size);
            for (int j = 0; j < radii.Length && !inside[index]; j++)
                inside[index] = Rows.SquaredDistance(point, centres.AsSpan(j * size, size)) <= radii[j];
        }
    }
}
