namespace RawDiffusion.Verification.Rows;

internal static class NormalizationRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        // Every way of cutting rows of whole vectors out of pixels: channels below, at, above and prime to the vector width.
        // A group of one or two values has a gradient that is a difference of nearly equal numbers and is left out.
        (int Channels, int Groups)[] cuts =
            [(1, 1), (2, 1), (3, 1), (3, 3), (4, 2), (8, 8), (8, 1), (12, 4), (16, 4), (31, 1), (32, 8), (32, 32), (33, 11), (48, 8)];
        foreach (int batch in (int[])[1, 2])
        {
            foreach (int spatial in (int[])[1, 4, 7, 31])
            {
                foreach (var (channels, groups) in cuts)
                {
                    if (spatial * (channels / groups) <= 2)
                        continue;
                    foreach (bool silu in (bool[])[false, true])
                        yield return GroupNorm(silu, groups, [batch, spatial, channels]);
                }
            }
        }
        foreach (bool silu in (bool[])[false, true])
        {
            yield return GroupNorm(silu, 2, [0, 5, 4]);
            yield return GroupNorm(silu, 2, [3, 0, 4]);
            yield return GroupNorm(silu, 1, [2, 3, 5, 7]);
            yield return GroupNorm(silu, 3, [2, 2, 3, 2, 6]);
            yield return GroupNorm(silu, 4, [5, 32]);
            yield return GroupNorm(silu, 4, [1, 33, 33, 8]);
            yield return GroupNorm(silu, 8, [3, 17, 17, 32]);
            yield return GroupNorm(silu, 32, [17, 7, 7, 64]);
            // Whole packs of 16 bytes that hold three channels of a group and one of the next; groups of several packs.
            yield return GroupNorm(silu, 16, [2, 7, 48]);
            yield return GroupNorm(silu, 2, [2, 7, 64]);
            // A group for each channel of few pixels.
            yield return GroupNorm(silu, 64, [2, 5, 64]);
            // More pixels than a block of a GPU holds of x and gy, and of x alone.
            yield return GroupNorm(silu, 4, [1, 35, 31, 16]);
            yield return GroupNorm(silu, 2, [1, 42, 50, 16]);
            yield return GroupNorm(silu, 4, [2, 5, 5, 8]) with
            {
                Description = "[2, 5, 5, 8] groups 4, mean 10 and variance 1/3",
                Inputs = [InputSpec.Uniform(9, 11, 2, 5, 5, 8), InputSpec.Normal(8).Parameter(), InputSpec.Normal(8).Parameter()],
                // x - mean loses the digits that 10 has before the point, in any float32 implementation.
                ToleranceFactor = 4,
            };
        }
        yield return new OperationCase
        {
            Operation = "groupNorm",
            Description = "[2, 4, 6] groups 3, no weight or bias",
            Inputs = [InputSpec.Normal(2, 4, 6)],
            Run = static t => F.GroupNorm(t[0], 3),
            ReductionLength = 8,
        };

        foreach (int rows in (int[])[1, 2, 7, 33])
        {
            foreach (int columns in (int[])[3, 4, 7, 8, 15, 16, 31, 32, 33, 61])
                yield return LayerNorm([rows, columns]);
        }
        yield return LayerNorm([0, 8]);
        yield return LayerNorm([4, 0]);
        yield return LayerNorm([5]);
        yield return LayerNorm([2, 3, 2, 9]);
        yield return LayerNorm([257, 128]);
        yield return LayerNorm([3, 1031]);
        // Longer than what registers hold of a row.
        yield return LayerNorm([2, 8200]);
        yield return new OperationCase
        {
            Operation = "layerNorm",
            Description = "[3, 10] no weight or bias, eps 0.1",
            Inputs = [InputSpec.Normal(3, 10)],
            Run = static t => F.LayerNorm(t[0], eps: 0.1),
            ReductionLength = 10,
        };
    }

    private static OperationCase GroupNorm(bool silu, int groups, ReadOnlySpan<int> shape)
    {
        var x = new Shape(shape);
        int channels = x[-1], spatial = x.Product(1, x.Rank - 1);
        return new OperationCase
        {
            Operation = silu ? "groupNormSilu" : "groupNorm",
            Description = $"{x} groups {groups}",
            Inputs = [InputSpec.Normal(shape), InputSpec.Normal(channels).Parameter(), InputSpec.Normal(channels).Parameter()],
            Run = silu
                ? t => F.GroupNormSilu(t[0], groups, t[1], t[2])
                : t => F.GroupNorm(t[0], groups, t[1], t[2]),
            ReductionLength = Math.Max(1, spatial * (channels / groups)),
            GradientReductionLength = Math.Max(1, Math.Max(spatial * (channels / groups), x[0] * spatial)),
        };
    }

    private static OperationCase LayerNorm(ReadOnlySpan<int> shape)
    {
        var x = new Shape(shape);
        int columns = x[-1];
        return new OperationCase
        {
            Operation = "layerNorm",
            Description = $"{x}",
            Inputs = [InputSpec.Normal(shape), InputSpec.Normal(columns).Parameter(), InputSpec.Normal(columns).Parameter()],
            Run = static t => F.LayerNorm(t[0], t[1], t[2]),
            ReductionLength = Math.Max(1, columns),
            GradientReductionLength = Math.Max(1, Math.Max(columns, x.Product(0, x.Rank - 1))),
        };
    }
}
