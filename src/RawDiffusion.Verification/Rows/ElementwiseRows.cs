namespace RawDiffusion.Verification.Rows;

internal static class ElementwiseRows
{
    /// <summary>Nothing, a scalar, one element, around the widths of vectors, several axes, and enough for several threads.</summary>
    private static readonly int[][] s_shapes = [[0], [], [1], [7], [15], [31], [32], [33], [3, 0, 2], [5, 13], [2, 3, 4, 5], [1021, 33]];

    /// <summary>
    /// Pairs of shapes for every layout that the loops distinguish: equal, scalar, a row (bias), a column, both, images with a
    /// value per image and channel, in the middle, rows shorter than a vector, empty, and enough for several threads.
    /// </summary>
    private static readonly (int[] X, int[] Y)[] s_pairs =
    [
        ([], []), ([1], [1]), ([31], [31]), ([33], []), ([], [33]), ([0], [1]), ([0, 4], [4]), ([5, 32], [32]), ([32], [5, 32]),
        ([5, 37], [5, 1]), ([5, 1], [5, 37]), ([17, 1], [1, 19]), ([7, 3], [3]), ([7, 3], [7, 1]), ([3], [7, 3]), ([61, 2], [2]),
        ([2, 5, 1, 3], [5, 4, 1]), ([2, 3, 5, 32], [2, 1, 1, 32]), ([2, 3, 5, 7], [2, 1, 1, 7]), ([2, 3, 2, 3, 2, 3], [3, 1, 3, 1, 3]),
        ([40, 1, 5, 1, 7], [3, 1, 5, 7]), ([541, 67], [67]), ([541, 67], [541, 1]), ([13001, 3], [3]), ([2, 17001], [2, 17001]),
    ];

    public static IEnumerable<OperationCase> Cases() => [.. UnaryCases(), .. BinaryCases(), .. SelectionCases()];

    // Kinks (abs, relu, clamp) are inside the intervals: that a step of 1e-6 crosses one is as unlikely as it is repeatable.
    private static IEnumerable<OperationCase> UnaryCases() =>
    [
        .. Unary("neg", x => -x),
        .. Unary("exp", x => x.Exp(), -5, 3),
        .. Unary("log", x => x.Log(), 0.1, 4),
        .. Unary("log1P", x => x.Log1P(), -0.8, 4),
        .. Unary("sqrt", x => x.Sqrt(), 0.1, 4),
        .. Unary("rsqrt", x => x.Rsqrt(), 0.2, 4),
        .. Unary("square", x => x.Square()),
        .. Unary("abs", x => x.Abs()),
        .. Unary("sin", x => x.Sin(), -10, 10),
        .. Unary("cos", x => x.Cos(), -10, 10),
        .. Unary("tanh", x => x.Tanh(), -4, 4),
        .. Unary("sigmoid", x => x.Sigmoid(), -8, 8),
        .. Unary("silu", F.Silu, -8, 8),
        .. Unary("gelu", F.Gelu, -5, 5),
        .. Unary("relu", F.Relu),
        .. Unary("leakyRelu", x => F.LeakyRelu(x, 0.2)),
        .. Unary("softplus", F.Softplus, -10, 10),
        .. Unary("erf", x => x.Erf(), -3, 3),
        .. Unary("clamp", x => x.Clamp(-0.5, 0.7)),
        .. Unary("reciprocal", x => x.Reciprocal(), 0.4, 3),
        .. Unary("addScalar", x => x + 0.3),
        .. Unary("mulScalar", x => x * -1.7),
        .. Unary("divScalar", x => x / 3),
        .. Unary("subtractFrom", x => 1.5 - x),
        .. Unary("divideInto", x => 2 / x, -3, -0.4),
        .. Unary("powScalar", x => x.Pow(2.5), 0.1, 3),
        .. Unary("powScalar3", x => x.Pow(3)),
    ];

    private static IEnumerable<OperationCase> BinaryCases() =>
    [
        .. Binary("add", (x, y) => x + y),
        .. Binary("sub", (x, y) => x - y),
        .. Binary("mul", (x, y) => x * y),
        .. Binary("div", (x, y) => x / y, -2, 2, 0.5, 2),
        .. Binary("pow", (x, y) => x.Pow(y), 0.3, 2, -2, 2),
        .. Binary("maximum", F.Maximum),
        .. Binary("minimum", F.Minimum),
        .. Binary("lerp", (x, y) => F.Lerp(x, y, 1.5)),
        .. Binary("lt", (x, y) => x.Lt(y), differentiable: false),
        .. Binary("le", (x, y) => x.Le(y), differentiable: false),
        .. Binary("gt", (x, y) => x.Gt(y), differentiable: false),
        .. Binary("ge", (x, y) => x.Ge(y), differentiable: false),
        .. Binary("eq", (x, y) => x.Eq(y), differentiable: false),
        .. Binary("ne", (x, y) => x.Ne(y), differentiable: false),
    ];

    private static IEnumerable<OperationCase> SelectionCases()
    {
        (int[] Condition, int[] X, int[] Y)[] shapes =
        [
            ([], [], []), ([0], [0], [1]), ([33], [33], [33]), ([5, 1], [5, 7], [7]), ([7], [5, 1], []), ([2, 3, 5], [3, 1], [5]),
            ([1021, 33], [1021, 33], [1021, 33]), ([701, 1], [47], [701, 47]),
        ];
        foreach (var (condition, x, y) in shapes)
        {
            yield return new OperationCase
            {
                Operation = "where",
                Description = $"{new Shape(condition)} ? {new Shape(x)} : {new Shape(y)}",
                Inputs = [InputSpec.Normal(condition).Constant(), InputSpec.Normal(x), InputSpec.Normal(y)],
                Run = t => F.Where(t[0].Gt(0), t[1], t[2]),
                GradientReductionLength = Repeats(x, y, condition),
                SecondOrder = true,
            };
        }
    }

    private static IEnumerable<OperationCase> Unary(string operation, Func<Tensor, Tensor> run, double low = -2, double high = 2)
    {
        foreach (int[] shape in s_shapes)
        {
            yield return new OperationCase
            {
                Operation = operation,
                Description = new Shape(shape).ToString(),
                Inputs = [InputSpec.Uniform(low, high, shape)],
                Run = t => run(t[0]),
                SecondOrder = true,
            };
        }
    }

    private static IEnumerable<OperationCase> Binary(
        string operation, Func<Tensor, Tensor, Tensor> run,
        double lowX = -2, double highX = 2, double lowY = -2, double highY = 2, bool differentiable = true)
    {
        foreach (var (x, y) in s_pairs)
        {
            yield return new OperationCase
            {
                Operation = operation,
                Description = $"{new Shape(x)} {new Shape(y)}",
                Inputs = [InputSpec.Uniform(lowX, highX, x), InputSpec.Uniform(lowY, highY, y)],
                Run = t => run(t[0], t[1]),
                GradientReductionLength = Repeats(x, y),
                Differentiable = differentiable,
                SecondOrder = differentiable,
            };
        }
    }

    /// <summary>How often the most repeated input is repeated: the terms that its gradient sums.</summary>
    private static int Repeats(params int[][] shapes)
    {
        var output = Shape.Scalar;
        foreach (int[] shape in shapes)
            output = Shape.Broadcast(output, new Shape(shape), "rows");
        int smallest = shapes.Min(shape => Math.Max(1, new Shape(shape).Count));
        return Math.Max(1, output.Count / smallest);
    }
}
