namespace RawDiffusion.Verification.Rows;

internal static class MatMulRows
{
    private static readonly int[] s_extents = [0, 1, 2, 5, 6, 7, 16, 17];

    private static readonly (bool A, bool B)[] s_transposes = [(false, false), (false, true), (true, false), (true, true)];

    public static IEnumerable<OperationCase> Cases() => [.. MatMul(), .. Linear()];

    private static IEnumerable<OperationCase> MatMul()
    {
        // All small sizes around the borders of register tiles; the transposes take turns.
        int turn = 0;
        foreach (int m in s_extents)
        {
            foreach (int n in s_extents)
            {
                foreach (int k in new[] { 0, 1, 3, 8 })
                {
                    var (a, b) = s_transposes[turn++ % 4];
                    yield return MatMul([], [], m, n, k, a, b);
                }
            }
            turn++;
        }

        foreach (var (a, b) in s_transposes)
        {
            foreach (int size in new[] { 31, 32, 33 })
                yield return MatMul([], [], size, size, size, a, b);
            // Thin in one direction, long in another: each has a way of its own.
            yield return MatMul([], [], 67, 2, 61, a, b);
            yield return MatMul([], [], 2, 67, 61, a, b);
            yield return MatMul([], [], 67, 61, 2, a, b);
            yield return MatMul([], [], 1, 1, 509, a, b);
            yield return MatMul([], [], 3, 5, 1031, a, b);
            yield return MatMul([], [], 521, 1, 7, a, b);
            yield return MatMul([], [], 1, 521, 7, a, b);
            // Several items of rows, of columns, several blocks of K; and long sums of few elements.
            yield return MatMul([], [], 101, 131, 31, a, b);
            yield return MatMul([], [], 32, 67, 399, a, b);
            yield return MatMul([], [], 8, 9, 2503, a, b);
            // Batches: alike, a shared operand on either side, extents of 1 on both sides, unequal ranks, none at all.
            yield return MatMul([3], [3], 5, 7, 4, a, b);
            yield return MatMul([17], [17], 6, 16, 8, a, b);
            yield return MatMul([4], [], 5, 3, 6, a, b);
            yield return MatMul([], [4], 5, 3, 6, a, b);
            yield return MatMul([1], [5], 3, 4, 2, a, b);
            yield return MatMul([2, 1], [1, 3], 3, 4, 5, a, b);
            yield return MatMul([2, 3], [3], 3, 4, 5, a, b);
            yield return MatMul([3], [2, 3], 3, 4, 5, a, b);
            yield return MatMul([2, 1, 2], [3, 1], 2, 3, 4, a, b);
            yield return MatMul([0], [0], 2, 3, 4, a, b);
            yield return MatMul([0], [], 2, 3, 4, a, b);
            yield return MatMul([1, 1], [], 4, 5, 3, a, b);
            // Many small products, and a few that are shared out one by one.
            yield return MatMul([40], [40], 17, 19, 16, a, b);
            yield return MatMul([2], [2], 68, 76, 100, a, b);
        }
    }

    private static IEnumerable<OperationCase> Linear()
    {
        foreach (int rows in new[] { 0, 1, 2, 5, 7, 33 })
        {
            foreach (int features in new[] { 1, 2, 3, 17 })
            {
                foreach (int outputs in new[] { 1, 2, 6, 31 })
                    yield return Linear([rows], features, outputs, bias: (rows + features + outputs) % 2 == 0);
            }
        }
        foreach (bool bias in new[] { false, true })
        {
            yield return Linear([], 5, 3, bias);
            yield return Linear([2, 3], 4, 5, bias);
            yield return Linear([2, 0], 4, 5, bias);
            yield return Linear([2, 3, 4], 3, 2, bias);
            yield return Linear([4], 0, 3, bias);
            // The layers of a small network for points in the plane.
            yield return Linear([131], 2, 128, bias);
            yield return Linear([131], 128, 128, bias);
            yield return Linear([131], 128, 2, bias);
            yield return Linear([37], 784, 10, bias);
            yield return Linear([31], 401, 33, bias);
        }
    }

    private static OperationCase MatMul(int[] batchA, int[] batchB, int m, int n, int k, bool transposeA, bool transposeB)
    {
        int[] a = transposeA ? [.. batchA, k, m] : [.. batchA, m, k], b = transposeB ? [.. batchB, n, k] : [.. batchB, k, n];
        int batch = Shape.Broadcast(new Shape(batchA), new Shape(batchB), "matmul").Count;
        return new OperationCase
        {
            Operation = "matmul",
            Description = $"[{string.Join(',', a)}]{(transposeA ? "^T" : "")} x [{string.Join(',', b)}]{(transposeB ? "^T" : "")}",
            Inputs = [InputSpec.Normal(a), InputSpec.Normal(b)],
            Run = t => t[0].MatMul(t[1], transposeA, transposeB),
            ReductionLength = Math.Max(1, k),
            // A shared operand's gradient is summed over the batch as well.
            GradientReductionLength = Math.Max(1, Math.Max(m, n) * (batchA.Length == batchB.Length && batchA.SequenceEqual(batchB) ? 1 : Math.Max(1, batch))),
            // The second order of large products is that of small ones, and takes seconds on Reference.
            SecondOrder = (long)batch * m * n * k < 100_000,
        };
    }

    private static OperationCase Linear(int[] leading, int features, int outputs, bool bias)
    {
        int rows = new Shape(leading).Count;
        var x = InputSpec.Normal([.. leading, features]);
        var weight = InputSpec.Normal(outputs, features).Parameter();
        return new OperationCase
        {
            Operation = "linear",
            Description = $"[{string.Join(',', [.. leading, features])}] -> {outputs}{(bias ? ", bias" : "")}",
            Inputs = bias ? [x, weight, InputSpec.Normal(outputs).Parameter()] : [x, weight],
            Run = t => F.Linear(t[0], t[1], bias ? t[2] : null),
            ReductionLength = features + 1,
            GradientReductionLength = Math.Max(1, Math.Max(rows, outputs)),
            SecondOrder = (long)rows * features * outputs < 100_000,
        };
    }
}
