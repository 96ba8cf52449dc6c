namespace RawDiffusion.Verification.Rows;

/// <summary>Images NHWC: few and many channels (either side of the vector widths), remainders beyond whole windows, empty batches.</summary>
internal static class ResamplingRows
{
    private static readonly int[][] s_images =
    [
        [1, 1, 1, 1], [1, 2, 3, 1], [2, 3, 5, 3], [1, 7, 5, 2], [2, 4, 4, 31], [1, 4, 6, 32], [1, 5, 3, 33], [3, 6, 6, 8], [0, 4, 4, 3],
        [1, 4, 4, 0], [2, 9, 8, 17],
    ];

    public static IEnumerable<OperationCase> Cases()
    {
        foreach (int[] image in s_images)
        {
            foreach (int factor in new[] { 1, 2, 3 })
            {
                var shape = new Shape(image);
                yield return Case("upsampleNearest", $"{shape} x{factor}", x => F.UpsampleNearest(x, factor), image) with
                {
                    GradientReductionLength = factor * factor,
                };
                if (image[1] < factor || image[2] < factor)
                    continue;
                yield return Case("avgPool2d", $"{shape} window {factor}", x => F.AvgPool2d(x, factor), image) with
                {
                    ReductionLength = factor * factor,
                };
            }
        }
        // Beyond one piece of parallel work.
        yield return Case("upsampleNearest", "[3,20,21,16] x2", x => F.UpsampleNearest(x, 2), [3, 20, 21, 16]);
        yield return Case("avgPool2d", "[3,41,43,16] window 2", x => F.AvgPool2d(x, 2), [3, 41, 43, 16]);
    }

    private static OperationCase Case(string operation, string description, Func<Tensor, Tensor> run, int[] shape) => new()
    {
        Operation = operation,
        Description = description,
        Inputs = [InputSpec.Normal(shape)],
        Run = x => run(x[0]),
        SecondOrder = true,
    };
}
