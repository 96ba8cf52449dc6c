namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <summary>Elements of one piece of a reduction. Its multiples, never the number of threads, decide how sums are cut.</summary>
    private const int ReduceGrain = 16 * 1024;

    public override void Reduce(ReduceOp op, in ReduceGeometry g, Storage x, Storage y)
    {
        if (VectorBits == 512)
            Reduce<Simd512>(op, g, F(x), F(y));
        else if (VectorBits == 256)
            Reduce<Simd256>(op, g, F(x), F(y));
        else
            Reduce<Simd128>(op, g, F(x), F(y));
    }

    public override void ArgMax(in ReduceGeometry g, Storage x, Storage y) =>
        Elementwise(g.Outer * g.Inner, Math.Max(1, ReduceGrain / Math.Max(1, g.Reduce)), new ArgMaxBody(g, F(x), I(y)));

    private void Reduce<V>(ReduceOp op, in ReduceGeometry g, float* x, float* y) where V : struct, ISimd<V>
    {
        switch (op)
        {
            case ReduceOp.Sum:
                Reduce<SumReducer, V>(g, x, y);
                break;
            case ReduceOp.SumOfSquares:
                Reduce<SumOfSquaresReducer, V>(g, x, y);
                break;
            case ReduceOp.Max:
                Reduce<MaxReducer, V>(g, x, y);
                break;
            case ReduceOp.Min:
                Reduce<MinReducer, V>(g, x, y);
                break;
            case ReduceOp.LogSumExp:
                LogSumExp<V>(g, x, y);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(op), op, "not a reduction");
        }
    }

    private void Reduce<TOp, V>(in ReduceGeometry g, float* x, float* y)
        where TOp : struct, IReducer
        where V : struct, ISimd<V>
    {
        if (g.Outer == 0 || g.Inner == 0)
            return;
        if (g.Inner > 1)
            ReduceColumns<TOp, V>(g, x, y);
        else if (g.Reduce >= 2 * ReduceGrain && g.Outer < 64)
            ReduceLongRows<TOp, V>(g, x, y);
        else
            Elementwise(g.Outer, Math.Max(1, ReduceGrain / Math.Max(1, g.Reduce)), new RowsBody<TOp, V>(x, y, g.Reduce));
    }

    private void ReduceLongRows<TOp, V>(in ReduceGeometry g, float* x, float* y)
        where TOp : struct, IReducer
        where V : struct, ISimd<V>
    {
        int segments = (g.Reduce + ReduceGrain - 1) / ReduceGrain;
        var scratch = Allocate(DType.Float32, 2 * g.Outer * segments);
        double* partial = (double*)F(scratch);
        Workers.For(g.Outer * segments, new SegmentsBody<TOp, V>(x, partial, g.Reduce, segments, ReduceGrain));
        for (int row = 0; row < g.Outer; row++)
        {
            double total = TOp.Identity;
            for (int segment = 0; segment < segments; segment++)
                total = TOp.Join(total, partial[row * segments + segment]);
            y[row] = (float)total;
        }
        Release(scratch);
    }

    private void ReduceColumns<TOp, V>(in ReduceGeometry g, float* x, float* y)
        where TOp : struct, IReducer
        where V : struct, ISimd<V>
    {
        int columns = Math.Min(g.Inner, 1024);
        int chunkRows = Math.Clamp(ReduceGrain / columns, 64, 1024);
        int blocks = (g.Inner + columns - 1) / columns;
        if (g.Reduce < 2 * chunkRows)
        {
            int pieces = g.Outer * blocks;
            int all = Math.Max(1, g.Reduce);
            Elementwise(pieces, Grain(all * columns), new ColumnsBody<TOp, V>(x, y, g.Reduce, g.Inner, all, columns));
            return;
        }
        int chunks = (g.Reduce + chunkRows - 1) / chunkRows;
        var scratch = Allocate(DType.Float32, g.Outer * chunks * g.Inner);
        Elementwise(
            g.Outer * chunks * blocks, Grain(chunkRows * columns),
            new ColumnsBody<TOp, V>(x, F(scratch), g.Reduce, g.Inner, chunkRows, columns));
        Reduce<V>(TOp.Merge, new ReduceGeometry(g.Outer, chunks, g.Inner), F(scratch), y);
        Release(scratch);

        static int Grain(int elements) => Math.Max(1, ReduceGrain / 2 / elements);
    }

    private void LogSumExp<V>(in ReduceGeometry g, float* x, float* y) where V : struct, ISimd<V>
    {
        if (g.Inner == 1)
        {
            Elementwise(g.Outer, SoftmaxGrain(g.Reduce), new LogSumExpRowsBody<V>(g.Reduce, x, y));
            return;
        }
        int results = g.Outer * g.Inner;
        if (results == 0)
            return;
        int chunkRows = Math.Clamp(ElementwiseGrain / g.Inner, 16, 1024);
        int chunks = (g.Reduce + chunkRows - 1) / chunkRows;
        Storage max = Allocate(DType.Float32, results), sums = Allocate(DType.Float32, results * (chunks + 1));
        float* total = F(sums), parts = F(sums) + results;
        Reduce<MaxReducer, V>(g, x, F(max));
        Elementwise(
            g.Outer * chunks, (int)Math.Max(1, ElementwiseGrain / 2 / ((long)chunkRows * g.Inner)),
            new SumExpColumnsBody<V>(x, F(max), parts, g.Reduce, g.Inner, chunkRows));
        Reduce<SumReducer, V>(new ReduceGeometry(g.Outer, chunks, g.Inner), parts, total);
        var same = new Shape(results);
        Elementwise(results, ElementwiseGrain, new BinaryLoop<AddLog, V>(new BroadcastGeometry(same, same, same), F(max), total, y, 0));
        Release(max);
        Release(sums);
    }

    /// <summary>The first largest element of line i of Outer x Inner; NaN counts as the largest.</summary>
    private readonly struct ArgMaxBody(ReduceGeometry g, float* x, int* y) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            for (int i = start; i < end; i++)
            {
                var (outer, inner) = Math.DivRem(i, g.Inner);
                float* line = x + (long)outer * g.Reduce * g.Inner + inner;
                int best = 0;
                float largest = line[0];
                for (int r = 1; r < g.Reduce; r++)
                {
                    float value = line[(long)r * g.Inner];
                    if (value > largest || float.IsNaN(value) && !float.IsNaN(largest))
                        (best, largest) = (r, value);
                }
                y[i] = best;
            }
        }
    }
}
