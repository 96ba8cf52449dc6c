using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>Reduction along contiguous memory: the middle axis is the last.</summary>
internal static unsafe class RowReduce
{
    /// <summary>
    /// Elements that are accumulated in float32 lanes before they join a float64 total: at 256 bits 128 per lane, so the
    /// rounding error of a sum of positive terms stays near 1e-6 however long the row is.
    /// </summary>
    private const int Run = 4096;

    public static double Row<TOp, V>(float* x, int count)
        where TOp : struct, IReducer
        where V : struct, ISimd<V>
    {
        double total = TOp.Identity;
        for (int i = 0; i < count; i += Run)
            total = TOp.Join(total, Short<TOp, V>(x + i, Math.Min(Run, count - i)));
        return total;
    }

    private static float Short<TOp, V>(float* x, int count)
        where TOp : struct, IReducer
        where V : struct, ISimd<V>
    {
        float result = TOp.Identity;
        int i = 0;
        if (count >= V.Count)
        {
            V a = V.Create(TOp.Identity), b = a, c = a, d = a;
            for (; i <= count - 4 * V.Count; i += 4 * V.Count)
            {
                a = TOp.Add(a, V.Load(x + i));
                b = TOp.Add(b, V.Load(x + i + V.Count));
                c = TOp.Add(c, V.Load(x + i + 2 * V.Count));
                d = TOp.Add(d, V.Load(x + i + 3 * V.Count));
            }
            for (; i <= count - V.Count; i += V.Count)
                a = TOp.Add(a, V.Load(x + i));
            result = TOp.Across(TOp.Join(TOp.Join(a, b), TOp.Join(c, d)));
        }
        for (; i < count; i++)
            result = TOp.Add(result, x[i]);
        return result;
    }
}

/// <summary>y[row] over rows [start, end) of x[rows, columns].</summary>
internal readonly unsafe struct RowsBody<TOp, V>(float* x, float* y, int columns) : IRangeBody
    where TOp : struct, IReducer
    where V : struct, ISimd<V>
{
    public void Run(int start, int end, int worker)
    {
        if (columns < 8)
        {
            RunShort(start, end);
            return;
        }
        for (int row = start; row < end; row++)
            y[row] = (float)RowReduce.Row<TOp, V>(x + (long)row * columns, columns);
    }

    private void RunShort(int start, int end)
    {
        float* from = x + (long)start * columns;
        for (int row = start; row < end; row++, from += columns)
        {
            float result = TOp.Identity;
            for (int i = 0; i < columns; i++)
                result = TOp.Add(result, from[i]);
            y[row] = result;
        }
    }
}

/// <summary>Long rows in segments of a fixed length: partial[row, segment] in float64.</summary>
internal readonly unsafe struct SegmentsBody<TOp, V>(float* x, double* partial, int columns, int segments, int length) : IParallelBody
    where TOp : struct, IReducer
    where V : struct, ISimd<V>
{
    public void Run(int index, int worker)
    {
        var (row, segment) = Math.DivRem(index, segments);
        int start = segment * length;
        partial[index] = RowReduce.Row<TOp, V>(x + (long)row * columns + start, Math.Min(length, columns - start));
    }
}

