namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void Attention(in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp)
    {
        Span<double> qs = D(q), ks = D(k), vs = D(v), ys = D(y);
        var scores = new double[g.KeyLength];
        for (int b = 0; b < g.Batch; b++)
        {
            for (int h = 0; h < g.Heads; h++)
            {
                for (int i = 0; i < g.QueryLength; i++)
                {
                    double max = double.NegativeInfinity, sum = 0;
                    for (int j = 0; j < g.KeyLength; j++)
                    {
                        scores[j] = g.Scale * Dot(qs, Row(g, g.QueryLength, b, i, h), ks, Row(g, g.KeyLength, b, j, h), g.HeadDim);
                        max = Math.Max(max, scores[j]);
                    }
                    for (int j = 0; j < g.KeyLength; j++)
                        sum += Math.Exp(scores[j] - max);
                    double lse = max + Math.Log(sum);
                    D(logSumExp)[(b * g.Heads + h) * g.QueryLength + i] = lse;
                    var to = ys.Slice(Row(g, g.QueryLength, b, i, h), g.HeadDim);
                    to.Clear();
                    for (int j = 0; j < g.KeyLength; j++)
                        AddScaled(Math.Exp(scores[j] - lse), vs, Row(g, g.KeyLength, b, j, h), to);
                }
            }
        }
    }

    // With p = softmax(scale q k^T), y = p v: gv = p^T gy; the gradient of the scores is ds = p (gy v^T - gy . y), row by row;
    // gq = scale ds k and gk = scale ds^T q.
    public override void AttentionGrad(
        in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp, Storage gy,
        Storage gq, Storage gk, Storage gv)
    {
        Span<double> qs = D(q), ks = D(k), vs = D(v), ys = D(y), gys = D(gy), gqs = D(gq), gks = D(gk), gvs = D(gv);
        gqs.Clear();
        gks.Clear();
        gvs.Clear();
        for (int b = 0; b < g.Batch; b++)
        {
            for (int h = 0; h < g.Heads; h++)
            {
                for (int i = 0; i < g.QueryLength; i++)
                {
                    int query = Row(g, g.QueryLength, b, i, h);
                    double lse = D(logSumExp)[(b * g.Heads + h) * g.QueryLength + i];
                    double gyDotY = Dot(gys, query, ys, query, g.HeadDim);
                    for (int j = 0; j < g.KeyLength; j++)
                    {
                        int key = Row(g, g.KeyLength, b, j, h);
                        double p = Math.Exp(g.Scale * Dot(qs, query, ks, key, g.HeadDim) - lse);
                        double ds = p * (Dot(gys, query, vs, key, g.HeadDim) - gyDotY);
                        AddScaled(p, gys, query, gvs.Slice(key, g.HeadDim));
                        AddScaled(g.Scale * ds, ks, key, gqs.Slice(query, g.HeadDim));
                        AddScaled(g.Scale * ds, qs, query, gks.Slice(key, g.HeadDim));
                    }
                }
            }
        }
    }

    /// <summary>Where the vector of one position and head starts in a [Batch, length, Heads, HeadDim] tensor.</summary>
    private static int Row(in AttentionGeometry g, int length, int b, int position, int h) =>
        ((b * length + position) * g.Heads + h) * g.HeadDim;

    private static double Dot(Span<double> x, int xStart, Span<double> y, int yStart, int count)
    {
        double sum = 0;
        for (int i = 0; i < count; i++)
            sum += x[xStart + i] * y[yStart + i];
        return sum;
    }

    private static void AddScaled(double factor, Span<double> x, int xStart, Span<double> sum)
    {
        for (int i = 0; i < sum.Length; i++)
            sum[i] += factor * x[xStart + i];
    }
}
