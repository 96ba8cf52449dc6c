namespace RawDiffusion.Backends.Cuda.Ladders;

/// <summary>
/// The kernels of a matrix product that make C in tiles of one size, one for each layout: how they are launched, and into how many parts
/// the summed index is split where there are few tiles.
/// </summary>
/// <remarks>
/// Tiles and parts are chosen by an estimate of the cycles that a product takes on an H100, whatever the device is, so that the sums are
/// the same everywhere. The estimate knows how many blocks a multiprocessor gets and holds, what rate they reach, and what a second pass
/// costs; its numbers are worked out from the kernels and from published bandwidths, not measured.
/// </remarks>
internal sealed class MatMulTile
{
    private const int Multiprocessors = 132;

    /// <summary>Indices that a part sums at least: with fewer, filling the stages would cost as much as multiplying them.</summary>
    private const int LeastDepth = 256;

    /// <summary>The depth of every kernel's tiles divides it.</summary>
    private const int DepthMultiple = 32;

    /// <summary>Cycles from a block's start to its first product, and from its last to its end.</summary>
    private const double Latency = 1500;

    /// <summary>Cycles until the kernel that adds parts is at work, and bytes of parts that are written or read in one: about 3.4 TB/s.</summary>
    private const double SecondPass = 4000, BytesPerCycle = 2000;

    private readonly KernelSlot[] _slots;
    private readonly int _resident;
    private readonly double _rate;

    /// <param name="name">The kernels' name without the type; <c>*</c> stands for the layout, nn, nt, tn or tt. Without one: plain layouts only.</param>
    /// <param name="resident">Blocks that run on a multiprocessor at a time.</param>
    /// <param name="rate">Multiply-adds that a multiprocessor with so many blocks makes in a cycle.</param>
    /// <param name="splits">Whether the kernels can sum a part of the index.</param>
    public MatMulTile(string file, string name, int rows, int columns, int threads, int sharedBytes = 0, int resident = 1, double rate = 1, bool splits = true)
    {
        (Rows, Columns, Threads, SharedBytes, Splits, _resident, _rate) = (rows, columns, threads, sharedBytes, splits, resident, rate);
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
        var (parts, depth, _) = Plan(g);
        return (parts, depth);
    }

    /// <summary>The tile that takes the fewest cycles by the estimate. Those that would be half empty are passed over, but for the last.</summary>
    public static MatMulTile For(in MatMulGeometry g, ReadOnlySpan<MatMulTile> tiles)
    {
        var best = tiles[^1];
        double least = best.Plan(g).Cycles;
        foreach (var tile in tiles[..^1])
        {
            if (tile.IsHalfEmpty(g) || tile.Plan(g).Cycles is var cycles && cycles >= least)
                continue;
            (best, least) = (tile, cycles);
        }
        return best;
    }

    /// <summary>One part, or as many as give every multiprocessor one block, two, or all that it holds.</summary>
    private (int Parts, int Depth, double Cycles) Plan(in MatMulGeometry g)
    {
        var best = (Parts: 1, Depth: g.K, Cycles: Cycles(g, 1, g.K));
        long blocks = Math.Max(1, Blocks(g));
        for (int each = 1; each <= _resident && Splits; each++)
        {
            long most = Math.Min(g.K / LeastDepth, (long)each * Multiprocessors / blocks);
            if (most <= 1)
                continue;
            int depth = (int)(((g.K + most - 1) / most + DepthMultiple - 1) / DepthMultiple * DepthMultiple);
            int parts = (int)(((long)g.K + depth - 1) / depth);
            double cycles = Cycles(g, parts, depth);
            if (cycles < best.Cycles)
                best = (parts, depth, cycles);
        }
        return best;
    }

    private double Cycles(in MatMulGeometry g, int parts, int depth)
    {
        double block = (double)Rows * Columns * depth / _rate;
        var (rounds, rest) = Math.DivRem((Blocks(g) * parts + Multiprocessors - 1) / Multiprocessors, _resident);
        double cycles = rounds * (_resident * block + Latency);
        // Fewer blocks than there is room for do not hide all of their waiting: of R, b reach 2 b / (b + R) of the rate.
        if (rest > 0)
            cycles += (rest + _resident) * block / 2 + Latency;
        if (parts > 1)
            cycles += SecondPass + 2.0 * sizeof(float) * parts * g.Batch * g.M * g.N / BytesPerCycle;
        return cycles;
    }

    private bool IsHalfEmpty(in MatMulGeometry g) => 2L * g.M <= Rows || 2L * g.N <= Columns;
}
