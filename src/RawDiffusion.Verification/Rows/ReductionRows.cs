namespace RawDiffusion.Verification.Rows;

internal static class ReductionRows
{
    /// <summary>Shapes and the axes reduced: rows, columns, narrow columns, axes apart, extent 1, everything, several chunks and threads.</summary>
    private static readonly (int[] Shape, int[] Axes)[] s_cases =
    [
        ([], []), ([1], [0]), ([31], [0]), ([32], [0]), ([33], []), ([5, 31], [1]), ([5, 31], [0]), ([5, 33], [0, 1]), ([7, 1, 3], [1]),
        ([3, 2], [0]), ([3, 2], [1]), ([13, 17], [-1]), ([3, 4, 5, 6], [0, 2]), ([3, 4, 5, 6], [1, 3]), ([3, 4, 5, 6], [1, 2]),
        ([2, 3, 2, 3, 2, 3], [0, 2, 4]), ([0, 3], [1]), ([4, 300, 3], [1]), ([2, 97, 8], [1]), ([41, 67], [0]), ([1500, 17], [0]),
        ([70001], [0]), ([3, 30011], [1]), ([30011, 3], [0]), ([2500, 40], [0]), ([40, 3001], [0]), ([40, 3001], [1]),
    ];

    public static IEnumerable<OperationCase> Cases() =>
    [
        .. Reduce("sum", (x, axes, keep) => x.Sum(axes, keep)),
        .. Reduce("mean", (x, axes, keep) => x.Mean(axes, keep)),
        .. Reduce("max", (x, axes, keep) => x.Max(axes, keep)),
        .. Reduce("min", (x, axes, keep) => x.Min(axes, keep)),
        .. Reduce("logSumExp", (x, axes, keep) => x.LogSumExp(axes, keep)),
        .. Reduce("norm", (x, axes, keep) => x.Norm(axes, keep)),
        .. Reduce("variance", (x, axes, keep) => x.Variance(axes, 1, keep), smallest: 2),
        .. Reduce("varianceOfPopulation", (x, axes, keep) => x.Variance(axes, 0, keep)),
        .. Reduce("std", (x, axes, keep) => x.Std(axes, 1, keep), smallest: 2),
        .. Reduce("argMax", (x, axes, keep) => x.ArgMax(axes[0], keep), differentiable: false, oneAxis: true),
        .. SumOfNothing(),
        .. SumTo(),
    ];

    private delegate Tensor Reduction(Tensor x, ReadOnlySpan<int> axes, bool keepDims);

    private static IEnumerable<OperationCase> Reduce(
        string operation, Reduction run, bool differentiable = true, bool oneAxis = false, int smallest = 1)
    {
        foreach (var (extents, axes) in s_cases)
        {
            var shape = new Shape(extents);
            int length = 1;
            foreach (int axis in axes.Length == 0 ? Enumerable.Range(0, shape.Rank) : axes)
                length *= shape[axis];
            if (length < smallest || oneAxis && axes.Length != 1)
                continue;
            foreach (bool keepDims in shape.Count > 1000 ? [false] : new[] { false, true })
            {
                yield return new OperationCase
                {
                    Operation = operation,
                    Description = $"{shape} over [{string.Join(", ", axes)}]{(keepDims ? " kept" : "")}",
                    Inputs = [InputSpec.Normal(extents)],
                    Run = t => run(t[0], axes, keepDims),
                    ReductionLength = length,
                    Differentiable = differentiable,
                    SecondOrder = differentiable,
                };
            }
        }
    }

    private static IEnumerable<OperationCase> SumOfNothing()
    {
        foreach (var (shape, axis) in new (int[], int)[] { ([0], 0), ([0, 3], 0), ([2, 0, 3], 1), ([2, 3, 0], -1) })
        {
            yield return new OperationCase
            {
                Operation = "sum",
                Description = $"{new Shape(shape)} over [{axis}], nothing",
                Inputs = [InputSpec.Normal(shape)],
                Run = t => t[0].Sum(axis),
                SecondOrder = true,
            };
        }
    }

    private static IEnumerable<OperationCase> SumTo()
    {
        (int[] From, int[] To)[] shapes =
        [
            ([5, 7], [7]), ([5, 7], [5, 1]), ([5, 7], []), ([2, 3, 4], [3, 1]), ([2, 1, 4], [1, 1]), ([2, 3, 4, 5], [1, 3, 1, 5]), ([1, 3], [3]),
        ];
        foreach (var (from, to) in shapes)
        {
            yield return new OperationCase
            {
                Operation = "sumTo",
                Description = $"{new Shape(from)} -> {new Shape(to)}",
                Inputs = [InputSpec.Normal(from)],
                Run = t => t[0].SumTo(new Shape(to)),
                ReductionLength = new Shape(from).Count / new Shape(to).Count,
                SecondOrder = true,
            };
        }
    }
}
