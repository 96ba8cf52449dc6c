using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>y = f(x; a, b) over a range. y may be x.</summary>
internal readonly unsafe struct UnaryLoop<TOp, V>(float* x, float* y, float a, float b) : IRangeBody
    where TOp : struct, IUnaryOperator
    where V : struct, ISimd<V>
{
    public void Run(int start, int end, int worker) => Run(x + start, y + start, end - start, a, b);

    private static void Run(float* x, float* y, int count, float a, float b)
    {
        V va = V.Create(a), vb = V.Create(b);
        int i = 0;
        for (; i <= count - V.Count; i += V.Count)
            V.Store(TOp.Cpu(V.Load(x + i), va, vb), y + i);
        if (i < count)
            RunTail(x + i, y + i, count - i, a, b);
    }

    /// <summary>Fewer elements than a vector holds go through a padded copy, so every element is computed by the same instructions.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void RunTail(float* x, float* y, int count, float a, float b)
    {
        float* padded = stackalloc float[16];
        for (int i = 0; i < count; i++)
            padded[i] = x[i];
        Run(padded, padded, V.Count, a, b);
        for (int i = 0; i < count; i++)
            y[i] = padded[i];
    }
}

/// <summary>z = condition != 0 ? x : y over a range.</summary>
internal readonly unsafe struct WhereLoop<V>(float* condition, float* x, float* y, float* z) : IRangeBody
    where V : struct, ISimd<V>
{
    public void Run(int start, int end, int worker)
    {
        V zero = V.Create(0);
        int i = start;
        for (; i <= end - V.Count; i += V.Count)
            V.Store(V.Select(V.Equal(V.Load(condition + i), zero), V.Load(y + i), V.Load(x + i)), z + i);
        for (; i < end; i++)
            z[i] = condition[i] != 0 ? x[i] : y[i];
    }
}

