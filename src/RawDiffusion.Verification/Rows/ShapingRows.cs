namespace RawDiffusion.Verification.Rows;

/// <summary>Operations that only move elements: exact on every device, and linear, so every derivative is again one of them.</summary>
internal static class ShapingRows
{
    private static readonly int[] s_extents = [0, 1, 31, 32, 33];

    public static IEnumerable<OperationCase> Cases() =>
        [.. Reshapes(), .. Permutations(), .. Boxes(), .. Concatenations(), .. Broadcasts()];

    private static IEnumerable<OperationCase> Reshapes()
    {
        yield return Case("reshape", "[6,35] -> [2,3,5,7]", x => x[0].Reshape(2, 3, 5, 7), [6, 35]);
        yield return Case("reshape", "[2,3,5,7] -> [6,-1]", x => x[0].Reshape(6, -1), [2, 3, 5, 7]);
        yield return Case("reshape", "[0,3] -> [3,0]", x => x[0].Reshape(3, 0), [0, 3]);
        yield return Case("reshape", "[1] -> []", x => x[0].Reshape(Shape.Scalar), [1]);
        yield return Case("flatten", "[2,3,5,7] 1..2", x => x[0].Flatten(1, 2), [2, 3, 5, 7]);
        yield return Case("flatten", "[2,3,5]", x => x[0].Flatten(), [2, 3, 5]);
        yield return Case("unsqueeze", "[31] 0", x => x[0].Unsqueeze(0), [31]);
        yield return Case("unsqueeze", "[3,5] -1", x => x[0].Unsqueeze(-1), [3, 5]);
        yield return Case("squeeze", "[3,1,5] 1", x => x[0].Squeeze(1), [3, 1, 5]);
    }

