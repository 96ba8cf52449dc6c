namespace RawDiffusion.Diffusion.Metrics;

/// <summary>
/// The Wasserstein distance of two equally large clouds of points by the best of all pairings, found exactly (shortest augmenting paths:
/// Jonker and Volgenant 1987). It takes n^3 operations: meant for up to a few thousand points, where <see cref="SlicedWasserstein"/> is for
/// any number.
/// </summary>
public static class ExactWasserstein
{
    /// <param name="x">[n, D].</param>
    /// <param name="y">[n, D].</param>
    /// <param name="order">p: the p-th root of the mean p-th power of the distances; 1 or 2.</param>
    /// <returns>In the unit of the points.</returns>
    /// <exception cref="ArgumentException">The clouds differ in shape or are empty, a coordinate is not finite, or the order is another.</exception>
    public static double Distance(Tensor x, Tensor y, int order = 1)
    {
        if (x.Rank != 2 || x.Shape != y.Shape || x.Count == 0)
            throw new ArgumentException($"ExactWasserstein: expected two clouds [n, D] of one shape, got {x.Shape} and {y.Shape}.");
        if (order is not (1 or 2))
            throw new ArgumentException($"ExactWasserstein: the order is 1 or 2, not {order}.");
        int n = x.Shape[0], size = x.Shape[1];
        double[] a = x.ToDoubleArray(), b = y.ToDoubleArray(), cost = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
            {
                double square = Rows.SquaredDistance(a.AsSpan(i * size, size), b.AsSpan(j * size, size));
                cost[i * n + j] = order == 1 ? Math.Sqrt(square) : square;
            }
        }
        int[] partner = Assign(cost, n);
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += cost[i * n + partner[i]];
        return order == 1 ? sum / n : Math.Sqrt(sum / n);
    }

    /// <summary>For every row the column of the assignment with the least total cost.</summary>
    /// <param name="cost">[n, n], row-major.</param>
    internal static int[] Assign(double[] cost, int n)
    {
        // Potentials u of rows and v of columns keep all reduced costs from below 0; each row in turn is joined to a free column along the
        // shortest alternating path.
        double[] u = new double[n], v = new double[n], shortest = new double[n];
        int[] rowOf = new int[n], before = new int[n];
        Array.Fill(rowOf, -1);
        var done = new bool[n];
        for (int row = 0; row < n; row++)
        {
            Array.Fill(shortest, double.PositiveInfinity);
            Array.Clear(done);
            Array.Fill(before, -1);
            int current = row, from = -1, sink = -1;
            double reached = 0;
            while (sink < 0)
            {
                int next = -1;
                double least = double.PositiveInfinity;
                for (int j = 0; j < n; j++)
                {
                    if (done[j])
                        continue;
                    double length = reached + cost[current * n + j] - u[current] - v[j];
                    if (length < shortest[j])
                        (shortest[j], before[j]) = (length, from);
                    if (shortest[j] < least)
                        (least, next) = (shortest[j], j);
                }
                if (next < 0)
                    throw new ArgumentException("ExactWasserstein: a coordinate is not finite.");
                reached = least;
                done[next] = true;
                from = next;
                if (rowOf[next] < 0)
                    sink = next;
                else
                    current = rowOf[next];
            }
            u[row] += reached;
            for (int j = 0; j < n; j++)
            {
                if (!done[j] || j == sink)
                    continue;
                u[rowOf[j]] += reached - shortest[j];
                v[j] -= reached - shortest[j];
            }
            for (int j = sink; ;)
            {
                int previous = before[j];
                rowOf[j] = previous < 0 ? row : rowOf[previous];
                if (previous < 0)
                    break;
                j = previous;
            }
        }
        var partner = new int[n];
        for (int j = 0; j < n; j++)
            partner[rowOf[j]] = j;
        return partner;
    }
}