/// <summary>
/// Reduction across rows of x[outer, rows, inner], inner > 1: every piece takes up to <c>chunkRows</c> rows of one outer index and
/// up to <c>blockColumns</c> columns and writes y[outer, chunk, inner].
/// </summary>
internal readonly unsafe struct ColumnsBody<TOp, V>(float* x, float* y, int rows, int inner, int chunkRows, int blockColumns) : IRangeBody
    where TOp : struct, IReducer
    where V : struct, ISimd<V>
{
    public void Run(int start, int end, int worker)
    {
        int chunks = Math.Max(1, (rows + chunkRows - 1) / chunkRows);
        int blocks = (inner + blockColumns - 1) / blockColumns;
        for (int index = start; index < end; index++)
        {
            var (rest, block) = Math.DivRem(index, blocks);
            var (outer, chunk) = Math.DivRem(rest, chunks);
            int firstRow = chunk * chunkRows, firstColumn = block * blockColumns;
            float* from = x + ((long)outer * rows + firstRow) * inner + firstColumn;
            float* to = y + (long)rest * inner + firstColumn;
            int rowCount = Math.Min(chunkRows, rows - firstRow), columnCount = Math.Min(blockColumns, inner - firstColumn);
            if (columnCount >= V.Count)
                Wide(from, to, rowCount, columnCount);
            else if (columnCount == inner)
                Narrow(from, to, rowCount);
            else
                Scalar(from, to, rowCount, columnCount);
        }
    }

    private void Wide(float* from, float* to, int rowCount, int columnCount)
    {
        int column = 0;
        for (; column <= columnCount - 8 * V.Count; column += 8 * V.Count)
            Eight(from + column, to + column, rowCount);
        for (; column <= columnCount - 2 * V.Count; column += 2 * V.Count)
            Two(from + column, to + column, rowCount);
        for (; column <= columnCount - V.Count; column += V.Count)
            One(from + column, to + column, rowCount);
        // The last vector overlaps the one before: those columns come out the same twice.
        if (column < columnCount)
            One(from + columnCount - V.Count, to + columnCount - V.Count, rowCount);
    }

    private void Eight(float* from, float* to, int rowCount)
    {
        V a = V.Create(TOp.Identity), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
        for (int row = 0; row < rowCount; row++, from += inner)
        {
            a = TOp.Add(a, V.Load(from));
            b = TOp.Add(b, V.Load(from + V.Count));
            c = TOp.Add(c, V.Load(from + 2 * V.Count));
            d = TOp.Add(d, V.Load(from + 3 * V.Count));
            e = TOp.Add(e, V.Load(from + 4 * V.Count));
            f = TOp.Add(f, V.Load(from + 5 * V.Count));
            g = TOp.Add(g, V.Load(from + 6 * V.Count));
            h = TOp.Add(h, V.Load(from + 7 * V.Count));
        }
        V.Store(a, to);
        V.Store(b, to + V.Count);
        V.Store(c, to + 2 * V.Count);
        V.Store(d, to + 3 * V.Count);
        V.Store(e, to + 4 * V.Count);
        V.Store(f, to + 5 * V.Count);
        V.Store(g, to + 6 * V.Count);
        V.Store(h, to + 7 * V.Count);
    }

    private void Two(float* from, float* to, int rowCount)
    {
        V a = V.Create(TOp.Identity), b = a, c = a, d = a;
        int row = 0;
        for (; row < rowCount - 1; row += 2, from += 2 * inner)
        {
            a = TOp.Add(a, V.Load(from));
            b = TOp.Add(b, V.Load(from + V.Count));
            c = TOp.Add(c, V.Load(from + inner));
            d = TOp.Add(d, V.Load(from + inner + V.Count));
        }
        if (row < rowCount)
        {
            a = TOp.Add(a, V.Load(from));
            b = TOp.Add(b, V.Load(from + V.Count));
        }
        V.Store(TOp.Join(a, c), to);
        V.Store(TOp.Join(b, d), to + V.Count);
    }

    private void One(float* from, float* to, int rowCount)
    {
        V a = V.Create(TOp.Identity), b = a, c = a, d = a;
        int row = 0;
        for (; row < rowCount - 3; row += 4, from += 4 * inner)
        {
            a = TOp.Add(a, V.Load(from));
            b = TOp.Add(b, V.Load(from + inner));
            c = TOp.Add(c, V.Load(from + 2 * inner));
            d = TOp.Add(d, V.Load(from + 3 * inner));
        }
        for (; row < rowCount; row++, from += inner)
            a = TOp.Add(a, V.Load(from));
        V.Store(TOp.Join(TOp.Join(a, b), TOp.Join(c, d)), to);
    }

    /// <summary>
    /// Rows shorter than a vector, back to back in memory: a bundle of vectors that is a whole number of rows keeps its own
    /// accumulators, which are folded by column at the end.
    /// </summary>
    [SkipLocalsInit]
    private void Narrow(float* from, float* to, int rowCount)
    {
        // inner vectors hold V.Count rows; several times that hides the latency of an accumulator.
        int bundle = inner * Math.Max(1, 8 / inner);
        float* accumulators = stackalloc float[16 * 16];
        int lanes = bundle * V.Count, count = rowCount * inner, i = 0;
        new Span<float>(accumulators, lanes).Fill(TOp.Identity);
        for (; i <= count - lanes; i += lanes)
        {
            for (int j = 0; j < lanes; j += V.Count)
                V.Store(TOp.Add(V.Load(accumulators + j), V.Load(from + i + j)), accumulators + j);
        }
        for (int j = 0; i < count; i++, j++)
            accumulators[j] = TOp.Add(accumulators[j], from[i]);
        for (int column = 0; column < inner; column++)
        {
            double result = TOp.Identity;
            for (int j = column; j < lanes; j += inner)
                result = TOp.Join(result, accumulators[j]);
            to[column] = (float)result;
        }
    }

    private void Scalar(float* from, float* to, int rowCount, int columnCount)
    {
        for (int column = 0; column < columnCount; column++)
        {
            float result = TOp.Identity;
            for (int row = 0; row < rowCount; row++)
                result = TOp.Add(result, from[(long)row * inner + column]);
            to[column] = result;
        }
    }
}
