using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// The weight gradient of a 3 x 3 convolution by <see cref="Winograd"/>. An item of work is a chunk of the tiles for a block of
/// output channels. It takes some tiles at a time: transformed images [36 points][panel of input channels][tiles][panel] and
/// transformed gy [points][tiles][outputs] are multiplied, for each point, into sums [points][outputs][inputs] that stay in the
/// second-level cache of the core. The last transformation is made of the sums of a chunk; chunks are added in their order.
/// </summary>
internal readonly unsafe struct WinogradGradWeight<TKernel, V> where TKernel : struct, IGemmKernel where V : struct, ISimd<V>
{
    /// <summary>Tiles whose products are added to the sums at once: the sums are read and written once for that many.</summary>
    private const int TilesPerStep = 32;

    /// <summary>
    /// Floats that the sums of an item take at most. More than the second-level cache holds costs less than transforming all
    /// images again for every block of output channels.
    /// </summary>
    private const int MaxSums = 400_000;

    private const int MaxChunks = 16;

    /// <summary>So that transforming and adding the sums of a chunk stays small beside its products, if that leaves a few chunks.</summary>
    private const int MinStepsPerChunk = 4;

    private static readonly WorkerScratch s_scratch = new();

    private readonly Conv2dGeometry _g;
    private readonly Layout _l;
    private readonly WinogradImages<V> _images;
    private readonly float* _gy, _zeros, _parts;

    private WinogradGradWeight(in Conv2dGeometry g, in Layout layout, float* x, float* gy, float* zeros, float* parts)
    {
        _g = g;
        _l = layout;
        _images = new WinogradImages<V>(ConvPlan.Forward(g), x, zeros);
        _gy = gy;
        _zeros = zeros;
        _parts = parts;
    }

    public static void Run(CpuBackend backend, in Conv2dGeometry g, float* x, float* gy, float* gw)
    {
        var layout = new Layout(g);
        int weights = g.OutChannels * 9 * g.InChannels;
        var shared = (CpuStorage)backend.Allocate(DType.Float32, checked(layout.Zeros + (layout.Chunks > 1 ? layout.Chunks * weights : 0)));
        new Span<float>(shared.Floats, layout.Zeros).Clear();
        float* parts = layout.Chunks > 1 ? shared.Floats + layout.Zeros : gw;
        Workers.For(layout.Chunks * layout.Blocks, new ItemBody(new WinogradGradWeight<TKernel, V>(g, layout, x, gy, shared.Floats, parts)));
        if (layout.Chunks > 1)
            OrderedSum.Rows(parts, weights, layout.Chunks, weights, gw);
        backend.Release(shared);
    }

    private readonly struct ItemBody(WinogradGradWeight<TKernel, V> work) : IParallelBody
    {
        public void Run(int index, int worker) => work.Item(index / work._l.Blocks, index % work._l.Blocks, worker);
    }

    /// <summary>Sizes that follow from the geometry alone, never from the number of threads.</summary>
    private readonly struct Layout
    {
        public readonly GemmPanels Panels;
        public readonly int Inputs, BlockOutputs, Blocks, TilesPerChunk, Chunks, Zeros;
        public readonly nint ImageStep, GradStep, SumStep;

        public Layout(in Conv2dGeometry g)
        {
            int tiles = g.Batch * Winograd.TilesAlong(g.OutHeight) * Winograd.TilesAlong(g.OutWidth);
            Panels = GemmPanels.OfColumns(g.InChannels, TKernel.Lanes);
            Inputs = Panels.Start(Panels.Count);
            int most = Math.Max(V.Count, MaxSums / (Winograd.Points * Inputs) / V.Count * V.Count);
            Blocks = (g.OutChannels + most - 1) / most;
            BlockOutputs = Math.Min(g.OutChannels, ((g.OutChannels + Blocks - 1) / Blocks + V.Count - 1) / V.Count * V.Count);
            int steps = (tiles + TilesPerStep - 1) / TilesPerStep;
            int chunks = Math.Clamp(steps / MinStepsPerChunk, Math.Clamp(steps, 1, 4), MaxChunks);
            TilesPerChunk = (steps + chunks - 1) / chunks * TilesPerStep;
            Chunks = Math.Max(1, (tiles + TilesPerChunk - 1) / TilesPerChunk);
            Zeros = Math.Max(Winograd.In * g.InChannels, Winograd.Out * g.OutChannels);
            ImageStep = Winograd.Apart((nint)TilesPerStep * Inputs);
            GradStep = Winograd.Apart((nint)TilesPerStep * BlockOutputs);
            SumStep = Winograd.Apart((nint)BlockOutputs * Inputs);
        }
    }

    /// <summary>One chunk of tiles for one block of output channels. The last block may overlap the one before, with the same result.</summary>
    private void Item(int chunk, int block, int worker)
    {
        int firstOutput = Math.Min(block * _l.BlockOutputs, _g.OutChannels - _l.BlockOutputs);
        int end = Math.Min(_images.Count, (chunk + 1) * _l.TilesPerChunk);
        nint pointers = (nint)(_l.BlockOutputs + TKernel.Rows) * (sizeof(float*) / sizeof(float));
        float* images = s_scratch.Get<float>(worker, Winograd.Points * (_l.ImageStep + _l.GradStep + _l.SumStep) + pointers);
        float* grads = images + Winograd.Points * _l.ImageStep;
        float* sums = grads + Winograd.Points * _l.GradStep;
        float** rows = (float**)(sums + Winograd.Points * _l.SumStep);
        for (int tile = chunk * _l.TilesPerChunk; tile < end; tile += TilesPerStep)
        {
            int count = Math.Min(TilesPerStep, end - tile);
            for (int i = 0; i < count; i++)
            {
                TransformImage(tile + i, i, images);
                TransformGrad(tile + i, firstOutput, grads + (nint)i * _l.BlockOutputs);
            }
            var store = tile == chunk * _l.TilesPerChunk ? GemmStore.Plain : GemmStore.Accumulate;
            Multiply(count, store, images, grads, sums, rows, _images.NewPixels(tile + count, TilesPerStep), NewGradients(tile + count));
        }
        float* part = _parts + ((nint)chunk * _g.OutChannels + firstOutput) * 9 * _g.InChannels;
        for (int o = 0; o < _l.BlockOutputs; o++)
        {
            for (int c = 0; c < _g.InChannels; c += V.Count)
            {
                int channel = Math.Min(c, _g.InChannels - V.Count);
                WinogradTiles<V>.GradWeight(sums + (nint)o * _l.Inputs + channel, _l.SumStep, part + (nint)o * 9 * _g.InChannels + channel, _g.InChannels);
            }
        }
    }

    private void TransformImage(int tile, int place, float* images)
    {
        for (int panel = 0; panel < _l.Panels.Count; panel++)
        {
            int first = _l.Panels.Start(panel), width = _l.Panels.Width(panel);
            _images.Transform(
                tile, first, Math.Min(width, _g.InChannels - first), images + (nint)first * TilesPerStep + place * width, _l.ImageStep);
        }
    }

    /// <summary>A gy A^T of a block of output channels of a tile.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void TransformGrad(int tile, int firstOutput, float* to)
    {
        var (image, row, column) = _images.At(tile);
        float* first = _gy + (((nint)image * _g.OutHeight + row) * _g.OutWidth + column) * _g.OutChannels;
        var rows = stackalloc float*[Winograd.Out];
        for (int i = 0; i < Winograd.Out; i++)
            rows[i] = (row + i < _g.OutHeight ? first + (nint)i * _g.OutWidth * _g.OutChannels : _zeros) + firstOutput;
        for (int c = 0; c < _l.BlockOutputs; c += V.Count)
        {
            int channel = Math.Min(c, _l.BlockOutputs - V.Count);
            WinogradTiles<V>.GradResult(rows, channel, _g.OutChannels, _g.OutWidth - column, to + channel, _l.GradStep);
        }
    }

    /// <summary>The rows of gy of the next tiles.</summary>
    private Span<float> NewGradients(int tile)
    {
        if (tile >= _images.Count)
            return default;
        float* begin = GradRow(tile, 0), end = GradRow(Math.Min(_images.Count, tile + TilesPerStep) - 1, Winograd.Out);
        return new Span<float>(begin, (int)(end - begin));
    }

    private float* GradRow(int tile, int row)
    {
        var (image, first, _) = _images.At(tile);
        return _gy + ((nint)image * _g.OutHeight + Math.Min(first + row, _g.OutHeight)) * _g.OutWidth * _g.OutChannels;
    }

    /// <summary>For each point: outputs x tiles times tiles x inputs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Multiply(
        int count, GemmStore store, float* images, float* grads, float* sums, float** rows, Span<float> nextImages, Span<float> nextGrads)
    {
        var strip = new GemmStrip
        {
            RowCount = _l.BlockOutputs,
            Segments = 1,
            Depth = count,
            APointers = rows,
            AStep = _l.BlockOutputs,
            CStep = _l.Inputs,
            Store = store,
        };
        for (int point = 0; point < Winograd.Points; point++)
        {
            float* grad = grads + point * _l.GradStep;
            for (int i = 0; i < _l.BlockOutputs + TKernel.Rows; i++)
                rows[i] = grad + Math.Min(i, _l.BlockOutputs - 1);
            WinogradImages<V>.Fetch(nextImages, point, Winograd.Points);
            WinogradImages<V>.Fetch(nextGrads, point, Winograd.Points);
            for (int panel = 0; panel < _l.Panels.Count; panel++)
            {
                int first = _l.Panels.Start(panel);
                strip.Vectors = _l.Panels.Vectors(panel);
                strip.ColumnCount = _l.Panels.Width(panel);
                strip.B = images + point * _l.ImageStep + (nint)first * TilesPerStep;
                strip.C = sums + point * _l.SumStep + first;
                TKernel.Run(strip);
            }
        }
    }
}
