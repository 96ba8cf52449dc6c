namespace RawDiffusion.Backends.Cpu;

/// <summary>How the tiles of one product, or of a batch of small ones, are shared out.</summary>
internal static unsafe partial class Gemm
{
    /// <summary>Floats that one item of packing moves: a few microseconds.</summary>
    private const int PackGrain = 16 * 1024;

    private static void Parallel<TKernel>(CpuBackend backend, in Product p) where TKernel : struct, IGemmKernel
    {
        bool packA = PaysToPackA(p);
        int columnBlock = Math.Min(RoundUp(p.N, TKernel.Lanes), OuterBlock);
        int rowBlock = packA ? Math.Min(RoundUp(p.M, TKernel.Rows), RoundUp(OuterBlock, TKernel.Rows)) : RoundUp(p.M, TKernel.Rows);
        int depth = Math.Min(p.K, DepthBlock);
        var bufferB = backend.Allocate(DType.Float32, columnBlock * depth);
        var bufferA = packA ? backend.Allocate(DType.Float32, rowBlock * depth) : null;
        var block = new Block
        {
            P = p,
            PackedA = packA ? ((CpuStorage)bufferA!).Floats : null,
            PackedB = ((CpuStorage)bufferB).Floats,
        };
        for (block.ColumnBegin = 0; block.ColumnBegin < p.N; block.ColumnBegin = block.ColumnEnd)
        {
            block.ColumnEnd = Math.Min(p.N, block.ColumnBegin + columnBlock);
            block.Panels = new GemmPanels(block.ColumnEnd - block.ColumnBegin, TKernel.Lanes);
            for (int d = 0; d < p.DepthBlocks; d++)
            {
                block.DepthBegin = p.DepthStart(d);
                block.DepthEnd = p.DepthStart(d + 1);
                for (block.RowBegin = 0; block.RowBegin < p.M; block.RowBegin = block.RowEnd)
                {
                    block.RowEnd = (int)Math.Min(p.M, (long)block.RowBegin + rowBlock);
                    int panelsB = block.RowBegin == 0 ? block.Panels.Count : 0;
                    int panelsA = packA ? Parts(block.RowEnd - block.RowBegin, TKernel.Rows) : 0;
                    var pack = new PackBody<TKernel>(block, panelsB, panelsA, out int items);
                    Workers.For(items, pack);
                    var tiles = new TilesBody<TKernel>(block, out items);
                    Workers.For(items, tiles);
                }
            }
        }
        backend.Release(bufferB);
        if (bufferA is not null)
            backend.Release(bufferA);
    }

    private static int Parts(int extent, int width) => (extent + width - 1) / width;

    /// <summary>A whole product on one worker, with the worker's own buffers.</summary>
    private static void Serial<TKernel>(in Product p, int worker) where TKernel : struct, IGemmKernel
    {
        bool packA = PaysToPackA(p);
        int depth = Math.Min(p.K, DepthBlock), rows = RoundUp(p.M, TKernel.Rows);
        int columnBlock = Math.Min(RoundUp(p.N, TKernel.Lanes), OuterBlock / 4);
        float* panels = s_panels.Get<float>(worker, (nint)depth * (columnBlock + (packA ? rows : 0)));
        float** pointers = (float**)s_pointers.Get<nint>(worker, rows);
        var block = new Block { P = p, RowEnd = p.M, PackedB = panels, PackedA = packA ? panels + (nint)depth * columnBlock : null };
        for (block.ColumnBegin = 0; block.ColumnBegin < p.N; block.ColumnBegin = block.ColumnEnd)
        {
            block.ColumnEnd = Math.Min(p.N, block.ColumnBegin + columnBlock);
            block.Panels = new GemmPanels(block.ColumnEnd - block.ColumnBegin, TKernel.Lanes);
            for (int d = 0; d < p.DepthBlocks; d++)
            {
                block.DepthBegin = p.DepthStart(d);
                block.DepthEnd = p.DepthStart(d + 1);
                for (int i = 0; i < block.Panels.Count; i++)
                    PackB<TKernel>(block, i);
                for (int i = 0; packA && i < Parts(p.M, TKernel.Rows); i++)
                    PackA<TKernel>(block, i);
                Tiles<TKernel>(block, 0, p.M, 0, block.Panels.Count, pointers);
            }
        }
    }

