namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// The matrix product of the Cpu device, after Goto and van de Geijn (2008) and BLIS: K is cut into blocks; for each, panels of B
/// (and of A where that pays) are packed, then tiles of C are handed to the workers.
/// </summary>
/// <remarks>
/// An element of C is summed in the order of k within a block of K, and block after block. How K is cut depends on K alone, so
/// neither the number of threads nor the way the tiles are shared out changes a bit of the result.
/// </remarks>
internal static unsafe partial class Gemm
{
    /// <summary>The longest block of K: a panel of B, 24 columns, then fits into a first-level cache of 32 KiB.</summary>
    private const int DepthBlock = 256;

    /// <summary>Columns and rows whose packed panels are held at once; with <see cref="DepthBlock"/> they fit a shared cache.</summary>
    private const int OuterBlock = 3072;

    private static readonly WorkerScratch s_pointers = new();
    private static readonly WorkerScratch s_panels = new();

    /// <summary>C = op(A) op(B) + bias. Steps are in elements; the layout is that of <see cref="MatMulGeometry"/>.</summary>
    public static void MatMul(CpuBackend backend, in MatMulGeometry g, float* a, float* b, float* bias, float* c)
    {
        // A kernel of vectors that the machine lacks is correct and slow: it is there for tests.
        if (CpuBackend.VectorBits == 512)
            Run<GemmKernel512>(backend, g, a, b, bias, c);
        else if (CpuBackend.VectorBits == 256)
            Run<GemmKernel256>(backend, g, a, b, bias, c);
        else
            Run<GemmKernelPortable<Simd128>>(backend, g, a, b, bias, c);
    }

    private static void Run<TKernel>(CpuBackend backend, MatMulGeometry g, float* a, float* b, float* bias, float* c)
        where TKernel : struct, IGemmKernel
    {
        if (g.Batch == 0 || g.M == 0 || g.N == 0)
            return;
        // Rows of a batch that share one B are one tall matrix.
        if (g.Batch > 1 && g.BatchStrideB == 0 && !g.TransposeA && g.BatchStrideA == g.M * g.K)
            g = g with { M = g.Batch * g.M, Batch = 1 };
        long flops = 2L * g.M * g.N * g.K;
        if (g.Batch > 1 && (flops < 2_000_000 || g.Batch >= 16 && flops < 16_000_000))
        {
            int perItem = (int)Math.Clamp(SmallItemFlops / Math.Max(flops, 1), 1, g.Batch);
            var body = new BatchBody<TKernel>(g, perItem, a, b, bias, c);
            Workers.For((g.Batch + perItem - 1) / perItem, body);
            return;
        }
        for (int i = 0; i < g.Batch; i++)
        {
            var product = new Product(g, a + (long)i * g.BatchStrideA, b + (long)i * g.BatchStrideB, bias, c + (long)i * g.M * g.N);
            if (flops < SmallItemFlops)
                Workers.For(1, new SerialBody<TKernel>(product));
            else
                Parallel<TKernel>(backend, product);
        }
    }

    /// <summary>Work that is not worth sharing, in floating-point operations: a few microseconds of one core.</summary>
    private const long SmallItemFlops = 200_000;

    /// <summary>One matrix product: where the operands are and how they are strided.</summary>
    internal readonly struct Product(in MatMulGeometry g, float* a, float* b, float* bias, float* c)
    {
        public readonly int M = g.M, N = g.N, K = g.K;
        public readonly float* A = a, B = b, Bias = bias, C = c;

        /// <summary>Elements from row to row, and from k to k + 1, of op(A).</summary>
        public readonly nint ARow = g.TransposeA ? 1 : g.K, AStep = g.TransposeA ? g.M : 1;

        /// <summary>Elements from k to k + 1, and from column to column, of op(B).</summary>
        public readonly nint BStep = g.TransposeB ? 1 : g.N, BColumn = g.TransposeB ? g.K : 1;

        /// <summary>How many blocks K is cut into; of nothing there is one, so that C is written.</summary>
        public int DepthBlocks => Math.Max(1, (K + DepthBlock - 1) / DepthBlock);

        /// <summary>First k of a block; equal parts, so that the last is not a sliver.</summary>
        public int DepthStart(int block) => (int)((long)K * block / DepthBlocks);
    }

    /// <summary>A rectangle of C with one block of K, and the packed operands for it.</summary>
    private struct Block
    {
        public Product P;
        public int DepthBegin, DepthEnd;
        public int RowBegin, RowEnd, ColumnBegin, ColumnEnd;

        /// <summary>The panels of columns [ColumnBegin, ColumnEnd).</summary>
        public GemmPanels Panels;

