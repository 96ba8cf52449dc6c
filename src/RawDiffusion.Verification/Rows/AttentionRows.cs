namespace RawDiffusion.Verification.Rows;

internal static class AttentionRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        // Lengths around the register tile (6) and the vector widths, self and cross, every kind of head dimension.
        foreach (var (batch, heads) in ((int, int)[])[(1, 1), (2, 3)])
        {
            foreach (var (queries, keys) in ((int, int)[])[(1, 1), (1, 7), (5, 1), (6, 6), (7, 7), (13, 4), (4, 17), (12, 31)])
            {
                foreach (int dim in (int[])[1, 2, 3, 4, 7, 8, 9])
                    yield return Attention(batch, queries, keys, heads, dim);
            }
        }
        foreach (int dim in (int[])[16, 31, 32, 33])
        {
            yield return Attention(1, 5, 5, 1, dim);
            yield return Attention(1, 3, 8, 2, dim);
            yield return Attention(2, 7, 3, 1, dim);
        }
        // Wide heads, around the columns that a block of a GPU sums and beyond them.
        foreach (int dim in (int[])[63, 64, 65, 127, 128, 129, 257])
            yield return Attention(1, 3, 4, 1, dim);
        yield return Attention(1, 34, 35, 2, 66);
        // Beyond one block of queries or keys, with whole and partial last blocks; few and many (sample, head) pairs.
        yield return Attention(1, 49, 49, 2, 4);
        yield return Attention(1, 61, 3, 1, 4);
        yield return Attention(1, 3, 97, 1, 4);
        yield return Attention(17, 5, 5, 1, 3);
        yield return Attention(1, 121, 150, 1, 8);
        yield return Attention(1, 73, 241, 1, 3);
        yield return Attention(1, 196, 16, 2, 8);
        yield return Attention(4, 49, 49, 4, 16);
        yield return Attention(2, 196, 196, 1, 32);
        // Heads as models have them, self and cross, for the tiles of tensor cores.
        foreach (int dim in (int[])[16, 24, 40, 64, 80, 128, 160, 256])
        {
            yield return Attention(1, 77, 77, 1, dim);
            yield return Attention(2, 33, 50, 1, dim);
        }
        // Nothing to do.
        yield return Attention(0, 3, 3, 2, 4);
        yield return Attention(2, 0, 3, 1, 4);
        yield return Attention(2, 0, 0, 1, 4);
        yield return Attention(1, 3, 3, 0, 4);
        yield return Attention(2, 3, 5, 1, 0);
        // Given scales: none, negative, and one that makes the largest score take nearly all.
        yield return Attention(1, 9, 9, 2, 4, 1);
        yield return Attention(1, 9, 9, 2, 4, -0.5);
        yield return Attention(1, 9, 9, 2, 4, 0);
        yield return Attention(1, 9, 120, 1, 4, 4) with
        {
            // A score of 30 has an absolute error of 30 * 2^-24 before the exponential turns it into a relative one.
            ToleranceFactor = 8,
        };
        yield return new OperationCase
        {
            Operation = "scaledDotProductAttention",
            Description = "one tensor as query, key and value [2, 6, 1, 4]",
            Inputs = [InputSpec.Normal(2, 6, 1, 4)],
            Run = static t => F.ScaledDotProductAttention(t[0], t[0], t[0]),
            ReductionLength = 6,
        };
    }

    private static OperationCase Attention(int batch, int queries, int keys, int heads, int dim, double? scale = null) => new()
    {
        Operation = "scaledDotProductAttention",
        Description = $"q [{batch}, {queries}, {heads}, {dim}] k [{batch}, {keys}, {heads}, {dim}]{(scale is null ? "" : $" scale {scale}")}",
        Inputs =
        [
            InputSpec.Normal(batch, queries, heads, dim),
            InputSpec.Normal(batch, keys, heads, dim),
            InputSpec.Normal(batch, keys, heads, dim),
        ],
        Run = t => F.ScaledDotProductAttention(t[0], t[1], t[2], scale),
        ReductionLength = Math.Max(1, Math.Max(keys, dim)),
        GradientReductionLength = Math.Max(1, Math.Max(Math.Max(keys, queries), dim)),
    };
}
