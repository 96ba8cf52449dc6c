namespace RawDiffusion.Backends.Cuda.Ladders;

/// <summary>
/// The kernels of a matrix product that make C in tiles of one size, one for each layout: how they are launched, and into how many parts
/// the summed index is split where there are few tiles.
/// </summary>
internal sealed class MatMulTile
{
    /// <summary>
    /// Blocks that keep a large GPU busy: two on each of about 128 multiprocessors. The same for every device, so that the sums are too.
    /// </summary>
    private const int EnoughBlocks = 256;

    /// <summary>Indices that a part sums at least: with fewer, writing and adding the parts would cost more than making them.</summary>
    private const int LeastDepth = 256;

    /// <summary>The depth of every kernel's tiles divides it.</summary>
    private const int DepthMultiple = 32;

    private readonly KernelSlot[] _slots;

    /// <param name="name">The kernels' name without the type; <c>*</c> stands for the layout, nn, nt, tn or tt. Without one: plain layouts only.</param>
    /// <param name="splits">Whether the kernels can sum a part of the index.</param>
    public MatMulTile(string file, string name, int rows, int columns, int threads, int sharedBytes = 0, bool splits = true)
    {
        (Rows, Columns, Threads, SharedBytes, Splits) = (rows, columns, threads, sharedBytes, splits);
        string[] layouts = name.Contains('*') ? ["nn", "nt", "tn", "tt"] : ["nn"];
        _slots = Array.ConvertAll(layouts, layout => new KernelSlot(file, name.Replace("*", layout)));
    }

    public int Rows { get; }

    public int Columns { get; }

    public int Threads { get; }

    /// <summary>Dynamic shared memory.</summary>
    public int SharedBytes { get; }

    public bool Splits { get; }

    /// <summary>Whether a transposed operand is for these kernels too.</summary>
    public bool TakesTransposes => _slots.Length > 1;

    /// <summary>The kernel for a layout.</summary>
    public KernelSlot this[bool transposeA, bool transposeB] => _slots[(transposeA ? 2 : 0) + (transposeB ? 1 : 0)];

    public long Blocks(in MatMulGeometry g) => g.Batch * (((long)g.M + Rows - 1) / Rows) * (((long)g.N + Columns - 1) / Columns);

    /// <summary>The number of parts and the depth of each; from the shape alone.</summary>
    public (int Parts, int Depth) Split(in MatMulGeometry g)
    {
        long parts = Splits ? Math.Min(g.K / LeastDepth, (EnoughBlocks + Blocks(g) - 1) / Math.Max(1, Blocks(g))) : 1;
        if (parts <= 1)
            return (1, g.K);
        int depth = (int)((g.K / parts + DepthMultiple - 1) / DepthMultiple * DepthMultiple);
        return ((g.K + depth - 1) / depth, depth);
    }

    /// <summary>
    /// Of tiles from the largest to the smallest, which move fewer bytes the larger they are, the first that makes blocks enough, whole or
    /// else split; the last where none does. One that would be half empty is passed over.
    /// </summary>
    public static MatMulTile For(in MatMulGeometry g, ReadOnlySpan<MatMulTile> tiles)
    {
        foreach (var tile in tiles)
        {
            if (!tile.IsHalfEmpty(g) && tile.Blocks(g) >= EnoughBlocks / 2)
                return tile;
        }
        foreach (var tile in tiles)
        {
            if (!tile.IsHalfEmpty(g) && tile.Blocks(g) * tile.Split(g).Parts >= EnoughBlocks / 2)
                return tile;
        }
        return tiles[^1];
    }

    private bool IsHalfEmpty(in MatMulGeometry g) => 2 * g.M <= Rows || 2 * g.N <= Columns;
}
