using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Moves four-byte elements: boxes and permutations. Runs that are contiguous on both sides are copied whole; where the fastest
/// axis changes, tiles are transposed so that whole cache lines are read and written.
/// </summary>
internal static unsafe class CopyKernels
{
    /// <summary>Elements per piece of parallel work: 64 KiB, larger than what handing out a piece costs.</summary>
    private const int Grain = 16384;

    /// <summary>Side of a transposed block: 64 x 64 elements on both sides fit the first-level cache.</summary>
    private const int Block = 64;

    public static void Region(
        Shape sourceShape, ReadOnlySpan<int> sourceStart, int* x,
        Shape destinationShape, ReadOnlySpan<int> destinationStart, int* y, Shape extent)
    {
        if (extent.Count == 0)
            return;
        var walk = new StridedWalk();
        int strideX = 1, strideY = 1;
        for (int axis = extent.Rank - 1; axis >= 0; axis--)
        {
            walk.Add(extent[axis], strideX, strideY);
            x += sourceStart[axis] * strideX;
            y += destinationStart[axis] * strideY;
            strideX *= sourceShape[axis];
            strideY *= destinationShape[axis];
        }
        Runs(walk, x, y);
    }

    public static void Permute(Shape shape, ReadOnlySpan<int> axes, int* x, int* y)
    {
        if (shape.Count == 0)
            return;
        Span<int> strides = stackalloc int[Shape.MaxRank];
        int stride = 1;
        for (int axis = shape.Rank - 1; axis >= 0; axis--)
        {
            strides[axis] = stride;
            stride *= shape[axis];
        }
        var walk = new StridedWalk();
        stride = 1;
        for (int axis = axes.Length - 1; axis >= 0; axis--)
        {
            walk.Add(shape[axes[axis]], strides[axes[axis]], stride);
            stride *= shape[axes[axis]];
        }
        // The fastest axis of y is axis 0 of the walk. If x does not run along it too, some other axis is contiguous in x.
        if (walk.Rank == 0 || walk.StrideA(0) == 1)
            Runs(walk, x, y);
        else
            Transpose(walk, x, y);
    }

    /// <summary>Copies along a walk whose fastest axis, if it has stride 1 on both sides, is one contiguous run.</summary>
    private static void Runs(StridedWalk walk, int* x, int* y)
    {
        int run = 1;
        if (walk.Rank > 0 && walk.StrideA(0) == 1 && walk.StrideB(0) == 1)
        {
            run = walk.Extent(0);
            walk.Remove(0);
        }
        int pieces = (run + Grain - 1) / Grain;
        int items = walk.Count * pieces;
        Workers.ForRange(items, Math.Max(1, Grain / run), new RunBody(walk, run, pieces, x, y));
    }

    private static void Transpose(StridedWalk walk, int* x, int* y)
    {
        int contiguous = 1;
        while (walk.StrideA(contiguous) != 1)
            contiguous++;
        int columns = walk.Extent(0), rows = walk.Extent(contiguous);
        int strideX = walk.StrideA(0), strideY = walk.StrideB(contiguous);
        walk.Remove(contiguous);
        walk.Remove(0);
        int blocksOfRows = (rows + Block - 1) / Block, blocksOfColumns = (columns + Block - 1) / Block;
        int elements = Math.Min(rows, Block) * Math.Min(columns, Block);
        Workers.ForRange(
            walk.Count * blocksOfRows * blocksOfColumns, Math.Max(1, Grain / elements),
            new TransposeBody(walk, rows, columns, strideX, strideY, blocksOfRows, blocksOfColumns, x, y));
    }

