using RawDiffusion.Backends;

namespace RawDiffusion.Verification.Rows;

/// <summary>
/// The noise-schedule operations, with sample sizes that do and do not divide the batches in which noise is made. A step runs
/// fused where nothing is differentiated and composed where something is, so it has rows of both kinds.
/// </summary>
internal static class DiffusionRows
{
    private static readonly int[][] s_shapes =
    [
        [1], [7], [33], [0, 2], [1, 1], [31, 2], [1, 31], [2, 32], [3, 33], [5, 127], [2, 256], [3, 257], [2, 3, 5, 3], [4, 8, 8, 1],
    ];

    private static readonly int[][] s_largeShapes = [[700, 13], [3, 17000]];

    public static IEnumerable<OperationCase> Cases() =>
        [.. ForwardDiffusions(), .. Steps(), .. Losses(), .. Guidances(), .. TimeEmbeddings()];

    private static IEnumerable<OperationCase> ForwardDiffusions()
    {
        foreach (int[] shape in s_shapes.Concat(s_largeShapes))
        {
            InputSpec[] inputs =
                [InputSpec.Normal(shape), InputSpec.Uniform(0, 1, shape[0]).Constant(), InputSpec.Uniform(0, 1, shape[0]).Constant()];
            yield return new OperationCase
            {
                Operation = "forwardDiffusion",
                HasBFloat16 = false,
                Description = $"{new Shape(shape)}",
                Inputs = inputs,
                Run = x => F.ForwardDiffusion(x[0], x[1], x[2], new Generator(11, 2, 3)).Xt,
                SecondOrder = true,
            };
            yield return new OperationCase
            {
                Operation = "forwardDiffusion",
                HasBFloat16 = false,
                Description = $"{new Shape(shape)} the noise",
                Inputs = [inputs[0].Constant(), inputs[1], inputs[2]],
                Run = x => F.ForwardDiffusion(x[0], x[1], x[2], new Generator(11, 2, 3)).Noise,
                Differentiable = false,
            };
        }
    }

    private static IEnumerable<OperationCase> Steps()
    {
        double none = double.PositiveInfinity;
        (string Name, DiffusionStepCoefficients Coefficients)[] steps =
        [
            ("ddpm", new(1.2, 0.7, none, 0.4, 0.6, 0, 0.3)),
            ("ddpm clipped", new(1.2, 0.7, 0.5, 0.4, 0.6, 0, 0.3)),
            ("ddim", new(1.2, 0.7, none, 0, 0.9, 0.5, 0)),
            ("ddim clipped", new(1.2, 0.7, 1, 0, 0.9, 0.5, 0)),
        ];
        foreach (int[] shape in s_shapes.Concat(s_largeShapes))
        {
            foreach (var (name, c) in steps)
            {
                yield return Step($"{name} {new Shape(shape)} fused", c, InputSpec.Normal(shape).Constant(), InputSpec.Normal(shape).Constant()) with
                {
                    Differentiable = false,
                    SecondOrder = false,
                };
                if (double.IsPositiveInfinity(c.ClipX0))
                    yield return Step($"{name} {new Shape(shape)}", c, InputSpec.Normal(shape), InputSpec.Normal(shape));
            }
        }
        // Away from the bounds of the clamp, on either side of them: x0 lies in [0.55, 0.7] and in [1.75, 2.4].
        var clipped = new DiffusionStepCoefficients(1, 0.1, 1, 0.4, 0.6, 0.2, 0.3);
        yield return Step("clipped, all inside", clipped, InputSpec.Uniform(0.6, 0.7, 5, 7), InputSpec.Uniform(0, 0.5, 5, 7));
        yield return Step("clipped, all outside", clipped, InputSpec.Uniform(1.8, 2.4, 5, 7), InputSpec.Uniform(0, 0.5, 5, 7));
    }

    private static IEnumerable<OperationCase> Losses()
    {
        foreach (int[] shape in s_shapes.Concat(s_largeShapes))
        {
            int size = new Shape(shape).Product(1, shape.Length);
            yield return new OperationCase
            {
                Operation = "weightedMse",
                HasBFloat16 = false,
                Description = $"{new Shape(shape)}",
                Inputs = [InputSpec.Normal(shape), InputSpec.Normal(shape), InputSpec.Uniform(0.5, 2, shape[0])],
                Run = x => F.WeightedMse(x[0], x[1], x[2]),
                ReductionLength = size,
                SecondOrder = true,
            };
        }
    }

    private static IEnumerable<OperationCase> Guidances()
    {
        foreach (int[] shape in s_shapes)
        {
            foreach (double scale in new[] { 0, 1, 3.5 })
            {
                yield return new OperationCase
                {
                    Operation = "guide",
                    Description = $"{new Shape(shape)} scale {scale}",
                    Inputs = [InputSpec.Normal(shape), InputSpec.Normal(shape)],
                    Run = x => F.Guide(x[0], x[1], scale),
                    SecondOrder = true,
                };
            }
        }
    }

    private static IEnumerable<OperationCase> TimeEmbeddings()
    {
        foreach (int count in new[] { 0, 1, 3, 32 })
        {
            foreach (int dim in new[] { 2, 7, 16, 33, 62, 64, 66 })
            {
                foreach (bool flip in new[] { false, true })
                {
                    yield return TimeEmbedding(count, dim, 1000, x => F.TimeEmbedding(x, dim, flipSinToCos: flip), flip ? "cos first" : "sin first");
                }
            }
        }
        yield return TimeEmbedding(5, 32, 1, x => F.TimeEmbedding(x, 32, 10000, true, 1), "shift 1");
        yield return TimeEmbedding(5, 32, 1, x => F.TimeEmbedding(x, 32, 100), "period 100");
        yield return TimeEmbedding(300, 128, 1000, x => F.TimeEmbedding(x, 128), "large");
    }

    private static OperationCase Step(string description, DiffusionStepCoefficients c, InputSpec x, InputSpec eps) => new()
    {
        Operation = "diffusionStep",
        HasBFloat16 = false,
        Description = description,
        Inputs = [x, eps],
        Run = inputs => F.DiffusionStep(inputs[0], inputs[1], c, new Generator(12)),
        SecondOrder = true,
    };

    private static OperationCase TimeEmbedding(int count, int dim, double until, Func<Tensor, Tensor> run, string description) => new()
    {
        Operation = "timeEmbedding",
        HasBFloat16 = false,
        Description = $"[{count}] until {until} to {dim}, {description}",
        Inputs = [InputSpec.Uniform(0, until, count)],
        Run = x => run(x[0]),
        SecondOrder = true,
        GradientReductionLength = dim / 2,
    };
}
