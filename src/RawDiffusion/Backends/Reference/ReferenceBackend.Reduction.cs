namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void Reduce(ReduceOp op, in ReduceGeometry g, Storage x, Storage y)
    {
        Span<double> from = D(x), to = D(y);
        var line = new double[g.Reduce];
        for (int outer = 0; outer < g.Outer; outer++)
        {
            for (int inner = 0; inner < g.Inner; inner++)
            {
                for (int r = 0; r < g.Reduce; r++)
                    line[r] = from[(outer * g.Reduce + r) * g.Inner + inner];
                to[outer * g.Inner + inner] = ReduceLine(op, line);
            }
        }
    }

    public override void ArgMax(in ReduceGeometry g, Storage x, Storage y)
    {
        var from = D(x);
        var to = I(y);
        for (int outer = 0; outer < g.Outer; outer++)
        {
            for (int inner = 0; inner < g.Inner; inner++)
            {
                int best = 0;
                double largest = from[outer * g.Reduce * g.Inner + inner];
                for (int r = 1; r < g.Reduce; r++)
                {
                    double value = from[(outer * g.Reduce + r) * g.Inner + inner];
                    if (value > largest || double.IsNaN(value) && !double.IsNaN(largest))
                        (best, largest) = (r, value);
                }
                to[outer * g.Inner + inner] = best;
            }
        }
    }

    private static double ReduceLine(ReduceOp op, double[] line)
    {
        double sum = 0;
        switch (op)
        {
            case ReduceOp.Sum:
                foreach (double value in line)
                    sum += value;
                return sum;
            case ReduceOp.SumOfSquares:
                foreach (double value in line)
                    sum += value * value;
                return sum;
            case ReduceOp.Max:
                double largest = line[0];
                foreach (double value in line)
                    largest = Math.Max(largest, value);
                return largest;
            case ReduceOp.Min:
                double smallest = line[0];
                foreach (double value in line)
                    smallest = Math.Min(smallest, value);
                return smallest;
            case ReduceOp.LogSumExp:
                return LogSumExp(line);
            default:
                throw new ArgumentOutOfRangeException(nameof(op), op, "not a reduction");
        }
    }
}
