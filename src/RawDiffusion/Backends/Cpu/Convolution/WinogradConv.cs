using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Runs a <see cref="ConvPlan"/> with 3 x 3 taps by <see cref="Winograd"/>. Weights are transformed once per call. Then an item
/// of work takes some tiles through all three steps, so that what lies between them stays in the second-level cache of its core:
/// transformed images [36 points][tiles][channels]; for each panel of output channels their 36 products [points][tiles][panel];
/// and the results, with everything that is added to them.
/// </summary>
internal readonly unsafe struct WinogradConv<TKernel, V> where TKernel : struct, IGemmKernel where V : struct, ISimd<V>
{
    /// <summary>Floats of transformed images and products that an item holds: half of a second-level cache of 1 MiB, less the weights on their way through.</summary>
    private const int ItemFloats = 96 * 1024;

    private const int MaxTiles = 48;

    /// <summary>The most channels summed in a row: sums of sums lose less to rounding, and a panel of weights fits the first-level cache.</summary>
    private const int MaxDepth = 128;

    private const int EnoughItems = 16;

    /// <summary>Floats of a cache line.</summary>
    private const int Line = 16;

    private static readonly WorkerScratch s_scratch = new();

    private readonly ConvPlan _plan;
    private readonly GemmPanels _panels;
    private readonly WinogradImages<V> _images;
    private readonly int _tilesPerItem, _depthParts, _biasStep;
    private readonly nint _weightStep, _imageStep, _productStep, _residual;
    private readonly float* _w, _y, _weights, _biases;
    private readonly bool _streams;
    private readonly ConvActivation _activation;

    private WinogradConv(in ConvPlan plan, in Sizes sizes, float* x, float* w, in ConvAddends addends, float* y, float* shared)
    {
        _plan = plan;
        _panels = sizes.Panels;
        _w = w;
        _y = y;
        _residual = addends.Residual != null ? (nint)(addends.Residual - y) : 0;
        _activation = addends.Activation(y);
        _weights = shared;
        _weightStep = sizes.WeightStep;
        float* zeros = shared + Winograd.Points * _weightStep;
        new Span<float>(zeros, WinogradImages<V>.ZeroFloats(plan)).Clear();
        _images = new WinogradImages<V>(plan, x, zeros);
        _biases = zeros + WinogradImages<V>.ZeroFloats(plan);
        _biasStep = addends.BiasRows(plan.Batch) > 1 ? sizes.Outputs : 0;
        addends.WriteBiases(plan.Batch, plan.Outputs, sizes.Outputs, _biases);
        _depthParts = (plan.Reduce + MaxDepth - 1) / MaxDepth;
        _tilesPerItem = TilesPerItem(plan, sizes.Panels, _images.Count);
        _imageStep = Winograd.Apart((nint)_tilesPerItem * plan.Reduce);
        _productStep = Winograd.Apart(_tilesPerItem * 3 * V.Count);
        _streams = !_activation.IsSilu && (long)plan.Batch * plan.OutImage >= Winograd.StreamedElements && plan.Outputs % Line == 0 && (nuint)y % (Line * sizeof(float)) == 0 && V.Count == Line;
    }

    /// <summary>
    /// As many tiles as fit the second-level cache with what becomes of them, but no more than leave items for many workers.
    /// </summary>
    private static int TilesPerItem(in ConvPlan plan, in GemmPanels panels, int tiles)
    {
        int fit = ItemFloats / (Winograd.Points * (plan.Reduce + panels.Width(0))), fair = (tiles + EnoughItems - 1) / EnoughItems;
        return (Math.Clamp(Math.Min(fit, fair), 1, MaxTiles) + TKernel.Rows - 1) / TKernel.Rows * TKernel.Rows;
    }

    private readonly struct Sizes
    {
        public readonly GemmPanels Panels;

        /// <summary>Output channels, up to the end of the last panel.</summary>
        public readonly int Outputs;

        /// <summary>Floats between the points of transformed weights.</summary>
        public readonly nint WeightStep;

        /// <summary>Floats that the whole call shares.</summary>
        public readonly int Shared;

        public Sizes(in ConvPlan plan, int biasRows)
        {
            Panels = GemmPanels.OfColumns(plan.Outputs, TKernel.Lanes);
            Outputs = Panels.Start(Panels.Count);
            WeightStep = Winograd.Apart((nint)plan.Reduce * Outputs);
            Shared = checked((int)(Winograd.Points * WeightStep + WinogradImages<V>.ZeroFloats(plan) + (nint)biasRows * Outputs));
        }
    }

    public static void Run(CpuBackend backend, in ConvPlan plan, float* x, float* w, in ConvAddends addends, float* y)
    {
        var sizes = new Sizes(plan, addends.BiasRows(plan.Batch));
        var shared = (CpuStorage)backend.Allocate(DType.Float32, sizes.Shared);
        var work = new WinogradConv<TKernel, V>(plan, sizes, x, w, addends, y, shared.Floats);
        Workers.For(sizes.Panels.Count * WeightParts(plan), new WeightBody(work));
        Workers.For((work._images.Count + work._tilesPerItem - 1) / work._tilesPerItem, new TilesBody(work));
        backend.Release(shared);
    }

    /// <summary>Items of transforming one panel of weights.</summary>
    private static int WeightParts(in ConvPlan plan) => (plan.Reduce + 31) / 32;

    private readonly struct WeightBody(WinogradConv<TKernel, V> work) : IParallelBody
    {
        public void Run(int index, int worker)
        {
            int parts = WeightParts(work._plan), part = index % parts;
            work.TransformWeights(index / parts, work._plan.Reduce * part / parts, work._plan.Reduce * (part + 1) / parts, worker);
        }
    }

    private readonly struct TilesBody(WinogradConv<TKernel, V> work) : IParallelBody
    {
        public void Run(int index, int worker) => work.Item(index, worker);
    }

    /// <summary>G g G^T for input channels [begin, end) of one panel of output channels.</summary>
    private void TransformWeights(int panel, int begin, int end, int worker)
    {
        int first = _panels.Start(panel), width = _panels.Width(panel), depth = end - begin;
        float* taps = s_scratch.Get<float>(worker, 9 * (nint)depth * width);
        for (int tap = 0; tap < 9; tap++)
        {
            float* from = _w + _plan.WeightStart + tap / 3 * _plan.WeightRow + tap % 3 * _plan.WeightColumn
                + (nint)begin * _plan.WeightReduce + (nint)first * _plan.WeightOutput;
            GemmPack.Panel(
                from, _plan.WeightReduce, _plan.WeightOutput, depth, Math.Min(width, _plan.Outputs - first), width, taps + (nint)tap * depth * width);
        }
        float* to = _weights + (nint)first * _plan.Reduce + (nint)begin * width;
        for (nint i = 0; i < (nint)depth * width; i += V.Count)
            WinogradTiles<V>.Weight(taps + i, (nint)depth * width, to + i, _weightStep);
    }

    private void Item(int index, int worker)
    {
        int begin = index * _tilesPerItem, count = Math.Min(_tilesPerItem, _images.Count - begin);
        nint pointers = (nint)(_tilesPerItem + TKernel.Rows) * (sizeof(float*) / sizeof(float));
        float* images = s_scratch.Get<float>(worker, Winograd.Points * (_imageStep + _productStep) + pointers);
        float* products = images + Winograd.Points * _imageStep;
        float** rows = (float**)(products + Winograd.Points * _productStep);
        for (int i = 0; i < count; i++)
            _images.Transform(begin + i, 0, _plan.Reduce, images + (nint)i * _plan.Reduce, _imageStep);
        for (int panel = 0; panel < _panels.Count; panel++)
        {
            Multiply(panel, count, images, products, rows, _images.NewPixels(begin + count, _tilesPerItem));
            if (_streams)
                TransformResults<One>(begin, count, panel, products);
            else
                TransformResults<Zero>(begin, count, panel, products);
        }
    }

    /// <summary>For each point: tiles x input channels times input x output channels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Multiply(int panel, int count, float* images, float* products, float** rows, Span<float> next)
    {
        var strip = new GemmStrip
        {
            RowCount = count,
            Vectors = _panels.Vectors(panel),
            ColumnCount = _panels.Width(panel),
            Segments = 1,
            APointers = rows,
            AStep = 1,
            CStep = _panels.Width(panel),
        };
        for (int point = 0; point < Winograd.Points; point++)
        {
            WinogradImages<V>.Fetch(next, panel * Winograd.Points + point, _panels.Count * Winograd.Points);
            strip.C = products + point * _productStep;
            strip.Store = GemmStore.Plain;
            for (int part = 0; part < _depthParts; part++)
            {
                int depth = _plan.Reduce * part / _depthParts;
                float* row = images + point * _imageStep + depth;
                // The last of the kernel's tiles reads a full set of rows; what the repeated one gives is not stored.
                for (int i = 0; i < count + TKernel.Rows; i++)
                    rows[i] = row + (nint)Math.Min(i, count - 1) * _plan.Reduce;
                strip.B = _weights + point * _weightStep + (nint)_panels.Start(panel) * _plan.Reduce + (nint)depth * _panels.Width(panel);
                strip.Depth = _plan.Reduce * (part + 1) / _depthParts - depth;
                TKernel.Run(strip);
                strip.Store = GemmStore.Accumulate;
            }
        }
    }

    /// <summary>A^T m A of one panel of output channels of some tiles, what is added to it, and SiLU.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void TransformResults<TStreams>(int begin, int count, int panel, float* products) where TStreams : struct, IConstant
    {
        int first = _panels.Start(panel), width = _panels.Width(panel), channels = Math.Min(width, _plan.Outputs - first);
        for (int i = 0; i < count; i++, products += width)
        {
            var (image, row, column) = _images.At(begin + i);
            float* y = _y + _plan.OutStart + (nint)image * _plan.OutImage + (nint)row * _plan.OutRow + (nint)column * _plan.OutColumn + first;
            float* biases = _biases + (nint)image * _biasStep + first;
            int rows = Math.Min(Winograd.Out, _plan.Rows - row), columns = Math.Min(Winograd.Out, _plan.Columns - column);
            for (int c = 0; c < channels; c += V.Count)
            {
                int channel = Math.Min(c, channels - V.Count);
                WinogradTiles<V>.Result<TStreams>(
                    products + channel, _productStep, V.Load(biases + channel), _residual, y + channel, _plan.OutRow, _plan.OutColumn, rows, columns);
                // Channels that the last vector makes again are plain sums again.
                if (_activation.IsSilu)
                    _activation.Apply<V>(y + channel, _plan.OutRow, _plan.OutColumn, rows, columns);
            }
        }
    }
}
