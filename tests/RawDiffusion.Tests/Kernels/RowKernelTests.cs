using RawDiffusion.Backends;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// Softmax, layer norm and reductions in float32 and bfloat16 against Reference, for rows that lanes, a warp, a block and no block hold,
/// in windows that begin anywhere; and what they move.
/// </summary>
public class RowKernelTests
{
    public static TheoryData<DType, int, int, int> Rows
    {
        get
        {
            var data = new TheoryData<DType, int, int, int>();
            foreach (var type in (DType[])[DType.Float32, DType.BFloat16])
            {
                // Rows of one pack and less; of single elements; of a warp with several packs a lane; of a block; of a block in several parts.
                foreach (var (offset, rows, columns) in ((int, int, int)[])
                    [(0, 300, 4), (1, 37, 10), (0, 5, 8), (3, 3, 129), (0, 9, 512), (1, 2, 520), (0, 3, 2048), (0, 2, 8192), (1, 1, 8200), (0, 2, 16400)])
                {
                    data.Add(type, offset, rows, columns);
                }
            }
            return data;
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Rows))]
    public void RowsOfAnyLengthInAnyWindowAgreeWithReference(DType type, int offset, int rows, int columns)
    {
        var arrays = new KernelArrays(Emulated.Plain.Device, type, offset);
        var actual = RunRows(arrays, rows, columns);
        var expected = RunRows(new KernelArrays(Device.Reference, type), rows, columns);
        foreach (var (what, values) in actual)
            KernelArrays.AssertClose(what, type, Math.Max(rows, columns), values, expected[what]);
        arrays.AssertNothingElseWritten();
    }

    [SkippableTheory]
    [MemberData(nameof(Rows))]
    public void ReductionsOfAnyWindowAgreeWithReference(DType type, int offset, int rows, int columns)
    {
        var arrays = new KernelArrays(Emulated.Plain.Device, type, offset);
        var reference = new KernelArrays(Device.Reference, type);
        foreach (var g in (ReduceGeometry[])[new(rows, columns, 1), new(1, columns, rows), new(1, rows, columns), new(2, columns / 2, rows)])
        {
            var actual = RunReductions(arrays, g);
            var expected = RunReductions(reference, g);
            foreach (var (what, values) in actual)
                KernelArrays.AssertClose($"{what} {g}", what.EndsWith("float32", StringComparison.Ordinal) ? DType.Float32 : type, g.Reduce, values, expected[what]);
        }
        arrays.AssertNothingElseWritten();
    }

    /// <summary>
    /// Every element is read and written once, 16 bytes a lane. The statistics, gamma and beta come on top: 8 bytes a row, and what a row
    /// takes of them from the cache.
    /// </summary>
    [SkippableTheory]
    [InlineData(DType.Float32, 64, 512)]
    [InlineData(DType.BFloat16, 64, 512)]
    [InlineData(DType.Float32, 4, 4096)]
    [InlineData(DType.BFloat16, 4, 4096)]
    public void RowsAreReadAndWrittenOnceIn16Bytes(DType type, int rows, int columns)
    {
        using var traffic = new KernelTraffic();
        var arrays = new KernelArrays(traffic.Device, type);
        RunRows(arrays, rows, columns);
        string suffix = type == DType.BFloat16 ? "bf16" : "f32";
        long array = (long)rows * columns * type.Size();

        foreach (var (kernel, loads, stores) in ((string, int, int)[])
            [("softmax_forward", 1, 1), ("softmax_log_forward", 1, 1), ("softmax_grad", 2, 1), ("softmax_log_grad", 2, 1)])
        {
            var moved = traffic.Of($"{kernel}_{suffix}");
            Assert.Equal((loads * array, stores * array), (moved.Loads.Bytes, moved.Stores.Bytes));
            Assert.Equal(512, moved.BytesPerRequest);
            Assert.Equal(0, moved.BankConflicts);
        }

        // A sector each for the label, the logit of the label and the loss of a row.
        var loss = traffic.Of($"softmax_cross_entropy_{suffix}");
        Assert.InRange(loss.Loads.Bytes, array, array + rows * 64);
        Assert.InRange(loss.Stores.Bytes, 4 * rows, 32 * rows);

        // Beside 16 bytes of bfloat16 a lane takes 32 of float32 in two accesses: each of them touches all the sectors.
        int halves = type == DType.BFloat16 ? 2 : 1;
        var norm = traffic.Of($"layernorm_forward_{suffix}");
        Assert.Equal(array + halves * rows * 8L * columns, norm.Loads.Bytes);
        Assert.InRange(norm.Stores.Bytes, array, array + rows * 64L);
        // Single statistics are stored beside the rows.
        Assert.InRange(norm.BytesPerRequest, 400, 512);

        var grad = traffic.Of($"layernorm_grad_{suffix}");
        long parts = grad.Blocks * 8 * columns;
        // Each warp reads gamma, and of each row mean and rstd.
        Assert.InRange(grad.Loads.Bytes, 2 * array, 2 * array + rows * (4L * halves * columns + 32 * 2 * Math.Max(1, columns / 512)));
        Assert.Equal(array + halves * parts, grad.Stores.Bytes);
        Assert.Equal(0, grad.BankConflicts);
    }

    /// <summary>Every element once, 16 bytes a lane, and enough blocks for a large GPU.</summary>
    [SkippableTheory]
    [InlineData(DType.Float32, 1, 1 << 20, 1)]
    [InlineData(DType.Float32, 1, 8192, 128)]
    [InlineData(DType.BFloat16, 1, 8192, 128)]
    [InlineData(DType.BFloat16, 64, 4096, 1)]
    public void ReductionsReadOnceIn16Bytes(DType type, int outer, int reduce, int inner)
    {
        using var traffic = new KernelTraffic();
        var g = new ReduceGeometry(outer, reduce, inner);
        var x = new KernelArrays(traffic.Device, type).Random(outer * reduce * inner);
        traffic.Device.Reduce(ReduceOp.Sum, g, x, traffic.Device.Allocate(DType.Float32, outer * inner));
        string form = inner == 1 ? "rows" : "packed_columns", suffix = type == DType.BFloat16 ? "bf16" : "f32";
        var moved = traffic.Of($"reduction_sum_{form}_{suffix}");
        long bytes = (long)x.Length * type.Size();
        // The second pass is one of float32 and counts with the first where that is too: it reads what the first has stored.
        Assert.InRange(moved.Loads.Bytes, bytes, bytes * 1.07);
        Assert.InRange(moved.Stores.Bytes, 0, bytes * 0.07);
        Assert.InRange(moved.Loads.Used / (double)moved.Loads.Requests, 500, 512);
        Assert.InRange(moved.Blocks, outer == 64 ? 64 : 128, 600);
        Assert.Equal(0, moved.BankConflicts);
    }

    private static Dictionary<string, double[]> RunRows(KernelArrays a, int rows, int columns)
    {
        int n = rows * columns;
        var results = new Dictionary<string, double[]>();
        Storage x = a.Random(n), gy = a.Random(n), y = a.Empty(n), gx = a.Empty(n);
        foreach (bool log in (bool[])[false, true])
        {
            a.Device.Softmax(rows, columns, log, x, y);
            results.Add(log ? "log-softmax" : "softmax", a.Read(y));
            a.Device.SoftmaxGrad(rows, columns, log, y, gy, gx);
            results.Add(log ? "log-softmax gradient" : "softmax gradient", a.Read(gx));
        }
        Storage labels = a.Indices(rows, columns), losses = a.EmptyFloats(rows), gLosses = a.RandomFloats(rows);
        a.Device.CrossEntropy(rows, columns, x, labels, losses);
        results.Add("cross-entropy", a.Read(losses));
        a.Device.CrossEntropyGrad(rows, columns, x, labels, gLosses, gx);
        results.Add("cross-entropy gradient", a.Read(gx));

        var g = new LayerNormGeometry(rows, columns, 1e-5);
        Storage gamma = a.RandomFloats(columns), beta = a.RandomFloats(columns), mean = a.EmptyFloats(rows), rstd = a.EmptyFloats(rows);
        Storage gGamma = a.EmptyFloats(columns), gBeta = a.EmptyFloats(columns);
        a.Device.LayerNorm(g, x, gamma, beta, y, mean, rstd);
        results.Add("layer norm", a.Read(y));
        results.Add("mean", a.Read(mean));
        results.Add("rstd", a.Read(rstd));
        a.Device.LayerNormGrad(g, x, gamma, mean, rstd, gy, gx, gGamma, gBeta);
        results.Add("layer norm gradient", a.Read(gx));
        results.Add("gradient of gamma", a.Read(gGamma));
        results.Add("gradient of beta", a.Read(gBeta));
        return results;
    }

    private static Dictionary<string, double[]> RunReductions(KernelArrays a, ReduceGeometry g)
    {
        var results = new Dictionary<string, double[]>();
        var x = a.Random(g.Outer * g.Reduce * g.Inner);
        foreach (var op in Enum.GetValues<ReduceOp>())
        {
            Storage y = a.Empty(g.Outer * g.Inner), wide = a.EmptyFloats(g.Outer * g.Inner);
            a.Device.Reduce(op, g, x, y);
            a.Device.Reduce(op, g, x, wide);
            results.Add($"{op}", a.Read(y));
            results.Add($"{op} to float32", a.Read(wide));
        }
        var index = a.Device.Allocate(DType.Int32, g.Outer * g.Inner);
        a.Device.ArgMax(g, x, index);
        results.Add("argmax", Array.ConvertAll(a.ReadIndices(index), i => (double)i));
        return results;
    }
}
