namespace RawDiffusion.Backends.Cpu;

/// <summary>How the tiles of one product, or of a batch of small ones, are shared out.</summary>
internal static unsafe partial class Gemm
{
    /// <summary>The most panels of B that an item computes.</summary>
    private const int ItemPanels = 12;

    /// <summary>Elements that one item of packing moves: a microsecond or two.</summary>
    private const int PackGrain = 8 * 1024;

    private static int DepthBlocks(int k) => Math.Max(1, Parts(k, DepthBlock));

    /// <summary>First k of a block; equal parts, so that the last is not a sliver.</summary>
    private static int DepthStart(int k, int block) => (int)((long)k * block / DepthBlocks(k));

    private static void Parallel<TKernel>(CpuBackend backend, in GemmProduct p) where TKernel : struct, IGemmKernel
    {
        var packA = ChoosePackA<TKernel>(p);
        int columnBlock = Math.Min(p.N, OuterBlock), rowBlock = packA == PackA.Shared ? Math.Min(p.M, OuterBlock) : p.M;
        var bufferB = backend.Allocate(DType.Float32, (int)PackedColumns<TKernel>(p, columnBlock));
        var bufferA = packA == PackA.Shared ? backend.Allocate(DType.Float32, (int)PackedRows<TKernel>(p, rowBlock)) : null;
        var block = new Block { P = p };
        block.B.Packed = ((CpuStorage)bufferB).Floats;
        block.A.Packed = bufferA is null ? null : ((CpuStorage)bufferA).Floats;
        for (block.ColumnBegin = 0; block.ColumnBegin < p.N; block.ColumnBegin = block.ColumnEnd)
        {
            block.ColumnEnd = Math.Min(p.N, block.ColumnBegin + columnBlock);
            for (int d = 0; d < DepthBlocks(p.K); d++)
            {
                block.DepthBegin = DepthStart(p.K, d);
                block.DepthEnd = DepthStart(p.K, d + 1);
                for (block.RowBegin = 0; block.RowBegin < p.M; block.RowBegin = block.RowEnd)
                {
                    block.RowEnd = (int)Math.Min(p.M, (long)block.RowBegin + rowBlock);
                    block.Prepare<TKernel>();
                    var pack = new PackBody(block, packB: block.RowBegin == 0, packA == PackA.Shared, out int items);
                    Workers.For(items, pack);
                    var tiles = new TilesBody<TKernel>(block, packA, out items);
                    Workers.For(items, tiles);
                }
            }
        }
        backend.Release(bufferB);
        if (bufferA is not null)
            backend.Release(bufferA);
    }

    private static nint PackedColumns<TKernel>(in GemmProduct p, int columns) where TKernel : struct, IGemmKernel =>
        GemmOperand.PackedLength(GemmPanels.OfColumns(columns, TKernel.Lanes), Math.Min(p.K, DepthBlock));

    private static nint PackedRows<TKernel>(in GemmProduct p, int rows) where TKernel : struct, IGemmKernel =>
        GemmOperand.PackedLength(GemmPanels.OfRows(rows, TKernel.Rows), Math.Min(p.K, DepthBlock));

    /// <summary>A whole product on one worker, with the worker's own buffers.</summary>
    private static void Serial<TKernel>(in GemmProduct p, int worker) where TKernel : struct, IGemmKernel
    {
        bool packA = ChoosePackA<TKernel>(p) != PackA.Never;
        int columnBlock = Math.Min(p.N, OuterBlock / 4);
        nint packedColumns = PackedColumns<TKernel>(p, columnBlock);
        float* panels = s_panels.Get<float>(worker, packedColumns + (packA ? PackedRows<TKernel>(p, p.M) : 0));
        var block = new Block { P = p, RowEnd = p.M };
        block.B.Packed = panels;
        block.A.Packed = packA ? panels + packedColumns : null;
        for (block.ColumnBegin = 0; block.ColumnBegin < p.N; block.ColumnBegin = block.ColumnEnd)
        {
            block.ColumnEnd = Math.Min(p.N, block.ColumnBegin + columnBlock);
            for (int d = 0; d < DepthBlocks(p.K); d++)
            {
                block.DepthBegin = DepthStart(p.K, d);
                block.DepthEnd = DepthStart(p.K, d + 1);
                block.Prepare<TKernel>();
                block.B.Pack(0, block.B.Panels.Count, 0, block.Depth);
                if (packA)
                    block.A.Pack(0, block.A.Panels.Count, 0, block.Depth);
                Tiles<TKernel>(block, block.A, 0, 0, block.B.Panels.Count, worker);
            }
        }
    }

    /// <summary>Packs the panels of B, then of A, some panels for some values of k to an item.</summary>
    private readonly struct PackBody : IParallelBody
    {
        private readonly Packing _b, _a;

        public PackBody(in Block block, bool packB, bool packA, out int items)
        {
            _b = packB ? new Packing(block.B) : default;
            _a = packA ? new Packing(block.A) : default;
            items = _b.Items + _a.Items;
        }

        public void Run(int index, int worker)
        {
            if (index < _b.Items)
                _b.Run(index);
            else
                _a.Run(index - _b.Items);
        }
    }

    private readonly struct Packing
    {
        private readonly GemmOperand _operand;
        private readonly int _panels, _depth, _across;

        public Packing(in GemmOperand operand)
        {
            _operand = operand;
            int width = operand.Panels.Width(0);
            // Rows of the source are read several panels wide; columns as long as they are.
            _depth = operand.LaneStep == 1 ? Math.Min(operand.Depth, 32) : operand.Depth;
            _depth = Math.Max(1, _depth);
            _panels = Math.Max(1, PackGrain / (width * _depth));
            _across = Parts(operand.Panels.Count, _panels);
            Items = _across * Parts(operand.Depth, _depth);
        }

        public int Items { get; }

        public void Run(int index)
        {
            int panel = index % _across * _panels, k = index / _across * _depth;
            _operand.Pack(panel, Math.Min(_operand.Panels.Count, panel + _panels), k, Math.Min(_operand.Depth, k + _depth));
        }
    }