    /// <summary>Packs panels of B, then of A; several to an item.</summary>
    private readonly struct PackBody<TKernel> : IParallelBody where TKernel : struct, IGemmKernel
    {
        private readonly Block _block;
        private readonly int _panelsB, _panelsA, _perItemB, _perItemA, _itemsB;

        public PackBody(in Block block, int panelsB, int panelsA, out int items)
        {
            _block = block;
            _panelsB = panelsB;
            _panelsA = panelsA;
            _perItemB = Math.Max(1, PackGrain / (3 * TKernel.Lanes * Math.Max(1, block.Depth)));
            _perItemA = Math.Max(1, PackGrain / (TKernel.Rows * Math.Max(1, block.Depth)));
            _itemsB = Parts(panelsB, _perItemB);
            items = _itemsB + Parts(panelsA, _perItemA);
        }

        public void Run(int index, int worker)
        {
            if (index < _itemsB)
            {
                int end = Math.Min(_panelsB, (index + 1) * _perItemB);
                for (int i = index * _perItemB; i < end; i++)
                    PackB<TKernel>(_block, i);
            }
            else
            {
                index -= _itemsB;
                int end = Math.Min(_panelsA, (index + 1) * _perItemA);
                for (int i = index * _perItemA; i < end; i++)
                    PackA<TKernel>(_block, i);
            }
        }
    }

    /// <summary>Computes rectangles of C, small enough that the last ones to finish do not keep the other workers waiting long.</summary>
    private readonly struct TilesBody<TKernel> : IParallelBody where TKernel : struct, IGemmKernel
    {
        private readonly Block _block;
        private readonly int _rows, _panels, _across;

        public TilesBody(in Block block, out int items)
        {
            _block = block;
            int m = block.RowEnd - block.RowBegin, n = block.ColumnEnd - block.ColumnBegin;
            _rows = Math.Min(RoundUp(m, TKernel.Rows), 96);
            _panels = Math.Min(block.Panels.Count, 12);
            // Enough items for many workers, but none so small that handing it out shows. Rows first: every row of a narrow
            // item is read again for the next few panels.
            while (Parts(m, _rows) * Parts(block.Panels.Count, _panels) < 16)
            {
                long flops = 2L * _rows * Math.Min(n, _panels * 3 * TKernel.Lanes) * block.Depth;
                if (flops < 2 * SmallItemFlops)
                    break;
                if (_rows > 4 * TKernel.Rows || _panels == 1)
                    _rows = RoundUp(_rows / 2, TKernel.Rows);
                else
                    _panels = (_panels + 1) / 2;
                if (_rows == TKernel.Rows && _panels == 1)
                    break;
            }
            _across = Parts(block.Panels.Count, _panels);
            items = Parts(m, _rows) * _across;
        }

        public void Run(int index, int worker)
        {
            int row = _block.RowBegin + index / _across * _rows, panel = index % _across * _panels;
            float** pointers = (float**)s_pointers.Get<nint>(worker, _rows);
            Tiles<TKernel>(
                _block, row, Math.Min(_block.RowEnd, row + _rows), panel, Math.Min(_block.Panels.Count, panel + _panels), pointers);
        }
    }

    /// <summary>A few whole products of a batch.</summary>
    private readonly struct BatchBody<TKernel>(MatMulGeometry g, int perItem, float* a, float* b, float* bias, float* c) : IParallelBody
        where TKernel : struct, IGemmKernel
    {
        public void Run(int index, int worker)
        {
            int end = Math.Min(g.Batch, (index + 1) * perItem);
            for (int i = index * perItem; i < end; i++)
            {
                Serial<TKernel>(
                    new Product(g, a + (long)i * g.BatchStrideA, b + (long)i * g.BatchStrideB, bias, c + (long)i * g.M * g.N), worker);
            }
        }
    }

    /// <summary>One small product, through <see cref="Workers"/> so that it has a worker's buffers for itself.</summary>
    private readonly struct SerialBody<TKernel>(in Product p) : IParallelBody where TKernel : struct, IGemmKernel
    {
        private readonly Product _p = p;

        public void Run(int index, int worker) => Serial<TKernel>(_p, worker);
    }
}
