using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion.Verification.Bench.Operations;

/// <summary>What passes over its arrays once: elementwise operations, reductions, copies, indexing.</summary>
internal static class Elements
{
    private static readonly Dictionary<string, Action<Backend, Storage, Storage>> s_unary = new()
    {
        ["silu"] = (device, x, y) => device.Unary<Silu>(x, y, 0, 0),
        ["gelu"] = (device, x, y) => device.Unary<Gelu>(x, y, 0, 0),
        ["exp"] = (device, x, y) => device.Unary<Exp>(x, y, 0, 0),
        ["sin"] = (device, x, y) => device.Unary<Sin>(x, y, 0, 0),
    };

    private static readonly Dictionary<string, ReduceOp> s_reductions = new()
    {
        ["sumOfSquares"] = ReduceOp.SumOfSquares,
        ["sum"] = ReduceOp.Sum,
        ["max"] = ReduceOp.Max,
        ["logSumExp"] = ReduceOp.LogSumExp,
    };

    public static IEnumerable<BenchOperation> All()
    {
        yield return new BenchOperation
        {
            Name = "copy",
            What = "y = x by the device's own copy",
            Form = "COUNT",
            Shapes = ["4M", "64M"],
            SmallShapes = ["16K"],
            Create = text => Map(text.Number(), (device, x, y) => device.Copy(x, y)),
        };
        yield return new BenchOperation
        {
            Name = "unary",
            What = "y = f(x)",
            Form = $"{string.Join('|', s_unary.Keys)}:COUNT",
            Shapes = ["silu:4M", "gelu:4M", "exp:4M", "sin:4M", "silu:64M"],
            SmallShapes = ["silu:16K"],
            Create = text =>
            {
                string function = text.OneOf([.. s_unary.Keys]);
                return Map(text.After(":"), s_unary[function]);
            },
        };
        yield return new BenchOperation
        {
            Name = "binary",
            What = "z = x + y of equal shapes",
            Form = "COUNT",
            Shapes = ["4M", "64M"],
            SmallShapes = ["16K"],
            Create = text =>
            {
                int count = text.Number();
                return Add(count, count, new BroadcastGeometry([count], [count], [count]));
            },
        };
        yield return new BenchOperation
        {
            Name = "bias",
            What = "z = x + a row, repeated",
            Form = "ROWSxCOLUMNS",
            Shapes = ["16384x256", "100352x64"],
            SmallShapes = ["64x256"],
            Create = text =>
            {
                int rows = text.Number(), columns = text.By();
                return Add((long)rows * columns, columns, new BroadcastGeometry([rows, columns], [rows, columns], [columns]));
            },
        };
        yield return new BenchOperation
        {
            Name = "reduce",
            What = "y[OUTER, INNER] over the middle axis of x",
            Form = $"{string.Join('|', s_reductions.Keys)}:OUTERxREDUCExINNER",
            Shapes = ["sum:1x4Mx1", "sum:16384x256x1", "sum:1x16384x256", "sum:128x1024x128", "logSumExp:16384x256x1", "sumOfSquares:1x32Mx1"],
            SmallShapes = ["sum:1x16Kx1", "sum:64x256x1", "sum:1x64x256"],
            Create = Reduce,
        };
        yield return new BenchOperation
        {
            Name = "permute",
            What = "axes of three exchanged: axis i of y is the axis of x that the i-th digit names",
            Form = "AxBxC:DIGITS",
            Shapes = ["128x784x32:021", "128x1024x128:021", "64x256x256:021", "256x64x256:102"],
            SmallShapes = ["2x64x64:021"],
            Create = Permute,
        };
        yield return Rows("embedding", "rows of a table by index", (g, x, index, y) => [x, index, y], (device, g, s) => device.Embedding(g, s[0], s[1], s[2]));
        yield return Rows("embeddingGrad", "their gradient, added in order", (g, x, index, y) => [y with { Values = BenchValues.Normal, IsResult = false }, index, x with { Values = BenchValues.Undefined, IsResult = true, Terms = 16 }],
            (device, g, s) => device.EmbeddingGrad(g, s[0], s[1], s[2]));
    }

    private static BenchCase Map(int count, Action<Backend, Storage, Storage> run) => new()
    {
        Tensors = [BenchTensor.Input("x", count), BenchTensor.Output("y", count)],
        Run = (device, s) => run(device, s[0], s[1]),
    };

    private static BenchCase Add(long count, int second, BroadcastGeometry g) => new()
    {
        Tensors = [BenchTensor.Input("x", count), BenchTensor.Input("y", second), BenchTensor.Output("z", count)],
        Run = (device, s) => device.Binary<Add>(g, s[0], s[1], s[2], 0),
    };

    private static BenchCase Reduce(ShapeText text)
    {
        var op = s_reductions[text.OneOf([.. s_reductions.Keys])];
        var g = new ReduceGeometry(text.After(":"), text.By(), text.By());
        return new BenchCase
        {
            Tensors =
            [
                BenchTensor.Input("x", (long)g.Outer * g.Reduce * g.Inner),
                BenchTensor.Output("y", (long)g.Outer * g.Inner, op == ReduceOp.Max ? 1 : g.Reduce).InFloat32(),
            ],
            Run = (device, s) => device.Reduce(op, g, s[0], s[1]),
        };
    }

    private static BenchCase Permute(ShapeText text)
    {
        int a = text.Number(), b = text.By(), c = text.By();
        string digits = text.Optional(":") ? text.OneOf("012", "021", "102", "120", "201", "210") : throw new FormatException("':' and an order like 021 are missing");
        int[] axes = [.. digits.Select(digit => digit - '0')];
        long count = (long)a * b * c;
        return new BenchCase
        {
            Tensors = [BenchTensor.Input("x", count), BenchTensor.Output("y", count)],
            Run = (device, s) => device.Permute([a, b, c], axes, s[0], s[1]),
        };
    }

    private static BenchOperation Rows(
        string name, string what, Func<GatherGeometry, BenchTensor, BenchTensor, BenchTensor, IReadOnlyList<BenchTensor>> tensors,
        Action<Backend, GatherGeometry, Storage[]> run) => new()
        {
            Name = name,
            What = what,
            Form = "ROWSxCOLUMNS",
            Shapes = ["16384x256"],
            SmallShapes = ["64x64"],
            Create = text =>
            {
                int rows = text.Number(), columns = text.By();
                var g = new GatherGeometry(1, rows, columns, rows);
                var index = new BenchTensor("index", rows, BenchValues.Indices) { End = rows };
                return new BenchCase
                {
                    Tensors = tensors(g, BenchTensor.Input("x", (long)rows * columns), index, BenchTensor.Output("y", (long)rows * columns)),
                    Run = (device, s) => run(device, g, s),
                };
            },
        };
}
