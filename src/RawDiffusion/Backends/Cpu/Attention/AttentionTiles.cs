using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// The small matrix products inside attention: C[rows, columns] = or += A B for blocks that live in cache. B comes in panels of
/// two vectors of columns, A is read element by element with any strides, so that A and its transpose are one code. Rows come
/// in sixes: the caller's buffers have room for the padding.
/// </summary>
internal static unsafe class AttentionTiles<V> where V : struct, ISimd<V>
{
    /// <summary>Rows of a register tile: 6 x 2 accumulators, 2 of B and 1 of A fill 16 vector registers.</summary>
    public const int TileRows = 6;

    /// <summary>Columns of a panel.</summary>
    public static int PanelWidth => 2 * V.Count;

    public static int RoundRows(int rows) => (rows + TileRows - 1) / TileRows * TileRows;

    /// <summary>Up to a whole number of vectors: what <see cref="Multiply"/> writes.</summary>
    public static int RoundLanes(int columns) => (columns + V.Count - 1) / V.Count * V.Count;

    /// <summary>Up to a whole number of panels.</summary>
    public static int RoundPanels(int columns) => (columns + PanelWidth - 1) / PanelWidth * PanelWidth;

    /// <summary>
    /// Elements from one row of a block to the next. Rows 512 bytes or a multiple apart would fall into few sets of the cache,
    /// so those get a line more.
    /// </summary>
    public static int RowLength(int columns)
    {
        int length = RoundPanels(columns);
        return length % 128 == 0 ? length + 16 : length;
    }

    /// <summary>
    /// C[RoundRows(rows), RoundLanes(columns)] = A B, or += where <paramref name="accumulate"/>. A(i, k) = a[i * aRow + k * aStep].
    /// Column n of row k of B is b[n / PanelWidth * bPanel + k * bRow + n % PanelWidth].
    /// </summary>
    public static void Multiply(
        int rows, int columns, int depth, float* a, nint aRow, nint aStep, float* b, nint bPanel, nint bRow,
        float* c, nint cRow, bool accumulate)
    {
        int tiles = (rows + TileRows - 1) / TileRows;
        for (; columns > V.Count; columns -= 2 * V.Count, b += bPanel, c += 2 * V.Count)
            Strip2(tiles, depth, a, aRow, aStep, b, bRow, c, cRow, accumulate);
        if (columns > 0)
            Strip1(tiles, depth, a, aRow, aStep, b, bRow, c, cRow, accumulate);
    }

    private static void Strip2(
        int tiles, nint depth, float* a, nint aRow, nint aStep, float* b, nint bRow, float* c, nint cRow, bool accumulate)
    {
        for (; tiles > 0; tiles--, a += 6 * aRow)
        {
            V c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default;
            V c30 = default, c31 = default, c40 = default, c41 = default, c50 = default, c51 = default;
            float* a0 = a, a3 = a + 3 * aRow, bk = b;
            nint aRow2 = 2 * aRow;
            for (nint k = depth; k > 0; k--)
            {
                V b0 = V.Load(bk), b1 = V.Load(bk + V.Count);
                bk += bRow;
                V x = V.Create(a0[0]);
                c00 = V.MultiplyAdd(x, b0, c00);
                c01 = V.MultiplyAdd(x, b1, c01);
                x = V.Create(a0[aRow]);
                c10 = V.MultiplyAdd(x, b0, c10);
                c11 = V.MultiplyAdd(x, b1, c11);
                x = V.Create(a0[aRow2]);
                c20 = V.MultiplyAdd(x, b0, c20);
                c21 = V.MultiplyAdd(x, b1, c21);
                x = V.Create(a3[0]);
                c30 = V.MultiplyAdd(x, b0, c30);
                c31 = V.MultiplyAdd(x, b1, c31);
                x = V.Create(a3[aRow]);
                c40 = V.MultiplyAdd(x, b0, c40);
                c41 = V.MultiplyAdd(x, b1, c41);
                x = V.Create(a3[aRow2]);
                c50 = V.MultiplyAdd(x, b0, c50);
                c51 = V.MultiplyAdd(x, b1, c51);
                a0 += aStep;
                a3 += aStep;
            }
            if (accumulate)
            {
                Add(c00, c01, c);
                Add(c10, c11, c += cRow);
                Add(c20, c21, c += cRow);
                Add(c30, c31, c += cRow);
                Add(c40, c41, c += cRow);
                Add(c50, c51, c += cRow);
            }
            else
            {
                Put(c00, c01, c);
                Put(c10, c11, c += cRow);
                Put(c20, c21, c += cRow);
                Put(c30, c31, c += cRow);
                Put(c40, c41, c += cRow);
                Put(c50, c51, c += cRow);
            }
            c += cRow;
        }
    }

