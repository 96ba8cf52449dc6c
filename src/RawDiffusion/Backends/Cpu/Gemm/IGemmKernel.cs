using System.Runtime.Intrinsics;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// A strip of register tiles: the innermost part of every matrix product. One tile is <see cref="Rows"/> rows by one to three
/// vectors of accumulators that stay in registers while k runs.
/// </summary>
internal unsafe interface IGemmKernel
{
    /// <summary>Rows of C in a tile (MR).</summary>
    static abstract int Rows { get; }

    /// <summary>Elements of a vector.</summary>
    static abstract int Lanes { get; }

    /// <summary>Computes all tiles of the strip.</summary>
    static abstract void Run(in GemmStrip strip);
}

/// <summary>What becomes of a finished tile.</summary>
[Flags]
internal enum GemmStore
{
    /// <summary>C = tile.</summary>
    Plain = 0,

    /// <summary>C += tile: a later block of K.</summary>
    Accumulate = 1,

    /// <summary>Adds <see cref="GemmStrip.Bias"/> to every row.</summary>
    Bias = 2,
}

/// <summary>
/// One packed panel of B, <see cref="Vectors"/> vectors wide, against a column of row tiles of A:
/// C[row, 0..ColumnCount) = sum over s &lt; Segments, k &lt; Depth of A[row, s, k] * B[s * Depth + k, column].
/// </summary>
/// <remarks>
/// A is addressed through pointers, Segments groups of MR of them per row tile: element (row r of tile t, s, k) is
/// <c>APointers[(t * Segments + s) * MR + r][k * AStep]</c>. A plain matrix has one segment and a pointer per row (AStep 1, or the
/// row length when A is stored transposed, or MR when it is packed); a convolution has one segment per filter tap, so that A need
/// not be gathered in memory. Steps of 1 and MR are fast. Pointers of rows beyond <see cref="RowCount"/> in the last tile must be
/// readable; what they give is not stored. Every element is summed in the order of s and k with one accumulator.
/// </remarks>
internal unsafe struct GemmStrip
{
    /// <summary>Rows of C, over all tiles.</summary>
    public int RowCount;

    /// <summary>Width of the panel in vectors, 1 to 3.</summary>
    public int Vectors;

    /// <summary>Columns of C that are stored, 1 to the width of the panel.</summary>
    public int ColumnCount;

    public int Segments;

    /// <summary>Multiply-adds per segment.</summary>
    public nint Depth;

    public float** APointers;

    /// <summary>Elements from k to k + 1 in A.</summary>
    public nint AStep;

    /// <summary>The panel: the whole width for k = 0, then for k = 1, and so on; see <see cref="GemmPack"/>.</summary>
    public float* B;

    public float* C;

    /// <summary>Elements from one row of C to the next.</summary>
    public nint CStep;

    /// <summary>As many readable elements as the panel is wide, when <see cref="GemmStore.Bias"/> is set.</summary>
    public float* Bias;

    public GemmStore Store;
}

/// <summary>A number that the JIT knows: a kernel over it is compiled once for each value, without the branches not taken.</summary>
internal interface IConstant
{
    static abstract int Value { get; }
}

internal readonly struct Zero : IConstant
{
    public static int Value => 0;
}

internal readonly struct One : IConstant
{
    public static int Value => 1;
}

internal readonly struct Two : IConstant
{
    public static int Value => 2;
}

internal readonly struct Three : IConstant
{
    public static int Value => 3;
}

internal readonly struct Four : IConstant
{
    public static int Value => 4;
}

internal readonly struct Eight : IConstant
{
    public static int Value => 8;
}

/// <summary>Copies the valid part of a tile at the border of C.</summary>
internal static unsafe class GemmEdge
{
    public static void Store(float* tile, int tileStep, int rows, in GemmStrip strip, float* c)
    {
        bool add = (strip.Store & GemmStore.Accumulate) != 0;
        int columns = strip.ColumnCount;
        for (int r = 0; r < rows; r++, tile += tileStep, c += strip.CStep)
        {
            int j = 0;
            for (; j + 4 <= columns; j += 4)
                Vector128.Store(add ? Vector128.Load(c + j) + Vector128.Load(tile + j) : Vector128.Load(tile + j), c + j);
            for (; j < columns; j++)
                c[j] = add ? c[j] + tile[j] : tile[j];
        }
    }
}
