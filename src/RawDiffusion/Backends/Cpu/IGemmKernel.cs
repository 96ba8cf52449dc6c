namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// A strip of register tiles: the innermost part of every matrix product and of the convolutions. One tile is
/// <see cref="Rows"/> x <see cref="Columns"/> accumulators that stay in vector registers while k runs.
/// </summary>
internal unsafe interface IGemmKernel
{
    /// <summary>Rows of C in a tile (MR).</summary>
    static abstract int Rows { get; }

    /// <summary>Columns of C in a tile (NR), a whole number of vectors: the width of a panel of packed B.</summary>
    static abstract int Columns { get; }

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
/// One panel of B against a column of row tiles of A:
/// C[row, 0..ColumnCount) = sum over s &lt; Segments, k &lt; Depth of A[row, s, k] * B[s * Depth + k, column].
/// </summary>
/// <remarks>
/// A is addressed through pointers, Segments groups of MR of them per row tile: element (row r of tile t, s, k) is
/// <c>APointers[(t * Segments + s) * MR + r][k * AStep]</c>. A plain matrix has one segment and a pointer per row (AStep 1, or the
/// row length when A is stored transposed, or MR when it is packed); a convolution has one segment per filter tap, so that A is
/// never gathered in memory. Pointers of rows beyond <see cref="RowCount"/> in the last tile must be readable; what they give is not stored.
/// </remarks>
internal unsafe struct GemmStrip
{
    /// <summary>Rows of C, over all tiles.</summary>
    public int RowCount;

    /// <summary>Columns of C that are stored, 1 to NR.</summary>
    public int ColumnCount;

    public int Segments;

    /// <summary>Multiply-adds per segment.</summary>
    public nint Depth;

    public float** APointers;

    /// <summary>Elements from k to k + 1 in A.</summary>
    public nint AStep;

    /// <summary>The panel: row k has NR readable elements.</summary>
    public float* B;

    /// <summary>Elements from k to k + 1 in B: NR when packed.</summary>
    public nint BStep;

    public float* C;

    /// <summary>Elements from one row of C to the next.</summary>
    public nint CStep;

    /// <summary>NR readable elements, when <see cref="GemmStore.Bias"/> is set.</summary>
    public float* Bias;

    public GemmStore Store;
}