    private static IEnumerable<OperationCase> Permutations()
    {
        foreach (int rows in s_extents)
        {
            foreach (int columns in s_extents)
                yield return Case("permute", $"[{rows},{columns}] (1,0)", x => x[0].Transpose(0, 1), [rows, columns]);
        }
        int[][] orders3 = [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0], [0, 1, 2]];
        int[][] shapes3 = [[2, 3, 5], [3, 8, 9], [2, 17, 3], [1, 7, 11], [5, 1, 4]];
        foreach (int[] shape in shapes3)
        {
            foreach (int[] order in orders3)
                yield return Case("permute", $"{new Shape(shape)} {Text(order)}", x => x[0].Permute(order), shape);
        }
        int[][] orders4 = [[0, 2, 1, 3], [0, 3, 1, 2], [0, 2, 3, 1], [3, 2, 1, 0], [2, 3, 0, 1], [1, 0, 3, 2]];
        foreach (int[] order in orders4)
        {
            yield return Case("permute", $"[2,3,4,5] {Text(order)}", x => x[0].Permute(order), [2, 3, 4, 5]);
            yield return Case("permute", $"[2,8,9,3] {Text(order)}", x => x[0].Permute(order), [2, 8, 9, 3]);
            yield return Case("permute", $"[2,0,3,1] {Text(order)}", x => x[0].Permute(order), [2, 0, 3, 1]);
        }
        yield return Case("permute", "[2,3,2,3,2] (4,2,0,1,3)", x => x[0].Permute(4, 2, 0, 1, 3), [2, 3, 2, 3, 2]);
        yield return Case("permute", "[2,2,3,2,2,3] (5,3,1,4,2,0)", x => x[0].Permute(5, 3, 1, 4, 2, 0), [2, 2, 3, 2, 2, 3]);
        // Beyond one 64 x 64 block and beyond one piece of parallel work.
        yield return Case("permute", "[67,131] (1,0)", x => x[0].Transpose(0, 1), [67, 131]);
        yield return Case("permute", "[3,71,73] (2,0,1)", x => x[0].Permute(2, 0, 1), [3, 71, 73]);
        // Even on both sides, so that elements of 16 bits go in pairs: beyond one 64 x 64 block of them, and in a batch.
        yield return Case("permute", "[70,134] (1,0)", x => x[0].Transpose(0, 1), [70, 134]);
        yield return Case("permute", "[3,66,68] (0,2,1)", x => x[0].Permute(0, 2, 1), [3, 66, 68]);
    }

    private static IEnumerable<OperationCase> Boxes()
    {
        foreach (int extent in s_extents)
        {
            yield return Case("slice", $"[{extent},3] all but one", x => x[0].Slice(0, extent > 0 ? 1 : 0, Math.Max(0, extent - 1)), [extent, 3]);
            yield return Case("slice", $"[2,{extent}] half", x => x[0].Slice(-1, extent / 3, extent / 2), [2, extent]);
            yield return Case("pad", $"[{extent},2] value 1.5", x => x[0].Pad([1, 0], [2, 3], 1.5), [extent, 2]);
        }
        yield return Case("slice", "[3,5,7] axis 1 empty", x => x[0].Slice(1, 2, 0), [3, 5, 7]);
        yield return Case("slice", "[3,5,7] axis 1", x => x[0].Slice(1, 2, 2), [3, 5, 7]);
        yield return Case("crop", "[2,7,9,3] inner", x => x[0].Crop([0, 1, 2, 0], [2, 5, 4, 3]), [2, 7, 9, 3]);
        yield return Case("crop", "[3,5,7] corner", x => x[0].Crop([2, 0, 6], [1, 5, 1]), [3, 5, 7]);
        yield return Case("crop", "[33,37] inner", x => x[0].Crop([1, 3], [31, 32]), [33, 37]);
        yield return Case("pad", "[2,5,4,3] image", x => x[0].Pad([0, 1, 1, 0], [0, 1, 1, 0]), [2, 5, 4, 3]);
        yield return Case("pad", "[2,3,2] all axes", x => x[0].Pad([1, 2, 3], [3, 0, 1], -1), [2, 3, 2]);
        yield return Case("pad", "[2,3] with nothing", x => x[0].Pad([0, 0], [0, 0]), [2, 3]);
        yield return Case("split", "[7,3] size 3, second", x => x[0].Split(3)[1], [7, 3]);
        yield return Case("split", "[3,10] sizes 1 4 5, product", x => Parts(x[0].Split([1, 4, 5], 1)), [3, 10]);
        yield return Case("chunk", "[2,33] 3", x => Tensor.Stack(x[0].Chunk(3, 1), 0), [2, 33]);
        yield return Case("chunk", "[5,2] 4, last", x => x[0].Chunk(4)[^1], [5, 2]);
        yield return Case("slice", "[40,1031] large", x => x[0].Slice(1, 7, 1001), [40, 1031]);
    }

    private static IEnumerable<OperationCase> Concatenations()
    {
        foreach (int extent in s_extents)
        {
            yield return Case("concat", $"[{extent},3] [2,3] axis 0", x => Tensor.Concat(x, 0), [extent, 3], [2, 3]);
            yield return Case("concat", $"[2,{extent}] [2,1] [2,5] axis 1", x => Tensor.Concat(x, 1), [2, extent], [2, 1], [2, 5]);
        }
        for (int axis = 0; axis < 4; axis++)
        {
            int at = axis;
            yield return Case("concat", $"[2,3,4,5] twice axis {axis}", x => Tensor.Concat(x, at), [2, 3, 4, 5], [2, 3, 4, 5]);
        }
        foreach (var (left, right) in new[] { (32, 32), (7, 33), (1, 16), (64, 31) })
            yield return Case("concat", $"[2,3,4,{left}] [2,3,4,{right}] axis -1", x => Tensor.Concat(x, -1), [2, 3, 4, left], [2, 3, 4, right]);
        // Many short rows, and rows of which one is more than one piece of parallel work.
        yield return Case("concat", "[700,40] [700,24] axis 1", x => Tensor.Concat(x, 1), [700, 40], [700, 24]);
        yield return Case("concat", "[2,17000] [2,300] axis 1", x => Tensor.Concat(x, 1), [2, 17_000], [2, 300]);
        yield return Case("concat", "one tensor twice", x => Tensor.Concat([x[0], x[0]], 1), [3, 4]);
        yield return Case("concat", "one tensor", x => Tensor.Concat(x, 0), [3, 4]);
        for (int axis = -1; axis <= 2; axis++)
        {
            int at = axis;
            yield return Case("stack", $"3 of [3,5] axis {axis}", x => Tensor.Stack(x, at), [3, 5], [3, 5], [3, 5]);
        }
        yield return Case("stack", "2 scalars", x => Tensor.Stack(x), [], []);
    }

    private static IEnumerable<OperationCase> Broadcasts()
    {
        (int[] From, int[] To)[] pairs =
        [
            ([1], [31]), ([1], [0]), ([], [2, 3]), ([3], [2, 3]), ([3, 1], [3, 33]), ([1, 5], [7, 5]), ([2, 1, 3], [2, 5, 3]),
            ([1, 3, 1], [2, 3, 5]), ([4, 1, 1], [2, 4, 3, 5]), ([2, 3], [2, 3]), ([0, 1], [0, 4]), ([1, 1, 1], [3, 1, 2]),
            ([1, 1, 1, 3], [2, 9, 8, 3]), ([2, 1, 1, 3], [2, 9, 8, 3]),
        ];
        foreach (var (from, to) in pairs)
        {
            var shape = new Shape(to);
            yield return Case("broadcastTo", $"{new Shape(from)} -> {shape}", x => x[0].BroadcastTo(shape), from) with
            {
                GradientReductionLength = Math.Max(1, shape.Count / Math.Max(1, new Shape(from).Count)),
            };
        }
    }

    private static Tensor Parts(Tensor[] parts) => Tensor.Concat([parts[2], parts[0], parts[1], parts[0]], 1);

    private static string Text(int[] order) => $"({string.Join(",", order)})";

    private static OperationCase Case(string operation, string description, Func<Tensor[], Tensor> run, params int[][] shapes) => new()
    {
        Operation = operation,
        Description = description,
        Inputs = [.. shapes.Select(shape => InputSpec.Normal(shape))],
        Run = run,
        SecondOrder = true,
    };
}
