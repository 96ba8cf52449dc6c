namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// The matrix product of the Cpu device, after Goto and van de Geijn (2008) and BLIS: K is cut into blocks; for each, panels of B
/// (and of A where that pays) are packed, then tiles of C are handed to the workers. Products that are thin in some direction
/// have loops of their own, see <see cref="GemmThin"/>.
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

    /// <summary>Work that is not worth sharing, in floating-point operations: a few microseconds of one core.</summary>
    private const long SmallItemFlops = 200_000;

    private static readonly WorkerScratch s_pointers = new();
    private static readonly WorkerScratch s_panels = new();

    /// <summary>C = op(A) op(B) + bias. Steps are in elements; the layout is that of <see cref="MatMulGeometry"/>.</summary>
    public static void MatMul(CpuBackend backend, in MatMulGeometry g, float* a, float* b, float* bias, float* c)
    {
        // A kernel of vectors that the machine lacks is correct and slow: it is there for tests.
        if (CpuBackend.VectorBits == 512)
            Run<GemmKernel512, Simd512>(backend, g, a, b, bias, c);
        else if (CpuBackend.VectorBits == 256)
            Run<GemmKernel256, Simd256>(backend, g, a, b, bias, c);
        else
            Run<GemmKernelPortable<Simd128>, Simd128>(backend, g, a, b, bias, c);
    }

    private static void Run<TKernel, V>(CpuBackend backend, MatMulGeometry g, float* a, float* b, float* bias, float* c)
        where TKernel : struct, IGemmKernel where V : struct, ISimd<V>
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
            Workers.For(Parts(g.Batch, perItem), new BatchBody<TKernel, V>(g, perItem, a, b, bias, c));
            return;
        }
        for (int i = 0; i < g.Batch; i++)
        {
            var product = new GemmProduct(g, a + (long)i * g.BatchStrideA, b + (long)i * g.BatchStrideB, bias, c + (long)i * g.M * g.N);
            if (SplitPays(product))
            {
                SplitDepth<TKernel, V>(backend, product);
                continue;
            }
            if (GemmThin.TryMultiply<V>(product))
                continue;
            if (flops < SmallItemFlops)
                Workers.For(1, new SerialBody<TKernel>(product));
            else
                Parallel<TKernel>(backend, product);
        }
    }

    /// <summary>A rectangle of C with one block of K, and its operands.</summary>
    private struct Block
    {
        public GemmProduct P;
        public int DepthBegin, DepthEnd, RowBegin, RowEnd, ColumnBegin, ColumnEnd;
        public GemmOperand A, B;

        public readonly int Depth => DepthEnd - DepthBegin;

        /// <summary>Describes the operands of the rectangle that is set; the buffers have been given.</summary>
        public void Prepare<TKernel>() where TKernel : struct, IGemmKernel
        {
            A.Source = P.A + RowBegin * P.ARow + DepthBegin * P.AStep;
            A.KStep = P.AStep;
            A.LaneStep = P.ARow;
            A.Lanes = RowEnd - RowBegin;
            A.Depth = Depth;
            A.Panels = GemmPanels.OfRows(A.Lanes, TKernel.Rows);
            B.Source = P.B + DepthBegin * P.BStep + ColumnBegin * P.BColumn;
            B.KStep = P.BStep;
            B.LaneStep = P.BColumn;
            B.Lanes = ColumnEnd - ColumnBegin;
            B.Depth = Depth;
            B.Panels = GemmPanels.OfColumns(B.Lanes, TKernel.Lanes);
        }
    }

    /// <summary>The tiles of some rows of a block, given as an operand of their own, and of panels [panelBegin, panelEnd).</summary>
    /// <param name="rowBegin">Where the rows begin in C.</param>
    private static void Tiles<TKernel>(in Block block, in GemmOperand a, int rowBegin, int panelBegin, int panelEnd, int worker)
        where TKernel : struct, IGemmKernel
    {
        ref readonly var p = ref block.P;
        float** pointers = (float**)s_pointers.Get<nint>(worker, a.Lanes + TKernel.Rows);
        SetPointers<TKernel>(a, pointers);
        float* paddedBias = stackalloc float[MaxPanelWidth];
        var strip = new GemmStrip
        {
            RowCount = a.Lanes,
            Segments = 1,
            Depth = block.Depth,
            APointers = pointers,
            AStep = a.Packed != null ? TKernel.Rows : p.AStep,
            CStep = p.N,
            Store = block.DepthBegin > 0 ? GemmStore.Accumulate : GemmStore.Plain,
        };
        if (block.DepthEnd == p.K && p.Bias != null)
            strip.Store |= GemmStore.Bias;
        for (int panel = panelBegin; panel < panelEnd; panel++)
        {
            int start = block.B.Panels.Start(panel), width = block.B.Panels.Width(panel);
            strip.Vectors = block.B.Panels.Vectors(panel);
            strip.ColumnCount = Math.Min(width, block.B.Lanes - start);
            strip.B = block.B.Panel(panel);
            strip.C = p.C + (nint)rowBegin * p.N + block.ColumnBegin + start;
            if ((strip.Store & GemmStore.Bias) != 0)
            {
                strip.Bias = p.Bias + block.ColumnBegin + start;
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

    private static void SetPointers<TKernel>(in GemmOperand a, float** pointers) where TKernel : struct, IGemmKernel
    {
        int row = 0;
        if (a.Packed != null)
        {
            for (int panel = 0; panel < a.Panels.Count; panel++)
            {
                float* packed = a.Panel(panel);
                for (int r = 0; r < TKernel.Rows; r++)
                    pointers[row++] = packed + r;
            }
        }
        else
        {
            for (; row < a.Lanes; row++)
                pointers[row] = a.Source + row * a.LaneStep;
            // The last tile reads a full set of rows; what the repeated one gives is not stored.
            for (; row % TKernel.Rows != 0; row++)
                pointers[row] = pointers[row - 1];
        }
    }

    /// <summary>Where A is read from.</summary>
    private enum PackA
    {
        /// <summary>From its place: row-major and swept a few times only.</summary>
        Never,

        /// <summary>From panels that a worker packs for the rows of its item and keeps in its own cache.</summary>
        PerItem,

        /// <summary>From panels packed beforehand, because several items share the same rows.</summary>
        Shared,
    }

    /// <summary>
    /// Read in place, a row-major A is as fast as packed unless it is swept often: far apart, its rows compete for the same lines
    /// of the cache. Of a transposed one, a tile uses but a part of every cache line.
    /// </summary>
    private static PackA ChoosePackA<TKernel>(in GemmProduct p) where TKernel : struct, IGemmKernel
    {
        if (GemmPanels.OfColumns(p.N, TKernel.Lanes).Count > ItemPanels)
            return p.AStep != 1 || p.N >= 512 ? PackA.Shared : PackA.Never;
        return p.AStep != 1 ? PackA.PerItem : PackA.Never;
    }

    private static int Parts(int extent, int size) => (extent + size - 1) / size;

    private static int RoundUp(int x, int multiple) => Parts(x, multiple) * multiple;
}

/// <summary>One matrix product: where the operands are and how they are strided.</summary>
internal readonly unsafe struct GemmProduct
{
    public readonly int M, N, K;
    public readonly float* A, B, Bias, C;

    /// <summary>Elements from row to row, and from k to k + 1, of op(A).</summary>
    public readonly nint ARow, AStep;

    /// <summary>Elements from k to k + 1, and from column to column, of op(B).</summary>
    public readonly nint BStep, BColumn;

    public GemmProduct(in MatMulGeometry g, float* a, float* b, float* bias, float* c)
    {
        (M, N, K) = (g.M, g.N, g.K);
        A = a;
        B = b;
        Bias = bias;
        C = c;
        (ARow, AStep) = g.TransposeA ? (1, g.M) : (g.K, 1);
        (BStep, BColumn) = g.TransposeB ? (1, g.K) : (g.N, 1);
    }

    private GemmProduct(in GemmProduct p, int begin, int end, float* c)
    {
        this = p;
        K = end - begin;
        A += begin * AStep;
        B += begin * BStep;
        Bias = null;
        C = c;
    }

    /// <summary>The sum over k in [begin, end) alone, without the bias, into another place.</summary>
    public GemmProduct Part(int begin, int end, float* c) => new(this, begin, end, c);
}
