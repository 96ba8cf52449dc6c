using System.Numerics;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    private const int WarpSize = 32;

    /// <summary>Values of a row that a thread holds in registers; <c>rows.cuh</c> says the same.</summary>
    private const int RowValues = 16;

    /// <summary>Threads of a block whose warps have rows of their own, and of the largest block that shares a row.</summary>
    private const int RowsBlock = 128, LongRowBlock = 512;

    /// <summary>Lanes that read 128 bytes together.</summary>
    private const int LineLanes = 8;

    /// <summary>Columns of the longest row that registers hold.</summary>
    private const int LongestHeldRow = LongRowBlock * RowValues;

    /// <summary>Elements of 16 bytes.</summary>
    private static int PackSize(DType type) => 16 / type.Size();

    /// <summary>
    /// The threads that share a row (x) and the rows of a block (y): a lane for each pack up to a line of the cache, then up to
    /// <see cref="RowValues"/> for each lane, since what joins lanes is the same however little they hold, then a warp, then several.
    /// </summary>
    private static Dim3 RowBlock(int columns, DType type)
    {
        if (columns > WarpSize * RowValues)
            return Math.Min(LongRowBlock, CeilDiv(columns, WarpSize * RowValues) * WarpSize);
        int lanes = Math.Max(Math.Min(LineLanes, PowerOfTwo(CeilDiv(columns, PackSize(type)))), PowerOfTwo(CeilDiv(columns, RowValues)));
        return (lanes, RowsBlock / lanes);
    }

    /// <summary>Threads of a block that takes a row of so many elements: whole warps, at most <see cref="BlockSize"/>.</summary>
    private static int RowThreads(int columns) => Math.Clamp(CeilDiv(columns, WarpSize) * WarpSize, WarpSize, BlockSize);

    /// <summary>Threads of a block of kernels that have a warp for each row.</summary>
    private const int WarpBlock = 128;

    private static int WarpGrid(int rows) => CeilDiv(rows, WarpBlock / WarpSize);

    /// <summary>The smallest power of two that is not less; 1 for 0.</summary>
    private static int PowerOfTwo(int x) => (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(1, x));
}
