using RawDiffusion.Backends;

namespace RawDiffusion.Verification.Rows;

/// <summary>
/// Random numbers: every device makes the same integers, so results are compared like those of any other operation. Input 0 only
/// says the device and the shape.
/// </summary>
internal static class RandomRows
{
    private static readonly int[][] s_shapes =
        [[0], [1], [2], [3], [5], [31], [32], [33], [127], [255], [256], [257], [1021], [2, 3], [3, 5, 7], [4, 0, 2], [2, 8, 8, 3], []];

    public static IEnumerable<OperationCase> Cases()
    {
        foreach (int[] extents in s_shapes)
        {
            var shape = new Shape(extents);
            yield return Draw("rand", $"{shape}", x => Tensor.Rand(new Generator(1), x.Shape, device: x.Device), extents);
            yield return Draw("rand", $"{shape} in [-3,5)", x => Tensor.Rand(new Generator(2, 3), x.Shape, -3, 5, x.Device), extents);
            yield return Draw("randn", $"{shape} Box-Muller", x => Tensor.Randn(new Generator(4), x.Shape, x.Device), extents);
            yield return Draw(
                "randn", $"{shape} inverse CDF", x => Tensor.Randn(new Generator(5), x.Shape, x.Device, NormalMethod.InverseCdf), extents);
            yield return Draw("randInt", $"{shape} in [-7,1000)", x => Tensor.RandInt(new Generator(6), -7, 1000, x.Shape, x.Device), extents);
            yield return Draw(
                "randInt", $"{shape} in [0,3*2^29)", x => Tensor.RandInt(new Generator(7), 0, 3 << 29, x.Shape, x.Device), extents);
            foreach (double p in new[] { 0.1, 0.5 })
                yield return Dropout(extents, p);
        }
        // Beyond one piece of parallel work.
        yield return Draw("randn", "[20011] Box-Muller", x => Tensor.Randn(new Generator(8), x.Shape, x.Device), [20011]);
        yield return Draw("rand", "[20011]", x => Tensor.Rand(new Generator(8), x.Shape, device: x.Device), [20011]);
        yield return Dropout([3, 31], 0);
        yield return Dropout([3, 31], 1);
        yield return Dropout([129, 71], 0.3);
    }

    private static OperationCase Dropout(int[] extents, double p) => new()
    {
        Operation = "dropout",
        Description = $"{new Shape(extents)} p {p}",
        Inputs = [InputSpec.Normal(extents)],
        Run = x => F.Dropout(x[0], p, new Generator(9)),
        SecondOrder = true,
    };

    private static OperationCase Draw(string operation, string description, Func<Tensor, Tensor> run, int[] extents) => new()
    {
        Operation = operation,
        HasBFloat16 = false,
        Description = description,
        Inputs = [InputSpec.Normal(extents).Constant()],
        Run = x => run(x[0]),
        Differentiable = false,
    };
}
