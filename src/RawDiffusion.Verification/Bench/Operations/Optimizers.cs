using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion.Verification.Bench.Operations;

/// <summary>What follows a backward pass, on the flat arena of all parameters; 1.6 and 35.7 million are those of the UNets.</summary>
internal static class Optimizers
{
    private static readonly AdamWStep s_step = new(1e-3, 0.9, 0.999, 1e-8, 0.01, true, 0.5, 0.5);

    private static readonly string[] s_shapes = ["1620000", "35746307"], s_small = ["16K"];

    public static IEnumerable<BenchOperation> All()
    {
        yield return Operation("adamw", "AdamW", count => new BenchCase
        {
            Tensors = [Updated("parameter", count), Gradient(count), Updated("m", count), Squares(count)],
            Run = (device, s) => device.AdamW(s_step, s[0], s[1], s[2], s[3], null, 0),
        });
        yield return Operation("ema", "the moving average of the parameters", count => new BenchCase
        {
            Tensors = [BenchTensor.Input("parameter", count), Updated("average", count)],
            Run = (device, s) => device.Ema(0.999, s[0], s[1]),
        });
        // The gradients are read twice: the norm has to be known before the first of them is used.
        yield return Operation("adamwClipEma", "norm of the gradients, AdamW with clipping, and the moving average", count => new BenchCase
        {
            Tensors =
            [
                Updated("parameter", count), Gradient(count) with { Passes = 2 }, Updated("m", count), Squares(count), Updated("average", count),
                BenchTensor.Output("norm", 1, count),
            ],
            Run = (device, s) =>
            {
                device.Reduce(ReduceOp.SumOfSquares, new ReduceGeometry(1, count, 1), s[1], s[5]);
                device.Unary<Sqrt>(s[5], s[5], 0, 0);
                device.AdamW(s_step, s[0], s[1], s[2], s[3], s[5], 1, s[4], 0.999);
            },
        });
    }

    private static BenchOperation Operation(string name, string what, Func<int, BenchCase> create) => new()
    {
        Name = name,
        What = what,
        Form = "COUNT",
        Shapes = s_shapes,
        SmallShapes = s_small,
        HasBFloat16 = false,
        Create = text => create(text.Number()),
    };

    private static BenchTensor Gradient(int count) => BenchTensor.Input("gradient", count);

    /// <summary>Read and written, so its bytes cross the memory twice.</summary>
    private static BenchTensor Updated(string name, int count) => BenchTensor.Input(name, count) with { Passes = 2, IsResult = true };

    private static BenchTensor Squares(int count) => new("v", count, BenchValues.Uniform) { Passes = 2, IsResult = true };
}
