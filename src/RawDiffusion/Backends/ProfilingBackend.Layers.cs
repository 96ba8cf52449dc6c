namespace RawDiffusion.Backends;

// Indexing, softmax, norms and attention.
public sealed partial class ProfilingBackend
{
    public override void Embedding(in GatherGeometry g, Storage x, Storage index, Storage y)
    {
        using var call = Begin($"{g.Outer} x {g.Count} of {g.Rows} x {g.Inner}", 0, Bytes(x, index, y));
        inner.Embedding(in g, x, index, y);
    }

    public override void EmbeddingGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx)
    {
        using var call = Begin($"{g.Outer} x {g.Count} of {g.Rows} x {g.Inner}", 0, Bytes(gy, index, gx));
        inner.EmbeddingGrad(in g, gy, index, gx);
    }

    public override void Gather(in GatherGeometry g, Storage x, Storage index, Storage y)
    {
        using var call = Begin($"{g.Outer} x {g.Count} of {g.Rows} x {g.Inner}", 0, Bytes(x, index, y));
        inner.Gather(in g, x, index, y);
    }

    public override void GatherGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx)
    {
        using var call = Begin($"{g.Outer} x {g.Count} of {g.Rows} x {g.Inner}", 0, Bytes(gy, index, gx));
        inner.GatherGrad(in g, gy, index, gx);
    }

    public override void OneHot(int count, int classes, Storage index, Storage y)
    {
        using var call = Begin($"{count} x {classes}", 0, Bytes(index, y));
        inner.OneHot(count, classes, index, y);
    }

    public override void Softmax(int rows, int columns, bool log, Storage x, Storage y)
    {
        using var call = Begin($"{rows} x {columns}", 0, Bytes(x, y));
        inner.Softmax(rows, columns, log, x, y);
    }

    public override void SoftmaxGrad(int rows, int columns, bool log, Storage y, Storage gy, Storage gx)
    {
        using var call = Begin($"{rows} x {columns}", 0, Bytes(y, gy, gx));
        inner.SoftmaxGrad(rows, columns, log, y, gy, gx);
    }

    public override void CrossEntropy(int rows, int columns, Storage logits, Storage labels, Storage losses)
    {
        using var call = Begin($"{rows} x {columns}", 0, Bytes(logits, labels, losses));
        inner.CrossEntropy(rows, columns, logits, labels, losses);
    }

    public override void CrossEntropyGrad(int rows, int columns, Storage logits, Storage labels, Storage gLosses, Storage gLogits)
    {
        using var call = Begin($"{rows} x {columns}", 0, Bytes(logits, labels, gLosses, gLogits));
        inner.CrossEntropyGrad(rows, columns, logits, labels, gLosses, gLogits);
    }

    public override void GroupNorm(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd)
    {
        using var call = Begin(Describe(g, silu), 0, Bytes(x, y));
        inner.GroupNorm(in g, silu, x, gamma, beta, y, mean, rstd);
    }

    public override void GroupNormGrad(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta)
    {
        using var call = Begin(Describe(g, silu), 0, Bytes(x, gy, gx));
        inner.GroupNormGrad(in g, silu, x, gamma, beta, mean, rstd, gy, gx, gGamma, gBeta);
    }

    public override void LayerNorm(in LayerNormGeometry g, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd)
    {
        using var call = Begin($"{g.Rows} x {g.Columns}", 0, Bytes(x, y));
        inner.LayerNorm(in g, x, gamma, beta, y, mean, rstd);
    }

    public override void LayerNormGrad(
        in LayerNormGeometry g, Storage x, Storage gamma, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta)
    {
        using var call = Begin($"{g.Rows} x {g.Columns}", 0, Bytes(x, gy, gx));
        inner.LayerNormGrad(in g, x, gamma, mean, rstd, gy, gx, gGamma, gBeta);
    }

    public override void Attention(in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp)
    {
        using var call = Begin(Describe(g), 2 * ScoreFlops(g), Bytes(q, k, v, y));
        inner.Attention(in g, q, k, v, y, logSumExp);
    }

    public override void AttentionGrad(
        in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp, Storage gy,
        Storage gq, Storage gk, Storage gv)
    {
        using var call = Begin(Describe(g), 5 * ScoreFlops(g), Bytes(q, k, v, y, gy, gq, gk, gv));
        inner.AttentionGrad(in g, q, k, v, y, logSumExp, gy, gq, gk, gv);
    }

    private static string Describe(in GroupNormGeometry g, bool silu) => $"{g.Batch}x{g.Spatial}x{g.Channels}, {g.Groups} groups{(silu ? ", SiLU" : "")}";

    private static string Describe(in AttentionGeometry g) => $"batch {g.Batch}, {g.Heads} heads of {g.HeadDim}, {g.QueryLength} x {g.KeyLength}";

    /// <summary>Of one product of the size of the scores; forward takes two, backward five, since it computes the scores again.</summary>
    private static double ScoreFlops(in AttentionGeometry g) => 2.0 * g.Batch * g.Heads * g.QueryLength * g.KeyLength * g.HeadDim;
}
