using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Runs a <see cref="ConvPlan"/> as a matrix product that reads its left side through pointers: for every six output pixels a
/// short list says where in the image their taps are (<see cref="ConvRun"/>), so no patch is ever copied. Weights are packed
/// once per call into panels that the inner loop streams through.
/// </summary>
internal readonly unsafe struct ConvIndirect<V> where V : struct, ISimd<V>
{
    /// <summary>Tiles per item of work: their pointers and image rows stay in the caches while all panels pass over them.</summary>
    private const int TilesPerChunk = 28;

    /// <summary>With fewer items than this the panels are shared out as well.</summary>
    private const int EnoughItems = 16;

    /// <summary>Rows of taps shorter than this are gathered into a patch first: following pointers would cost more.</summary>
    private const int ShortRun = 16;

    private static readonly WorkerScratch s_scratch = new();

    private readonly ConvPlan _plan;
    private readonly float* _x, _w, _y, _packed, _zeros, _biases;
    private readonly ConvPatch<V> _patch;
    private readonly bool _dot, _gather;
    private readonly int _panels, _panelColumns, _panelsPerItem, _scratchPerWorker;
    private readonly nint _panelStride, _biasStep, _residual;
    private readonly ConvActivation _activation;

    private ConvIndirect(in ConvPlan plan, float* x, float* w, in ConvAddends addends, float* y, in Layout layout, float* shared)
    {
        _plan = plan;
        _x = x;
        _w = w;
        _y = y;
        _residual = addends.Residual != null ? (nint)(addends.Residual - y) : 0;
        _activation = addends.Activation(y);
        _biasStep = addends.BiasRows(plan.Batch) > 1 ? layout.BiasStep : 0;
        (_dot, _gather, _panels, _panelColumns) = (layout.Dot, layout.Gather, layout.Panels, layout.PanelColumns);
        (_panelStride, _panelsPerItem, _scratchPerWorker) = (layout.PanelStride, layout.PanelsPerItem, layout.ScratchPerWorker);
        _patch = new ConvPatch<V>(plan.TapRows, plan.TapColumns, plan.InHeight, plan.InWidth, plan.InPixel, plan.Batch, x);
        _zeros = shared;
        _biases = shared + layout.Zeros;
        _packed = _biases + layout.Biases;
    }

    public static void Run(CpuBackend backend, in ConvPlan plan, float* x, float* w, in ConvAddends addends, float* y)
    {
        if (plan.GridPoints == 0)
            return;
        var layout = new Layout(plan, addends.BiasRows(plan.Batch));
        int panels = plan.Groups * layout.Panels;
        var shared = (CpuStorage)backend.Allocate(DType.Float32, checked((int)(layout.Zeros + layout.Biases + panels * layout.PanelStride)));
        var work = new ConvIndirect<V>(plan, x, w, addends, y, layout, shared.Floats);
        new Span<float>(shared.Floats, layout.Zeros).Clear();
        addends.WriteBiases(plan.Batch, plan.Groups * plan.Outputs, layout.BiasStep, work._biases);
        Workers.ForRange(panels, Math.Max(1, 16384 / Math.Max(1, (int)layout.PanelStride)), new PackBody(work));
        int panelItems = (panels + layout.PanelsPerItem - 1) / layout.PanelsPerItem;
        Workers.For(layout.Chunks * panelItems, new ChunkBody(work, panelItems));
        backend.Release(shared);
    }

    private readonly struct PackBody(ConvIndirect<V> work) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            for (int i = start; i < end; i++)
                work.Pack(i / work._panels, i % work._panels);
        }
    }

    private readonly struct ChunkBody(ConvIndirect<V> work, int panelItems) : IParallelBody
    {
        public void Run(int index, int worker) => work.Chunk(index / panelItems, index % panelItems, worker);
    }

    /// <summary>Sizes that follow from the plan alone, never from the number of threads.</summary>
    private readonly struct Layout
    {
        public readonly bool Dot, Gather;
        public readonly int Panels, PanelColumns, PanelsPerItem, Chunks, Zeros, BiasStep, Biases, ScratchPerWorker;
        public readonly nint PanelStride;

        public Layout(in ConvPlan plan, int biasRows)
        {
            int tapCount = plan.TapRows * plan.TapColumns;
            Dot = plan.Outputs <= V.Count / 2 && plan.Reduce % V.Count == 0;
            Gather = plan.Groups == 1 && tapCount > 1 && plan.TapColumns * plan.Reduce < ShortRun;
            PanelColumns = Dot ? 2 : ConvKernels.PanelVectors * V.Count;
            Panels = (plan.Outputs + PanelColumns - 1) / PanelColumns;
            PanelStride = (nint)plan.Terms * PanelColumns;
            Chunks = (int)((plan.GridPoints + (long)PixelsPerChunk - 1) / PixelsPerChunk);
            int panels = Panels * plan.Groups;
            int split = Math.Min(panels, (EnoughItems + Chunks - 1) / Chunks);
            PanelsPerItem = (panels + split - 1) / split;
            Zeros = Align(plan.InPixel + plan.TapColumns * plan.Reduce);
            // A panel is read to its full width, past the last channel.
            BiasStep = Align(plan.Groups * plan.Outputs);
            Biases = checked(biasRows * BiasStep) + ConvKernels.PanelVectors * V.Count;
            ScratchPerWorker = TableFloats(tapCount) + PartFloats + (Gather ? Align(PixelsPerChunk * plan.Terms + V.Count) : 0);
        }
    }

    private const int PixelsPerChunk = TilesPerChunk * ConvTile.Pixels;

    /// <summary>Tiles of one chunk with their runs.</summary>
    private static int TableFloats(int taps) => TilesPerChunk * (sizeof(ConvTile) + Math.Max(1, taps) * sizeof(ConvRun)) / sizeof(float);

    private static int PartFloats => ConvTile.Pixels * ConvKernels.PanelVectors * V.Count;

    /// <summary>Whole cache lines.</summary>
    private static int Align(int floats) => (floats + 15) & ~15;

    /// <summary>Packs the weights of one panel: for every k the panel's columns; columns beyond the last channel are zeros.</summary>
    private void Pack(int group, int panel)
    {
        float* to = _packed + ((nint)group * _panels + panel) * _panelStride;
        int first = panel * _panelColumns;
        int columns = Math.Min(_panelColumns, _plan.Outputs - first);
        for (int i = 0; i < _plan.TapRows; i++)
        {
            for (int j = 0; j < _plan.TapColumns; j++)
            {
                float* from = _w + (nint)group * _plan.WeightGroup + _plan.WeightStart
                    + i * _plan.WeightRow + j * _plan.WeightColumn + (nint)first * _plan.WeightOutput;
                if (_dot)
                    PackDot(from, columns, to);
                else
                    PackColumns(from, columns, to);
                to += (nint)_plan.Reduce * _panelColumns;
            }
        }
    }

    private void PackColumns(float* from, int columns, float* to)
    {
        int width = _panelColumns;
        for (int c = 0; c < _plan.Reduce; c++)
        {
            float* source = from + (nint)c * _plan.WeightReduce;
            int o = 0;
            if (_plan.WeightOutput == 1)
            {
                for (; o <= columns - V.Count; o += V.Count)
                    V.Store(V.Load(source + o), to + o);
            }
            for (; o < columns; o++)
                to[o] = source[(nint)o * _plan.WeightOutput];
            for (; o < width; o++)
                to[o] = 0;
            to += width;
        }
    }

    private void PackDot(float* from, int columns, float* to)
    {
        for (int c = 0; c < _plan.Reduce; c += V.Count)
        {
            for (int o = 0; o < 2; o++)
            {
                for (int i = 0; i < V.Count; i++)
                    *to++ = o < columns ? from[(nint)(c + i) * _plan.WeightReduce + o * _plan.WeightOutput] : 0;
            }
        }
    }

    /// <summary>One run of output pixels through some of the panels.</summary>
    private void Chunk(int chunk, int panelItem, int worker)
    {
        int start = chunk * PixelsPerChunk, end = Math.Min(_plan.GridPoints, start + PixelsPerChunk);
        float* scratch = s_scratch.Get<float>(worker, _scratchPerWorker);
        var tiles = (ConvTile*)scratch;
        float* part = scratch + TableFloats(_plan.TapRows * _plan.TapColumns);
        float* patches = part + PartFloats;
        int count = BuildTable(start, end, tiles, patches);

        int panels = _plan.Groups * _panels;
        int lastPanel = Math.Min(panels, (panelItem + 1) * _panelsPerItem);
        for (int i = panelItem * _panelsPerItem; i < lastPanel; i++)
        {
            int group = i / _panels, first = i % _panels * _panelColumns;
            int columns = Math.Min(_panelColumns, _plan.Outputs - first);
            float* panel = _packed + i * _panelStride;
            nint xOffset = group * _plan.Reduce, yOffset = group * _plan.Outputs + first;
            var tile = tiles;
            if (_dot)
            {
                for (int t = 0; t < count; t++, tile = ConvTile.Next(tile))
                    ConvKernels.Dot<V>(tile, panel, xOffset, yOffset, _residual, columns);
            }
            else if (columns < _panelColumns)
            {
                for (int t = 0; t < count; t++, tile = ConvTile.Next(tile))
                {
                    ConvKernels.Tile<V, Zero>(tile, panel, xOffset, yOffset, 0, part);
                    ConvKernels.CopyPart(tile, part, _panelColumns, yOffset, _residual, columns);
                }
            }
            else if (_residual != 0)
            {
                for (int t = 0; t < count; t++, tile = ConvTile.Next(tile))
                    ConvKernels.Tile<V, One>(tile, panel, xOffset, yOffset, _residual, null);
            }
            else
            {
                for (int t = 0; t < count; t++, tile = ConvTile.Next(tile))
                    ConvKernels.Tile<V, Zero>(tile, panel, xOffset, yOffset, 0, null);
            }
            if (_activation.IsSilu)
                Activate(tiles, count, yOffset, columns);
        }
    }

    private void Activate(ConvTile* tile, int count, nint yOffset, int columns)
    {
        for (; count > 0; count--, tile = ConvTile.Next(tile))
        {
            float** pixels = &tile->Y0;
            // A last tile that is not full repeats its first pixel.
            for (int p = 0; p < ConvTile.Pixels && (p == 0 || pixels[p] != pixels[0]); p++)
                _activation.Apply<V>(pixels[p] + yOffset, columns);
        }
    }

    /// <summary>Writes tiles and their runs for output pixels [start, end); a last tile that is not full computes its first pixel again.</summary>
    private int BuildTable(int start, int end, ConvTile* tile, float* patches)
    {
        int image = start / (_plan.Rows * _plan.Columns);
        int row = start / _plan.Columns % _plan.Rows;
        int column = start % _plan.Columns;
        int* rows = stackalloc int[ConvTile.Pixels];
        int* columns = stackalloc int[ConvTile.Pixels];
        float** bases = stackalloc float*[ConvTile.Pixels];
        int count = 0;
        for (int p = start; p < end; p += ConvTile.Pixels, count++)
        {
            float** outputs = &tile->Y0;
            float** biases = &tile->B0;
            for (int i = 0; i < ConvTile.Pixels; i++)
            {
                if (p + i >= end)
                {
                    rows[i] = rows[0];
                    columns[i] = columns[0];
                    bases[i] = bases[0];
                    outputs[i] = outputs[0];
                    biases[i] = biases[0];
                    continue;
                }
                rows[i] = _plan.FirstRow + row * _plan.StepRow;
                columns[i] = _plan.FirstColumn + column * _plan.StepColumn;
                bases[i] = _x + (((nint)image * _plan.InHeight + rows[i]) * _plan.InWidth + columns[i]) * _plan.InPixel;
                biases[i] = _biases + image * _biasStep;
                outputs[i] = _y + _plan.OutStart + (nint)image * _plan.OutImage + (nint)row * _plan.OutRow + (nint)column * _plan.OutColumn;
                if (++column == _plan.Columns)
                {
                    column = 0;
                    if (++row == _plan.Rows)
                    {
                        row = 0;
                        image++;
                    }
                }
            }
            var runs = (ConvRun*)(tile + 1);
            tile->Runs = _gather ? GatherPatches(runs, rows, columns, bases, patches + (nint)(p - start) * _plan.Terms) : FindRuns(runs, rows, columns, bases);
            tile = ConvTile.Next(tile);
        }
        return count;
    }

    /// <summary>
    /// Joins neighbouring taps of a row as long as the same pixels of the tile are inside the image; taps that no pixel of the
    /// tile has inside are left out. Tiles away from the left and right border, the most, have one run per row of taps.
    /// </summary>
    private int FindRuns(ConvRun* run, int* rows, int* columns, float** bases)
    {
        const int All = (1 << ConvTile.Pixels) - 1;
        var first = run;
        uint inHeight = (uint)_plan.InHeight, inWidth = (uint)_plan.InWidth;
        // Bit p of wholeRows: all taps of a row are inside the image for pixel p.
        int wholeRows = 0;
        for (int p = 0; p < ConvTile.Pixels; p++)
            wholeRows |= columns[p] >= 0 && columns[p] + _plan.TapColumns <= _plan.InWidth ? 1 << p : 0;
        bool whole = wholeRows == All && _plan.Groups == 1;
        for (int i = 0; i < _plan.TapRows; i++)
        {
            int rowMask = 0;
            for (int p = 0; p < ConvTile.Pixels; p++)
                rowMask |= (uint)(rows[p] + i) < inHeight ? 1 << p : 0;
            if (rowMask == 0)
                continue;
            nint offset = (nint)i * _plan.InWidth * _plan.InPixel;
            nint k = (nint)i * _plan.TapColumns * _plan.Reduce;
            if (whole)
            {
                WriteRun(run++, bases, offset, rowMask, k, _plan.TapColumns * _plan.Reduce);
                continue;
            }
            int joined = 0;
            for (int j = 0; j < _plan.TapColumns; j++, offset += _plan.InPixel, k += _plan.Reduce)
            {
                int mask = rowMask;
                for (int p = 0; p < ConvTile.Pixels; p++)
                    mask &= (uint)(columns[p] + j) < inWidth ? All : ~(1 << p);
                if (mask == joined && mask != 0)
                {
                    run[-1].Length += _plan.Reduce;
                    continue;
                }
                joined = _plan.Groups == 1 ? mask : 0;
                if (mask != 0)
                    WriteRun(run++, bases, offset, mask, k, _plan.Reduce);
            }
        }
        return (int)(run - first);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void WriteRun(ConvRun* run, float** bases, nint offset, int mask, nint k, nint length)
    {
        run->A0 = (mask & 1) != 0 ? bases[0] + offset : _zeros;
        run->A1 = (mask & 2) != 0 ? bases[1] + offset : _zeros;
        run->A2 = (mask & 4) != 0 ? bases[2] + offset : _zeros;
        run->A3 = (mask & 8) != 0 ? bases[3] + offset : _zeros;
        run->A4 = (mask & 16) != 0 ? bases[4] + offset : _zeros;
        run->A5 = (mask & 32) != 0 ? bases[5] + offset : _zeros;
        run->K = k;
        run->Length = length;
    }

    /// <summary>Copies the taps of six pixels one after the other: one run that covers the whole reduction.</summary>
    private int GatherPatches(ConvRun* run, int* rows, int* columns, float** bases, float* patches)
    {
        float** pointers = &run->A0;
        for (int p = 0; p < ConvTile.Pixels; p++, patches += _plan.Terms)
        {
            pointers[p] = patches;
            _patch.Copy(bases[p], rows[p], columns[p], patches);
        }
        run->K = 0;
        run->Length = _plan.Terms;
        return 1;
    }
}