    /// <summary>Computes rectangles of C, small enough that the last ones to finish do not keep the other workers waiting long.</summary>
    private readonly struct TilesBody<TKernel> : IParallelBody where TKernel : struct, IGemmKernel
    {
        private readonly Block _block;
        private readonly PackA _packA;
        private readonly int _rows, _panels, _across;

        public TilesBody(in Block block, PackA packA, out int items)
        {
            _block = block;
            _packA = packA;
            int m = block.A.Lanes, n = block.B.Lanes, panels = block.B.Panels.Count;
            _rows = Math.Min(RoundUp(m, TKernel.Rows), 96);
            _panels = Math.Min(panels, ItemPanels);
            // Enough items for many workers, but none so small that handing it out shows. Rows first: every row of a narrow
            // item is read again for the next few panels.
            while (Parts(m, _rows) * Parts(panels, _panels) < 16)
            {
                long flops = 2L * _rows * Math.Min(n, _panels * 3 * TKernel.Lanes) * block.Depth;
                if (flops < 2 * SmallItemFlops || _rows == TKernel.Rows && (_panels == 1 || packA == PackA.PerItem))
                    break;
                if (_rows > 4 * TKernel.Rows || _panels == 1 || packA == PackA.PerItem)
                    _rows = RoundUp(_rows / 2, TKernel.Rows);
                else
                    _panels = (_panels + 1) / 2;
            }
            _across = Parts(panels, _panels);
            items = Parts(m, _rows) * _across;
        }

        public void Run(int index, int worker)
        {
            int row = index / _across * _rows, panel = index % _across * _panels;
            var a = _block.A;
            a.Lanes = Math.Min(_rows, a.Lanes - row);
            a.Panels = GemmPanels.OfRows(a.Lanes, TKernel.Rows);
            a.Source += row * a.LaneStep;
            if (_packA == PackA.Shared)
                a.Packed = _block.A.Panel(row / TKernel.Rows);
            if (_packA == PackA.PerItem)
            {
                a.Packed = s_panels.Get<float>(worker, GemmOperand.PackedLength(a.Panels, a.Depth));
                a.Pack(0, a.Panels.Count, 0, a.Depth);
            }
            Tiles<TKernel>(_block, a, _block.RowBegin + row, panel, Math.Min(_block.B.Panels.Count, panel + _panels), worker);
        }
    }

    // A long sum of few elements has no tiles to share out. K is then cut into parts, as many as the shape says; each part is a
    // product of its own, and the parts are added in their order.

    private const int SplitOutputs = 8192, SplitLength = 1024, MaxSplits = 32;

    private static bool SplitPays(in GemmProduct p) => p.K >= 2 * SplitLength && (long)p.M * p.N <= SplitOutputs;

    private static void SplitDepth<TKernel, V>(CpuBackend backend, in GemmProduct p) where TKernel : struct, IGemmKernel where V : struct, ISimd<V>
    {
        int parts = Math.Min(Parts(p.K, SplitLength), MaxSplits), outputs = p.M * p.N;
        var buffer = backend.Allocate(DType.Float32, parts * outputs);
        float* sums = ((CpuStorage)buffer).Floats;
        Workers.For(parts, new SplitBody<TKernel, V>(p, parts, sums));
        Workers.ForRange(outputs, 512, new SumBody(p, parts, sums));
        backend.Release(buffer);
    }

    private readonly struct SplitBody<TKernel, V>(GemmProduct p, int parts, float* sums) : IParallelBody
        where TKernel : struct, IGemmKernel where V : struct, ISimd<V>
    {
        public void Run(int index, int worker)
        {
            int begin = (int)((long)p.K * index / parts), end = (int)((long)p.K * (index + 1) / parts);
            var part = p.Part(begin, end, sums + (nint)index * p.M * p.N);
            if (!GemmThin.TryMultiply<V>(part))
                Serial<TKernel>(part, worker);
        }
    }

    private readonly struct SumBody(GemmProduct p, int parts, float* sums) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            nint outputs = (nint)p.M * p.N;
            for (int i = start; i < end; i++)
            {
                float sum = sums[i];
                for (int part = 1; part < parts; part++)
                    sum += sums[part * outputs + i];
                p.C[i] = p.Bias != null ? sum + p.Bias[i % p.N] : sum;
            }
        }
    }

    /// <summary>A few whole products of a batch.</summary>
    private readonly struct BatchBody<TKernel, V>(MatMulGeometry g, int perItem, float* a, float* b, float* bias, float* c) : IParallelBody
        where TKernel : struct, IGemmKernel where V : struct, ISimd<V>
    {
        public void Run(int index, int worker)
        {
            int end = Math.Min(g.Batch, (index + 1) * perItem);
            for (int i = index * perItem; i < end; i++)
            {
                var product = new GemmProduct(g, a + (long)i * g.BatchStrideA, b + (long)i * g.BatchStrideB, bias, c + (long)i * g.M * g.N);
                if (!GemmThin.TryMultiply<V>(product))
                    Serial<TKernel>(product, worker);
            }
        }
    }

    /// <summary>One small product, through <see cref="Workers"/> so that it has a worker's buffers for itself.</summary>
    private readonly struct SerialBody<TKernel>(in GemmProduct p) : IParallelBody where TKernel : struct, IGemmKernel
    {
        private readonly GemmProduct _p = p;

        public void Run(int index, int worker) => Serial<TKernel>(_p, worker);
    }
}