    private readonly struct RunBody(StridedWalk walk, int run, int pieces, int* x, int* y) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            var at = walk;
            at.Seek(start / pieces);
            if (pieces > 1)
            {
                for (int item = start; item < end; item++)
                {
                    int from = item % pieces * Grain;
                    Unsafe.CopyBlock(y + at.B + from, x + at.A + from, (uint)Math.Min(Grain, run - from) * sizeof(int));
                    if (item % pieces == pieces - 1)
                        at.Next();
                }
                return;
            }
            for (int item = start; item < end; item++, at.Next())
            {
                int* source = x + at.A, destination = y + at.B;
                if (run > 16)
                {
                    Unsafe.CopyBlock(destination, source, (uint)run * sizeof(int));
                    continue;
                }
                // A call costs more than moving a few elements.
                for (int i = 0; i < run; i++)
                    destination[i] = source[i];
            }
        }
    }

    /// <summary>
    /// One or more blocks of y[r, c] = x[c, r]: x has stride 1 along r and <paramref name="strideX"/> along c, y stride
    /// <paramref name="strideY"/> along r and 1 along c; the walk goes over the axes outside.
    /// </summary>
    private readonly struct TransposeBody(
        StridedWalk walk, int rows, int columns, int strideX, int strideY, int blocksOfRows, int blocksOfColumns, int* x, int* y) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            var at = walk;
            int blocks = blocksOfRows * blocksOfColumns;
            at.Seek(start / blocks);
            for (int item = start; item < end; item++)
            {
                int block = item % blocks;
                int row = block / blocksOfColumns * Block, column = block % blocksOfColumns * Block;
                TransposeBlock(
                    x + at.A + (long)column * strideX + row, strideX, y + at.B + (long)row * strideY + column, strideY,
                    Math.Min(Block, rows - row), Math.Min(Block, columns - column));
                if (block == blocks - 1)
                    at.Next();
            }
        }
    }

    private static void TransposeBlock(int* x, long strideX, int* y, long strideY, int rows, int columns)
    {
        int wholeRows = 0, wholeColumns = 0;
        if (Avx.IsSupported)
        {
            wholeRows = rows & ~7;
            wholeColumns = columns & ~7;
            for (int column = 0; column < wholeColumns; column += 8)
            {
                for (int row = 0; row < wholeRows; row += 8)
                    Transpose8x8((float*)(x + column * strideX + row), strideX, (float*)(y + row * strideY + column), strideY);
            }
        }
        if (wholeColumns < columns)
            TransposeScalar(x + wholeColumns * strideX, strideX, y + wholeColumns, strideY, wholeRows, columns - wholeColumns);
        if (wholeRows < rows)
            TransposeScalar(x + wholeRows, strideX, y + wholeRows * strideY, strideY, rows - wholeRows, columns);
    }

    private static void TransposeScalar(int* x, long strideX, int* y, long strideY, int rows, int columns)
    {
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
                y[row * strideY + column] = x[column * strideX + row];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose8x8(float* x, long strideX, float* y, long strideY)
    {
        var x0 = Vector256.Load(x);
        var x1 = Vector256.Load(x + strideX);
        var x2 = Vector256.Load(x + 2 * strideX);
        var x3 = Vector256.Load(x + 3 * strideX);
        var x4 = Vector256.Load(x + 4 * strideX);
        var x5 = Vector256.Load(x + 5 * strideX);
        var x6 = Vector256.Load(x + 6 * strideX);
        var x7 = Vector256.Load(x + 7 * strideX);
        // Pairs, then fours within 128-bit halves, then the halves.
        var p0 = Avx.UnpackLow(x0, x1);
        var p1 = Avx.UnpackHigh(x0, x1);
        var p2 = Avx.UnpackLow(x2, x3);
        var p3 = Avx.UnpackHigh(x2, x3);
        var p4 = Avx.UnpackLow(x4, x5);
        var p5 = Avx.UnpackHigh(x4, x5);
        var p6 = Avx.UnpackLow(x6, x7);
        var p7 = Avx.UnpackHigh(x6, x7);
        var f0 = Avx.Shuffle(p0, p2, 0x44);
        var f1 = Avx.Shuffle(p0, p2, 0xEE);
        var f2 = Avx.Shuffle(p1, p3, 0x44);
        var f3 = Avx.Shuffle(p1, p3, 0xEE);
        var f4 = Avx.Shuffle(p4, p6, 0x44);
        var f5 = Avx.Shuffle(p4, p6, 0xEE);
        var f6 = Avx.Shuffle(p5, p7, 0x44);
        var f7 = Avx.Shuffle(p5, p7, 0xEE);
        Avx.Permute2x128(f0, f4, 0x20).Store(y);
        Avx.Permute2x128(f1, f5, 0x20).Store(y + strideY);
        Avx.Permute2x128(f2, f6, 0x20).Store(y + 2 * strideY);
        Avx.Permute2x128(f3, f7, 0x20).Store(y + 3 * strideY);
        Avx.Permute2x128(f0, f4, 0x31).Store(y + 4 * strideY);
        Avx.Permute2x128(f1, f5, 0x31).Store(y + 5 * strideY);
        Avx.Permute2x128(f2, f6, 0x31).Store(y + 6 * strideY);
        Avx.Permute2x128(f3, f7, 0x31).Store(y + 7 * strideY);
    }
}