        /// <summary>Panels of A from RowBegin on, or null: then A is read where it is.</summary>
        public float* PackedA;

        /// <summary>Panels of B from ColumnBegin on.</summary>
        public float* PackedB;

        public readonly int Depth => DepthEnd - DepthBegin;

        public readonly GemmStore Store =>
            (DepthBegin > 0 ? GemmStore.Accumulate : 0) | (DepthEnd == P.K && P.Bias != null ? GemmStore.Bias : 0);
    }

    /// <summary>The tiles of rows [rowBegin, rowEnd), which begin at a tile, and of panels [panelBegin, panelEnd).</summary>
    private static void Tiles<TKernel>(in Block block, int rowBegin, int rowEnd, int panelBegin, int panelEnd, float** pointers)
        where TKernel : struct, IGemmKernel
    {
        ref readonly var p = ref block.P;
        SetPointers<TKernel>(block, rowBegin, rowEnd, pointers);
        float* paddedBias = stackalloc float[MaxPanelWidth];
        var strip = new GemmStrip
        {
            RowCount = rowEnd - rowBegin,
            Segments = 1,
            Depth = block.Depth,
            APointers = pointers,
            AStep = block.PackedA != null ? TKernel.Rows : p.AStep,
            CStep = p.N,
            Store = block.Store,
        };
        for (int panel = panelBegin; panel < panelEnd; panel++)
        {
            int start = block.Panels.Start(panel), column = block.ColumnBegin + start, width = block.Panels.Vectors(panel) * TKernel.Lanes;
            strip.Vectors = block.Panels.Vectors(panel);
            strip.ColumnCount = Math.Min(width, block.ColumnEnd - column);
            strip.B = block.PackedB + (nint)start * block.Depth;
            strip.C = p.C + (nint)rowBegin * p.N + column;
            if ((strip.Store & GemmStore.Bias) != 0)
            {
                strip.Bias = p.Bias + column;
                if (strip.ColumnCount < width)
                {
                    new Span<float>(strip.Bias, strip.ColumnCount).CopyTo(new Span<float>(paddedBias, MaxPanelWidth));
                    strip.Bias = paddedBias;
                }
            }
            TKernel.Run(strip);
        }
    }

    /// <summary>Elements of the widest panel.</summary>
    private const int MaxPanelWidth = 3 * 16;

    private static void SetPointers<TKernel>(in Block block, int rowBegin, int rowEnd, float** pointers) where TKernel : struct, IGemmKernel
    {
        int rows = rowEnd - rowBegin;
        float* a = block.P.A + rowBegin * block.P.ARow + block.DepthBegin * block.P.AStep;
        for (int tile = 0; tile < rows; tile += TKernel.Rows)
        {
            float* panel = block.PackedA + (nint)(rowBegin - block.RowBegin + tile) * block.Depth;
            for (int r = 0; r < TKernel.Rows; r++)
                pointers[tile + r] = block.PackedA != null ? panel + r : a + Math.Min(tile + r, rows - 1) * block.P.ARow;
        }
    }

    private static void PackB<TKernel>(in Block block, int panel) where TKernel : struct, IGemmKernel
    {
        ref readonly var p = ref block.P;
        int start = block.Panels.Start(panel), column = block.ColumnBegin + start, width = block.Panels.Vectors(panel) * TKernel.Lanes;
        GemmPack.Panel(
            p.B + block.DepthBegin * p.BStep + column * p.BColumn, p.BStep, p.BColumn, block.Depth,
            Math.Min(width, block.ColumnEnd - column), width, block.PackedB + (nint)start * block.Depth);
    }

    private static void PackA<TKernel>(in Block block, int panel) where TKernel : struct, IGemmKernel
    {
        ref readonly var p = ref block.P;
        int row = block.RowBegin + panel * TKernel.Rows;
        GemmPack.Panel(
            p.A + row * p.ARow + block.DepthBegin * p.AStep, p.AStep, p.ARow, block.Depth,
            Math.Min(TKernel.Rows, block.RowEnd - row), TKernel.Rows,
            block.PackedA + (nint)panel * TKernel.Rows * block.Depth);
    }

    /// <summary>
    /// Whether A is packed. Read in place, a row-major A is as fast unless its rows lie so far apart that they compete for the
    /// same cache lines or it is swept often; a transposed one wastes most of every cache line.
    /// </summary>
    private static bool PaysToPackA(in Product p) => p.N > 64 && (p.AStep != 1 || p.N >= 512);

    private static int RoundUp(int x, int multiple) => (x + multiple - 1) / multiple * multiple;
}
