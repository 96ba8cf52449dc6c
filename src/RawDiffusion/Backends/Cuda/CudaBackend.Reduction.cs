using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    /// <summary>Elements of a row that one block adds up; rows of less than two of them are not cut.</summary>
    private const int RowChunk = 4096;

    /// <summary>
    /// Blocks that a reduction of columns is cut into where it has not so many anyway: several for each multiprocessor of a large GPU. Like
    /// <see cref="RowChunk"/> it decides how sums are cut and so their bits; it does not depend on the device.
    /// </summary>
    private const int ColumnBlocks = 512;

    /// <summary>Rows that a thread reads of its columns at a time.</summary>
    private const int ColumnRows = 4;

    private static readonly ReduceSlots[] s_reduce =
    [
        .. Enum.GetValues<ReduceOp>().Order().Select(op => new ReduceSlots(op switch
        {
            ReduceOp.Sum => "sum",
            ReduceOp.SumOfSquares => "sum_of_squares",
            ReduceOp.Max => "max",
            ReduceOp.Min => "min",
            ReduceOp.LogSumExp => "log_sum_exp",
            _ => throw new NotSupportedException($"no kernel reduces by {op}"),
        })),
    ];

    private static readonly PackedSlots s_sumTwo = new("reduction.cu", "reduction_sum_two");
    private static readonly KernelSlot s_argMaxRows = new("reduction.cu", "reduction_argmax_rows");
    private static readonly KernelSlot s_argMaxColumns = new("reduction.cu", "reduction_argmax_columns");

    public override void Reduce(ReduceOp op, in ReduceGeometry g, Storage x, Storage y)
    {
        if (g.Outer * g.Inner == 0)
            return;
        var cut = ReduceCut.For(g, x.DType);
        if (cut.Chunks == 1)
        {
            Reduce(op, g, cut, P(x), x.DType, P(y), y.DType);
            return;
        }
        using var partial = Scratch(checked((long)g.Outer * g.Inner * cut.Chunks));
        Reduce(op, g, cut, P(x), x.DType, partial.Pointer, DType.Float32);
        var rest = new ReduceGeometry(g.Outer, cut.Chunks, g.Inner);
        // What is left is short: it is not cut again.
        Reduce(op == ReduceOp.SumOfSquares ? ReduceOp.Sum : op, rest, ReduceCut.Whole(rest, DType.Float32), partial.Pointer, DType.Float32, P(y), y.DType);
    }

    public override void ArgMax(in ReduceGeometry g, Storage x, Storage y)
    {
        int results = g.Outer * g.Inner;
        if (g.Inner == 1)
            LaunchRows(s_argMaxRows, x.DType, g.Outer, g.Reduce, P(x), P(y));
        else if (results > 0)
            LaunchElements(_kernels[s_argMaxColumns, x.DType], results, results, g.Reduce, g.Inner, P(x), P(y));
    }

    /// <summary>The sums of the columns of two arrays of few rows, x[2, rows, columns] in float32, in one launch.</summary>
    private void SumTwo(int rows, int columns, DevicePointer x, Storage first, Storage second)
    {
        var cut = ReduceCut.OfColumns(new ReduceGeometry(2, rows, columns), DType.Float32);
        _kernels[s_sumTwo[cut.Width > 1]].Launch(
            checked(2 * CeilDiv(columns / cut.Width, cut.Block.X)), cut.Block, 0, rows, columns, x, P(first), P(second));
    }

    /// <summary>y[Outer, chunks, Inner] from the chunks of the middle axis.</summary>
    private void Reduce(ReduceOp op, in ReduceGeometry g, in ReduceCut cut, DevicePointer x, DType xType, DevicePointer y, DType yType)
    {
        var slots = s_reduce[(int)op];
        int results = g.Outer * cut.Chunks, narrow = yType == DType.BFloat16 ? 1 : 0;
        if (g.Inner == 1)
        {
            _kernels[slots.Rows, xType].Launch(
                CeilDiv(results, cut.Block.Y), cut.Block, 0, results, g.Reduce, cut.Chunks, cut.Chunk, narrow, x, y);
            return;
        }
        _kernels[cut.Width > 1 ? slots.PackedColumns : slots.Columns, xType].Launch(
            checked(results * CeilDiv(g.Inner / cut.Width, cut.Block.X)), cut.Block, 0, g.Reduce, g.Inner, cut.Chunks, cut.Chunk, narrow, x, y);
    }

    private sealed class ReduceSlots(string name)
    {
        public KernelSlot Rows { get; } = new("reduction.cu", $"reduction_{name}_rows");

        public KernelSlot Columns { get; } = new("reduction.cu", $"reduction_{name}_columns");

        public KernelSlot PackedColumns { get; } = new("reduction.cu", $"reduction_{name}_packed_columns");
    }

    /// <summary>How a reduction is spread over blocks.</summary>
    /// <param name="Width">Neighbouring columns of a thread.</param>
    private readonly record struct ReduceCut(Dim3 Block, int Width, int Chunks, int Chunk)
    {
        /// <summary>Enough chunks for a whole GPU.</summary>
        public static ReduceCut For(in ReduceGeometry g, DType type)
        {
            var whole = Whole(g, type);
            int chunks;
            if (g.Inner == 1)
            {
                chunks = g.Reduce < 2 * RowChunk ? 1 : CeilDiv(g.Reduce, RowChunk);
            }
            else
            {
                int blocks = g.Outer * CeilDiv(g.Inner / whole.Width, whole.Block.X);
                chunks = Math.Min(ColumnBlocks / blocks, g.Reduce / (ColumnRows * whole.Block.Y));
            }
            if (chunks < 2)
                return whole;
            int chunk = g.Inner == 1 ? RowChunk : CeilDiv(g.Reduce, chunks);
            return whole with { Block = g.Inner == 1 ? RowBlock(chunk, type) : whole.Block, Chunks = CeilDiv(g.Reduce, chunk), Chunk = chunk };
        }

        /// <summary>The axis in one piece.</summary>
        public static ReduceCut Whole(in ReduceGeometry g, DType type) =>
            g.Inner == 1 ? new ReduceCut(RowBlock(g.Reduce, type), 1, 1, Math.Max(1, g.Reduce)) : OfColumns(g, type);

        /// <summary>The same, of columns even where there is one.</summary>
        public static ReduceCut OfColumns(in ReduceGeometry g, DType type)
        {
            int width = g.Inner % PackSize(type) == 0 ? PackSize(type) : 1;
            // A warp beside each other where there are so many columns, then threads for the rows, and what is left for columns again.
            int columns = PowerOfTwo(Math.Min(BlockSize, g.Inner / width));
            int rows = Math.Min(BlockSize / Math.Min(WarpSize, columns), PowerOfTwo(Math.Min(BlockSize, CeilDiv(g.Reduce, ColumnRows))));
            return new ReduceCut((Math.Min(BlockSize / rows, columns), rows), width, 1, Math.Max(1, g.Reduce));
        }
    }
}
