namespace RawDiffusion.Verification.Rows;

/// <summary>Indices repeat on purpose wherever there are more of them than rows: gradients then add up.</summary>
internal static class IndexingRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        (int Rows, int Dim)[] weights = [(1, 1), (10, 3), (7, 31), (5, 32), (11, 33), (3, 64), (2, 130), (4, 0)];
        int[][] indices = [[1], [0], [31], [2, 3], [4, 0], []];
        foreach (var (rows, dim) in weights)
        {
            foreach (int[] index in indices)
                yield return Embedding(rows, dim, index);
        }
        yield return Embedding(100, 300, [257]);

        (int[] Shape, int Axis)[] tensors =
            [([5], 0), ([1], 0), ([3, 7], 0), ([3, 7], 1), ([2, 5, 3], 0), ([2, 5, 3], 1), ([2, 5, 3], -1), ([4, 3, 33], 1), ([2, 2, 3, 5], 2), ([0, 3], 1)];
        foreach (var (shape, axis) in tensors)
        {
            var extents = new Shape(shape);
            foreach (int count in new[] { 0, 1, 4, 31 })
            {
                int[] index = extents.With(axis, count).ToArray();
                yield return Case("gather", $"{extents} axis {axis} count {count}", x => x[0].Gather(axis, x[1]), count, InputSpec.Normal(shape), InputSpec.Integers(extents[axis], index));
                yield return Case("indexSelect", $"{extents} axis {axis} count {count}", x => x[0].IndexSelect(axis, x[1]), count, InputSpec.Normal(shape), InputSpec.Integers(extents[axis], count));
            }
        }
        // Beyond one piece of parallel work, and beyond 64 columns.
        yield return Case("gather", "[3,40,200] axis 1 count 60", x => x[0].Gather(1, x[1]), 60, InputSpec.Normal(3, 40, 200), InputSpec.Integers(40, 3, 60, 200));
        yield return Case("indexSelect", "[3,40,200] axis 1 count 60", x => x[0].IndexSelect(1, x[1]), 60, InputSpec.Normal(3, 40, 200), InputSpec.Integers(40, 60));

        foreach (int[] index in indices)
        {
            yield return Case("to", $"floats from integers {new Shape(index)}", x => x[0].To(x[0].Device.FloatType), 1, InputSpec.Integers(1 << 20, index)) with
            {
                Differentiable = false,
                SecondOrder = false,
            };
        }
        foreach (int classes in new[] { 1, 2, 10, 33 })
        {
            foreach (int[] index in indices)
            {
                yield return Case("oneHot", $"{new Shape(index)} of {classes}", x => x[0].OneHot(classes), 1, InputSpec.Integers(classes, index)) with
                {
                    Differentiable = false,
                    SecondOrder = false,
                };
            }
        }
    }

    private static OperationCase Embedding(int rows, int dim, int[] index) => Case(
        "embedding", $"[{rows},{dim}] at {new Shape(index)}", x => F.Embedding(x[1], x[0]), new Shape(index).Count,
        InputSpec.Normal(rows, dim), InputSpec.Integers(rows, index));

    private static OperationCase Case(string operation, string description, Func<Tensor[], Tensor> run, int terms, params InputSpec[] inputs) => new()
    {
        Operation = operation,
        Description = description,
        Inputs = inputs,
        Run = run,
        SecondOrder = true,
        GradientReductionLength = Math.Max(1, terms),
    };
}