    private static void Strip1(
        int tiles, nint depth, float* a, nint aRow, nint aStep, float* b, nint bRow, float* c, nint cRow, bool accumulate)
    {
        for (; tiles > 0; tiles--, a += 6 * aRow)
        {
            V c0 = default, c1 = default, c2 = default, c3 = default, c4 = default, c5 = default;
            float* a0 = a, a3 = a + 3 * aRow, bk = b;
            nint aRow2 = 2 * aRow;
            for (nint k = depth; k > 0; k--)
            {
                V bv = V.Load(bk);
                bk += bRow;
                c0 = V.MultiplyAdd(V.Create(a0[0]), bv, c0);
                c1 = V.MultiplyAdd(V.Create(a0[aRow]), bv, c1);
                c2 = V.MultiplyAdd(V.Create(a0[aRow2]), bv, c2);
                c3 = V.MultiplyAdd(V.Create(a3[0]), bv, c3);
                c4 = V.MultiplyAdd(V.Create(a3[aRow]), bv, c4);
                c5 = V.MultiplyAdd(V.Create(a3[aRow2]), bv, c5);
                a0 += aStep;
                a3 += aStep;
            }
            if (accumulate)
            {
                c0 += V.Load(c);
                c1 += V.Load(c + cRow);
                c2 += V.Load(c + 2 * cRow);
                c3 += V.Load(c + 3 * cRow);
                c4 += V.Load(c + 4 * cRow);
                c5 += V.Load(c + 5 * cRow);
            }
            V.Store(c0, c);
            V.Store(c1, c + cRow);
            V.Store(c2, c + 2 * cRow);
            V.Store(c3, c + 3 * cRow);
            V.Store(c4, c + 4 * cRow);
            V.Store(c5, c + 5 * cRow);
            c += 6 * cRow;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(V x0, V x1, float* c)
    {
        V.Store(x0, c);
        V.Store(x1, c + V.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(V x0, V x1, float* c)
    {
        V.Store(V.Load(c) + x0, c);
        V.Store(V.Load(c + V.Count) + x1, c + V.Count);
    }

    /// <summary>Panels of the transpose: row k of B is column k of x[rows, columns], so panels run over the rows of x. Zero padded.</summary>
    public static void PackTransposed(float* x, nint xRow, int rows, int columns, float* panels)
    {
        for (int start = 0; start < rows; start += PanelWidth, panels += (nint)columns * PanelWidth)
        {
            int width = Math.Min(PanelWidth, rows - start), inFours = width / 4 * 4;
            float* from = x + start * xRow;
            for (int r = 0; r < inFours; r += 4)
                Transpose4(from + r * xRow, xRow, columns, panels + r);
            if (inFours == PanelWidth)
                continue;
            for (int k = 0; k < columns; k++)
            {
                float* to = panels + (nint)k * PanelWidth;
                for (int r = inFours; r < width; r++)
                    to[r] = from[r * xRow + k];
                Clear(to, width, PanelWidth);
            }
        }
    }

    private static void Transpose4(float* x, nint xRow, int columns, float* y)
    {
        int k = 0;
        for (; k <= columns - 4; k += 4)
        {
            var r0 = Vector128.Load(x + k);
            var r1 = Vector128.Load(x + xRow + k);
            var r2 = Vector128.Load(x + 2 * xRow + k);
            var r3 = Vector128.Load(x + 3 * xRow + k);
            var low02 = Interleave.Low(r0, r2);
            var high02 = Interleave.High(r0, r2);
            var low13 = Interleave.Low(r1, r3);
            var high13 = Interleave.High(r1, r3);
            float* to = y + (nint)k * PanelWidth;
            Interleave.Low(low02, low13).Store(to);
            Interleave.High(low02, low13).Store(to + PanelWidth);
            Interleave.Low(high02, high13).Store(to + 2 * PanelWidth);
            Interleave.High(high02, high13).Store(to + 3 * PanelWidth);
        }
        for (; k < columns; k++)
        {
            for (int r = 0; r < 4; r++)
                y[(nint)k * PanelWidth + r] = x[r * xRow + k];
        }
    }

    /// <summary>Panels of x[rows, columns] itself, zero padded to whole vectors.</summary>
    public static void Pack(float* x, nint xRow, int rows, int columns, float* panels)
    {
        for (int start = 0; start < columns; start += PanelWidth)
        {
            int width = Math.Min(PanelWidth, columns - start);
            float* from = x + start;
            for (int r = 0; r < rows; r++, from += xRow, panels += PanelWidth)
                CopyRow(from, width, panels);
        }
    }

    /// <summary>y[RoundRows(rows), yRow] = factor * x[rows, columns], zero in what pads the columns to whole vectors.</summary>
    public static void CopyRows(float* x, nint xRow, int rows, int columns, float factor, float* y, nint yRow)
    {
        V f = V.Create(factor);
        for (int r = 0; r < rows; r++, x += xRow, y += yRow)
        {
            int i = 0;
            for (; i <= columns - V.Count; i += V.Count)
                V.Store(V.Load(x + i) * f, y + i);
            int rest = i;
            for (; i < columns; i++)
                y[i] = x[i] * factor;
            if (rest < columns)
                Clear(y, columns, rest + V.Count);
        }
        for (int r = rows; r < RoundRows(rows); r++, y += yRow)
            Clear(y, 0, RoundLanes(columns));
    }

    private static void CopyRow(float* x, int columns, float* y)
    {
        int i = 0;
        for (; i <= columns - V.Count; i += V.Count)
            V.Store(V.Load(x + i), y + i);
        if (i == columns)
            return;
        int end = i + V.Count;
        for (; i < columns; i++)
            y[i] = x[i];
        Clear(y, columns, end);
    }

    /// <summary>Zeros y[start, end), where end is a multiple of a vector.</summary>
    private static void Clear(float* y, int start, int end)
    {
        for (; start % V.Count != 0; start++)
            y[start] = 0;
        for (; start < end; start += V.Count)
            V.Store(default, y + start);
    }

    private static class Interleave
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<float> Low(Vector128<float> x, Vector128<float> y) =>
            System.Runtime.Intrinsics.X86.Sse.IsSupported
                ? System.Runtime.Intrinsics.X86.Sse.UnpackLow(x, y)
                : Vector128.Create(x[0], y[0], x[1], y[1]);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<float> High(Vector128<float> x, Vector128<float> y) =>
            System.Runtime.Intrinsics.X86.Sse.IsSupported
                ? System.Runtime.Intrinsics.X86.Sse.UnpackHigh(x, y)
                : Vector128.Create(x[2], y[2], x[3], y[3]);
    }
}