/// <summary>z = f(x, y; a) with broadcasting over a range of outputs.</summary>
internal readonly unsafe struct BinaryLoop<TOp, V>(BroadcastGeometry g, float* x, float* y, float* z, float a) : IRangeBody
    where TOp : struct, IBinaryOperator
    where V : struct, ISimd<V>
{
    /// <summary>Rows shorter than this are gathered into a block of outputs first: a vector loop per row would not pay.</summary>
    private const int ShortRow = 24;

    private const int BlockSize = 512;

    public void Run(int start, int end, int worker)
    {
        int last = g.Rank - 1;
        if (g.Rank > 1 && g.Extent(last) < ShortRow)
        {
            RunBlocks(start, end);
            return;
        }
        int stepX = g.StrideA(last), stepY = g.StrideB(last);
        if (g.Rank == 1)
        {
            Row(x + start * stepX, stepX, y + start * stepY, stepY, z + start, end - start, a);
            return;
        }
        var walk = new BroadcastWalk(g, start);
        for (int i = start; i < end;)
        {
            int count = Math.Min(walk.LeftInRow, end - i);
            Row(x + walk.OffsetA, stepX, y + walk.OffsetB, stepY, z + i, count, a);
            walk.NextRow();
            i += count;
        }
    }

    private static void Row(float* x, int stepX, float* y, int stepY, float* z, int count, float a)
    {
        if (stepY == 0 && stepX != 0)
            VectorScalar(x, *y, z, count, a);
        else if (stepX == 0)
            ScalarVector(*x, y, stepY, z, count, a);
        else
            VectorVector(x, y, z, count, a);
    }

    private static void VectorVector(float* x, float* y, float* z, int count, float a)
    {
        V va = V.Create(a);
        int i = 0;
        for (; i <= count - V.Count; i += V.Count)
            V.Store(TOp.Cpu(V.Load(x + i), V.Load(y + i), va), z + i);
        if (i < count)
            Tail(x + i, 1, y + i, 1, z + i, count - i, a);
    }

    private static void VectorScalar(float* x, float y, float* z, int count, float a)
    {
        V va = V.Create(a), vy = V.Create(y);
        int i = 0;
        for (; i <= count - V.Count; i += V.Count)
            V.Store(TOp.Cpu(V.Load(x + i), vy, va), z + i);
        if (i < count)
            Tail(x + i, 1, &y, 0, z + i, count - i, a);
    }

    /// <summary>A step of 0 for y, too, is one value repeated.</summary>
    private static void ScalarVector(float x, float* y, int stepY, float* z, int count, float a)
    {
        if (stepY == 0)
        {
            float result;
            Tail(&x, 0, y, 0, &result, 1, a);
            new Span<float>(z, count).Fill(result);
            return;
        }
        V va = V.Create(a), vx = V.Create(x);
        int i = 0;
        for (; i <= count - V.Count; i += V.Count)
            V.Store(TOp.Cpu(vx, V.Load(y + i), va), z + i);
        if (i < count)
            Tail(&x, 0, y + i, 1, z + i, count - i, a);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Tail(float* x, int stepX, float* y, int stepY, float* z, int count, float a)
    {
        float* paddedX = stackalloc float[16];
        float* paddedY = stackalloc float[16];
        for (int i = 0; i < count; i++)
        {
            paddedX[i] = x[i * stepX];
            paddedY[i] = y[i * stepY];
        }
        VectorVector(paddedX, paddedY, paddedX, V.Count, a);
        for (int i = 0; i < count; i++)
            z[i] = paddedX[i];
    }

    /// <summary>
    /// Short rows, by blocks of whole rows along the last two axes: an operand that is not laid out like the output is gathered
    /// first, and only once while it stays the same rows (a bias).
    /// </summary>
    [SkipLocalsInit]
    private void RunBlocks(int start, int end)
    {
        float* gatheredX = stackalloc float[BlockSize];
        float* gatheredY = stackalloc float[BlockSize];
        int last = g.Rank - 1, row = g.Extent(last);
        int stepX = g.StrideA(last), stepY = g.StrideB(last), rowStepX = g.StrideA(last - 1), rowStepY = g.StrideB(last - 1);
        bool directX = stepX == 1 && rowStepX == row, directY = stepY == 1 && rowStepY == row;
        float* heldX = null, heldY = null;
        int heldRows = 0;
        var walk = new BroadcastWalk(g, start);
        for (int i = start; i < end;)
        {
            int rows = Math.Min(Math.Min(walk.LeftInPlane, BlockSize / row), (end - i) / row);
            float* fromX = x + walk.OffsetA, fromY = y + walk.OffsetB;
            if (!directX && !(rowStepX == 0 && fromX == heldX && rows <= heldRows))
                Gather(heldX = fromX, gatheredX, rows, row, rowStepX, stepX);
            if (!directY && !(rowStepY == 0 && fromY == heldY && rows <= heldRows))
                Gather(heldY = fromY, gatheredY, rows, row, rowStepY, stepY);
            heldRows = rows;
            VectorVector(directX ? fromX : gatheredX, directY ? fromY : gatheredY, z + i, rows * row, a);
            walk.NextRows(rows);
            i += rows * row;
        }
    }

    private static void Gather(float* from, float* to, int rows, int row, int rowStep, int step)
    {
        for (int r = 0; r < rows; r++, from += rowStep, to += row)
        {
            for (int i = 0; i < row; i++)
                to[i] = from[i * step];
        }
    }
}

/// <summary>y = x repeated, over a range of outputs, as 32-bit words.</summary>
internal readonly unsafe struct BroadcastLoop(BroadcastGeometry g, int* x, int* y) : IRangeBody
{
    public void Run(int start, int end, int worker)
    {
        int step = g.StrideA(g.Rank - 1);
        var walk = new BroadcastWalk(g, start);
        for (int i = start; i < end;)
        {
            int count = Math.Min(walk.LeftInRow, end - i);
            int* from = x + walk.OffsetA;
            if (count < 16)
            {
                for (int j = 0; j < count; j++)
                    y[i + j] = from[j * step];
            }
            else if (step == 0)
            {
                new Span<int>(y + i, count).Fill(*from);
            }
            else
            {
                new Span<int>(from, count).CopyTo(new Span<int>(y + i, count));
            }
            walk.NextRow();
            i += count;
        }
    }
}
