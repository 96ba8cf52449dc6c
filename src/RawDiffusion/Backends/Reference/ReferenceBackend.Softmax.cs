namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void Softmax(int rows, int columns, bool log, Storage x, Storage y)
    {
        for (int row = 0; row < rows; row++)
        {
            Span<double> from = D(x).Slice(row * columns, columns), to = D(y).Slice(row * columns, columns);
            double logSumExp = LogSumExp(from);
            for (int i = 0; i < columns; i++)
                to[i] = log ? from[i] - logSumExp : Math.Exp(from[i] - logSumExp);
        }
    }

    public override void SoftmaxGrad(int rows, int columns, bool log, Storage y, Storage gy, Storage gx)
    {
        for (int row = 0; row < rows; row++)
        {
            Span<double> output = D(y).Slice(row * columns, columns), gradient = D(gy).Slice(row * columns, columns);
            Span<double> to = D(gx).Slice(row * columns, columns);
            // dy_i / dx_j is y_i (delta_ij - y_j) for softmax and delta_ij - exp(y_j) for its logarithm.
            double sum = 0;
            for (int i = 0; i < columns; i++)
                sum += log ? gradient[i] : gradient[i] * output[i];
            for (int j = 0; j < columns; j++)
                to[j] = log ? gradient[j] - Math.Exp(output[j]) * sum : output[j] * (gradient[j] - sum);
        }
    }

    public override void CrossEntropy(int rows, int columns, Storage logits, Storage labels, Storage losses)
    {
        for (int row = 0; row < rows; row++)
        {
            var line = D(logits).Slice(row * columns, columns);
            D(losses)[row] = LogSumExp(line) - line[I(labels)[row]];
        }
    }

    public override void CrossEntropyGrad(int rows, int columns, Storage logits, Storage labels, Storage gLosses, Storage gLogits)
    {
        for (int row = 0; row < rows; row++)
        {
            Span<double> line = D(logits).Slice(row * columns, columns), to = D(gLogits).Slice(row * columns, columns);
            double logSumExp = LogSumExp(line);
            for (int c = 0; c < columns; c++)
                to[c] = D(gLosses)[row] * (Math.Exp(line[c] - logSumExp) - (c == I(labels)[row] ? 1 : 0));
        }
    }

    /// <summary>Relative to the largest, so that nothing overflows; an infinite largest is the result itself.</summary>
    private static double LogSumExp(ReadOnlySpan<double> line)
    {
        double max = double.NegativeInfinity, sum = 0;
        foreach (double value in line)
            max = Math.Max(max, value);
        if (!double.IsFinite(max))
            return max;
        foreach (double value in line)
            sum += Math.Exp(value - max);
        return max + Math.Log(sum);
    }
}
