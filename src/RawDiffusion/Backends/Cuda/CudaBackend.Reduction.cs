namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    /// <summary>
    /// Elements of a row that one block adds up, and of a column that one thread does. They decide how sums are cut, so changing them
    /// changes bits.
    /// </summary>
    private const int RowChunk = 4096, ColumnChunk = 128;

    /// <summary>Rows up to this long are given to one thread each: a warp would be mostly idle.</summary>
    private const int ShortRow = 32;

    public override void Reduce(ReduceOp op, in ReduceGeometry g, Storage x, Storage y)
    {
        int results = g.Outer * g.Inner;
        if (results == 0)
            return;
        bool rows = g.Inner == 1 && g.Reduce > ShortRow;
        int chunk = rows ? RowChunk : ColumnChunk;
        // An axis of less than two chunks is not cut.
        int chunks = g.Reduce < 2 * chunk ? 1 : CeilDiv(g.Reduce, chunk);
        if (chunks == 1)
        {
            ReduceChunks(op, g, rows, 1, Math.Max(1, g.Reduce), x, y);
            return;
        }
        var partial = Allocate(DType.Float32, checked(results * chunks));
        ReduceChunks(op, g, rows, chunks, chunk, x, partial);
        Reduce(op == ReduceOp.SumOfSquares ? ReduceOp.Sum : op, new ReduceGeometry(g.Outer, chunks, g.Inner), partial, y);
        Release(partial);
    }

    public override void ArgMax(in ReduceGeometry g, Storage x, Storage y)
    {
        int results = g.Outer * g.Inner;
        if (g.Inner != 1 || g.Reduce <= ShortRow)
            LaunchElements(_kernels.Kernel("reduction.cu", "reduction_argmax_columns_f32"), results, results, g.Reduce, g.Inner, P(x), P(y));
        else if (results > 0)
            _kernels.Kernel("reduction.cu", "reduction_argmax_rows_f32").Launch(results, RowThreads(g.Reduce), 0, g.Reduce, P(x), P(y));
    }

    /// <summary>y[Outer, chunks, Inner] from chunks of the middle axis.</summary>
    private void ReduceChunks(ReduceOp op, in ReduceGeometry g, bool rows, int chunks, int chunk, Storage x, Storage y)
    {
        string what = op switch
        {
            ReduceOp.Sum => rows ? "reduction_sum_rows_f32" : "reduction_sum_columns_f32",
            ReduceOp.SumOfSquares => rows ? "reduction_sum_of_squares_rows_f32" : "reduction_sum_of_squares_columns_f32",
            ReduceOp.Max => rows ? "reduction_max_rows_f32" : "reduction_max_columns_f32",
            ReduceOp.Min => rows ? "reduction_min_rows_f32" : "reduction_min_columns_f32",
            ReduceOp.LogSumExp => rows ? "reduction_log_sum_exp_rows_f32" : "reduction_log_sum_exp_columns_f32",
            _ => throw new ArgumentOutOfRangeException(nameof(op), op, "not a reduction"),
        };
        var kernel = _kernels.Kernel("reduction.cu", what);
        int results = g.Outer * chunks * g.Inner;
        if (rows)
            kernel.Launch(results, RowThreads(chunk), 0, g.Reduce, chunks, chunk, P(x), P(y));
        else
            LaunchElements(kernel, results, results, g.Reduce, g.Inner, chunks, chunk, P(x), P(y));
    }

    /// <summary>Threads of a block that takes a row of so many elements: whole warps, at most <see cref="BlockSize"/>.</summary>
    private static int RowThreads(int columns) => Math.Clamp(CeilDiv(columns, 32) * 32, 32, BlockSize);
}
