namespace RawDiffusion.Verification.Rows;

internal static class SoftmaxRows
{
    private static readonly (int[] Shape, int Axis)[] s_cases =
    [
        ([1], 0), ([2], 0), ([10], 0), ([31], 0), ([32], 0), ([33], -1), ([0, 5], -1), ([3, 0], -1), ([5, 1], 1), ([7, 3], 1), ([7, 3], 0),
        ([6, 8], 1), ([4, 9], 1), ([11, 16], 1), ([5, 17], 1), ([3, 31], 1), ([2, 33], 1), ([2, 3, 13], 2), ([2, 13, 3], 1), ([13, 2, 3], 0),
        ([2, 3, 4, 5], 2), ([2, 3, 4, 5], -1), ([64, 10], 1), ([2001, 10], 1), ([301, 131], 1), ([3, 5003], 1), ([2, 257, 3], 1), ([2, 8200], 1),
    ];

    public static IEnumerable<OperationCase> Cases() =>
    [
        .. Along("softmax", F.Softmax),
        .. Along("logSoftmax", F.LogSoftmax),
        .. CrossEntropy(),
        .. MseLoss(),
    ];

    private static IEnumerable<OperationCase> Along(string operation, Func<Tensor, int, Tensor> run)
    {
        foreach (var (shape, axis) in s_cases)
        {
            yield return new OperationCase
            {
                Operation = operation,
                Description = $"{new Shape(shape)} along {axis}",
                Inputs = [InputSpec.Uniform(-6, 6, shape)],
                Run = t => run(t[0], axis),
                ReductionLength = Math.Max(1, new Shape(shape)[axis]),
                SecondOrder = true,
            };
        }
    }

    private static IEnumerable<OperationCase> CrossEntropy()
    {
        int[][] shapes =
        [
            [1], [10], [1, 1], [1, 2], [5, 10], [7, 3], [31, 8], [3, 17], [2, 33], [2, 3, 5], [0, 4], [64, 10], [3001, 10], [3, 2003], [2, 4, 5, 7],
        ];
        foreach (int[] shape in shapes)
        {
            foreach (var reduction in shape.Contains(0) ? [LossReduction.Sum, LossReduction.None] : Enum.GetValues<LossReduction>())
            {
                yield return new OperationCase
                {
                    Operation = "crossEntropy",
                    Description = $"{new Shape(shape)} {reduction}",
                    Inputs = [InputSpec.Uniform(-4, 4, shape), InputSpec.Integers(shape[^1], shape[..^1])],
                    Run = t => F.CrossEntropy(t[0], t[1], reduction),
                    ReductionLength = Math.Max(1, reduction == LossReduction.Sum ? new Shape(shape).Count : shape[^1]),
                    SecondOrder = true,
                };
            }
        }
    }

    private static IEnumerable<OperationCase> MseLoss()
    {
        foreach (int[] shape in new int[][] { [], [1], [31], [33], [5, 7], [2, 3, 4, 5], [50001] })
        {
            foreach (var reduction in Enum.GetValues<LossReduction>())
            {
                yield return new OperationCase
                {
                    Operation = "mseLoss",
                    Description = $"{new Shape(shape)} {reduction}",
                    Inputs = [InputSpec.Normal(shape), InputSpec.Normal(shape)],
                    Run = t => F.MseLoss(t[0], t[1], reduction),
                    ReductionLength = reduction == LossReduction.None ? 1 : new Shape(shape).Count,
                    SecondOrder = true,
                };
            }
        }
    }
}
