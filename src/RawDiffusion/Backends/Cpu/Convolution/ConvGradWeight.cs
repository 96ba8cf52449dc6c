using System.Runtime.Intrinsics;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// The weight gradient: for every tap, a sum over output pixels of gy's channels times x's channels. Blocks of rows of x (with
/// their padding) and of gy are packed so that the inner loop walks straight through both in the first-level cache. Chunks of
/// the batch are summed apart and then together in a fixed order.
/// </summary>
internal readonly unsafe struct ConvGradWeight<V> where V : struct, ISimd<V>
{
    /// <summary>Output pixels per block: long enough to hide loading and storing the sums, short enough for the caches.</summary>
    private const int BlockPixels = 800;

    private const int SegmentPixels = 512;

    private const int BlockInChannels = 64;

    private const int BlockOutChannels = 128;

    private const int EnoughItems = 32;

    /// <summary>All partial sums together take at most about this many floats.</summary>
    private const int MaxPartialFloats = 4 << 20;

    private static int TileFloats => ConvKernels.GradRows * ConvKernels.GradVectors * V.Count;

    private static readonly WorkerScratch s_scratch = new();

    private readonly Conv2dGeometry _g;
    private readonly Layout _l;
    private readonly ConvPatch<V> _patch;
    private readonly float* _x, _gy, _gw, _sums;

    private ConvGradWeight(in Conv2dGeometry g, in Layout layout, float* x, float* gy, float* gw, float* sums)
    {
        _g = g;
        _l = layout;
        _patch = new ConvPatch<V>(g.KernelHeight, g.KernelWidth, g.Height, g.Width, g.InChannels, g.Batch, x);
        _x = x;
        _gy = gy;
        _gw = gw;
        _sums = sums;
    }

    public static void Run(CpuBackend backend, in Conv2dGeometry g, float* x, float* gy, float* gw)
    {
        var layout = new Layout(g);
        if (layout.Strips == 0)
        {
            new Span<float>(gw, g.OutChannels * g.KernelHeight * g.KernelWidth * (g.InChannels / g.Groups)).Clear();
            return;
        }
        var sums = (CpuStorage)backend.Allocate(DType.Float32, checked((int)(layout.Items * layout.ItemFloats)));
        var work = new ConvGradWeight<V>(g, layout, x, gy, gw, sums.Floats);
        Workers.For(layout.Items, new ItemBody(work));
        Workers.For(layout.Items / layout.Chunks, new CombineBody(work));
        backend.Release(sums);
    }

    private readonly struct ItemBody(ConvGradWeight<V> work) : IParallelBody
    {
        public void Run(int index, int worker) => work.Item(index, worker);
    }

    private readonly struct CombineBody(ConvGradWeight<V> work) : IParallelBody
    {
        public void Run(int index, int worker) => work.Combine(index);
    }

    /// <summary>
    /// How the work is cut, from the geometry alone. A strip is some rows of a segment of columns of an image; a block is some
    /// strips; a chunk is a run of strips. An item is a chunk for one block of input and one of output channels of a group.
    /// </summary>
    private readonly struct Layout
    {
        /// <summary>Whether x is packed as patches (kh, kw, ci) per pixel: then there is one tap with that many channels.</summary>
        public readonly bool Gather;
        public readonly int InGroup, OutGroup, Taps, TapRows, TapColumns, StepRow, StepColumn, Channels;
        public readonly int SegmentWidth, Segments, StripRows, StripsPerImageColumn, Strips, StripsPerBlock, StripsPerChunk, Chunks;
        public readonly int InVectors, InBlocks, InBlockVectors, OutBlocks, OutBlockTiles, OutTiles;
        public readonly int PanelRows, PanelWidth, PanelFloats, GradTileFloats, ScratchFloats, Items;
        public readonly nint ItemFloats;

        public Layout(in Conv2dGeometry g)
        {
            InGroup = g.InChannels / g.Groups;
            OutGroup = g.OutChannels / g.Groups;
            Taps = g.KernelHeight * g.KernelWidth;
            Gather = Taps > 1 && g.Groups == 1 && InGroup < V.Count;
            Channels = Gather ? Taps * InGroup : InGroup;
            (TapRows, TapColumns) = Gather ? (1, 1) : (g.KernelHeight, g.KernelWidth);
            (StepRow, StepColumn) = Gather ? (1, 1) : (g.StrideHeight, g.StrideWidth);

            Segments = (g.OutWidth + SegmentPixels - 1) / SegmentPixels;
            SegmentWidth = (g.OutWidth + Segments - 1) / Segments;
            StripRows = Math.Clamp(BlockPixels / SegmentWidth, 1, g.OutHeight);
            // Strips of equal height: 28 rows as 14 + 14, never 20 + 8.
            StripsPerImageColumn = (g.OutHeight + StripRows - 1) / StripRows;
            StripRows = (g.OutHeight + StripsPerImageColumn - 1) / StripsPerImageColumn;
            Strips = checked(g.Batch * Segments * StripsPerImageColumn);
            StripsPerBlock = Math.Clamp(BlockPixels / (StripRows * SegmentWidth), 1, Math.Max(1, Strips));

            InVectors = (Channels + V.Count - 1) / V.Count;
            InBlocks = (InVectors * V.Count + BlockInChannels - 1) / BlockInChannels;
            InBlockVectors = (InVectors + InBlocks - 1) / InBlocks;
            InBlocks = (InVectors + InBlockVectors - 1) / InBlockVectors;
            OutTiles = (OutGroup + ConvKernels.GradRows - 1) / ConvKernels.GradRows;
            OutBlocks = (OutTiles * ConvKernels.GradRows + BlockOutChannels - 1) / BlockOutChannels;
            OutBlockTiles = (OutTiles + OutBlocks - 1) / OutBlocks;
            OutBlocks = (OutTiles + OutBlockTiles - 1) / OutBlockTiles;

            PanelRows = (StripRows - 1) * StepRow + TapRows;
            PanelWidth = (SegmentWidth - 1) * StepColumn + TapColumns;
            PanelFloats = OddLines(StripsPerBlock * PanelRows * PanelWidth * V.Count);
            GradTileFloats = OddLines(StripsPerBlock * StripRows * SegmentWidth * ConvKernels.GradRows);
            int offsets = StripsPerBlock * StripRows * (sizeof(nint) / sizeof(float));
            ScratchFloats = (checked(InBlockVectors * PanelFloats + OutBlockTiles * GradTileFloats + offsets + (Gather ? Channels + 2 * V.Count : 0)) + 15) & ~15;

            int vectorGroups = (InBlockVectors * TapRows * TapColumns + ConvKernels.GradVectors - 1) / ConvKernels.GradVectors;
            ItemFloats = (nint)vectorGroups * OutBlockTiles * TileFloats;
            int blocks = g.Groups * InBlocks * OutBlocks;
            long fit = Math.Max(1, MaxPartialFloats / (ItemFloats * blocks));
            int chunks = (int)Math.Min(Math.Min((EnoughItems + blocks - 1) / blocks, fit), Math.Max(1, Strips));
            StripsPerChunk = Math.Max(1, (Strips + chunks - 1) / chunks);
            // Whole blocks per chunk, where there are several.
            if (StripsPerChunk > StripsPerBlock)
                StripsPerChunk = (StripsPerChunk + StripsPerBlock - 1) / StripsPerBlock * StripsPerBlock;
            Chunks = (Strips + StripsPerChunk - 1) / StripsPerChunk;
            Items = blocks * Chunks;
        }
    }

    /// <summary>An odd number of cache lines: panels are written side by side, and then do not compete for the same sets of the cache.</summary>
    private static int OddLines(int floats) => ((floats + 15) / 16 | 1) * 16;

    /// <summary>One chunk of strips for one block of channels: items of the same block follow each other.</summary>
    private void Item(int index, int worker)
    {
        int chunk = index % _l.Chunks, block = index / _l.Chunks;
        var (group, inBlock, outBlock) = BlockOf(block);
        int firstVector = inBlock * _l.InBlockVectors, vectors = Math.Min(_l.InBlockVectors, _l.InVectors - firstVector);
        int firstTile = outBlock * _l.OutBlockTiles, tiles = Math.Min(_l.OutBlockTiles, _l.OutTiles - firstTile);
        float* panels = s_scratch.Get<float>(worker, _l.ScratchFloats);
        float* grads = panels + (nint)_l.InBlockVectors * _l.PanelFloats;
        var offsets = (nint*)(grads + (nint)_l.OutBlockTiles * _l.GradTileFloats);
        float* sums = _sums + index * _l.ItemFloats;

        int end = Math.Min(_l.Strips, (chunk + 1) * _l.StripsPerChunk);
        bool add = false;
        for (int strip = chunk * _l.StripsPerChunk; strip < end; strip += _l.StripsPerBlock)
        {
            int strips = Math.Min(_l.StripsPerBlock, end - strip);
            for (int s = 0; s < strips; s++)
            {
                if (_l.Gather)
                    PackPatches(strip + s, s, firstVector, vectors, panels, (float*)(offsets + _l.StripsPerBlock * _l.StripRows));
                else
                    PackImage(strip + s, s, group, firstVector, vectors, panels);
                PackGrad(strip + s, s, group, firstTile, tiles, grads);
                for (int r = 0; r < _l.StripRows; r++)
                    offsets[s * _l.StripRows + r] = (nint)(s * _l.PanelRows + r * _l.StepRow) * _l.PanelWidth * V.Count;
            }
            Multiply(strips * _l.StripRows, vectors, tiles, panels, grads, offsets, sums, add);
            add = true;
        }
    }

    private void Multiply(int rows, int vectors, int tiles, float* panels, float* grads, nint* offsets, float* sums, bool add)
    {
        int taps = _l.TapRows * _l.TapColumns, count = vectors * taps;
        float** x = stackalloc float*[ConvKernels.GradVectors];
        for (int first = 0; first < count; first += ConvKernels.GradVectors)
        {
            for (int i = 0; i < ConvKernels.GradVectors; i++)
            {
                int j = Math.Min(first + i, count - 1);
                int vector = j / taps, tapRow = j / _l.TapColumns % _l.TapRows, tapColumn = j % _l.TapColumns;
                x[i] = panels + (nint)vector * _l.PanelFloats + (nint)(tapRow * _l.PanelWidth + tapColumn) * V.Count;
            }
            for (int tile = 0; tile < tiles; tile++)
            {
                ConvKernels.GradWeight<V>(
                    rows, offsets, _l.SegmentWidth, grads + (nint)tile * _l.GradTileFloats, x[0], x[1], x[2],
                    _l.StepColumn * V.Count, sums, add);
                sums += TileFloats;
            }
        }
    }

    private (int Group, int InBlock, int OutBlock) BlockOf(int block) =>
        (block / (_l.InBlocks * _l.OutBlocks), block / _l.OutBlocks % _l.InBlocks, block % _l.OutBlocks);

    private (int Image, int Row, int Column) StripOf(int strip)
    {
        int perImage = _l.Segments * _l.StripsPerImageColumn;
        int inImage = strip % perImage;
        return (strip / perImage, inImage % _l.StripsPerImageColumn * _l.StripRows, inImage / _l.StripsPerImageColumn * _l.SegmentWidth);
    }

    /// <summary>Packs the pixels that a strip reads, padding included, into one panel of vectors of channels after the other.</summary>
    private void PackImage(int strip, int slot, int group, int firstVector, int vectors, float* panels)
    {
        var (image, outRow, outColumn) = StripOf(strip);
        int top = outRow * _g.StrideHeight - _g.PadTop, left = outColumn * _g.StrideWidth - _g.PadLeft;
        int from = Math.Clamp(-left, 0, _l.PanelWidth), to = Math.Clamp(_g.Width - left, from, _l.PanelWidth);
        int channel = firstVector * V.Count, tail = _l.InGroup - channel;
        int whole = Math.Min(vectors, tail / V.Count);
        for (int r = 0; r < _l.PanelRows; r++)
        {
            int row = top + r;
            bool inside = (uint)row < (uint)_g.Height;
            float* target = panels + (nint)(slot * _l.PanelRows + r) * _l.PanelWidth * V.Count;
            int start = inside ? from : 0, end = inside ? to : 0;
            for (int v = 0; v < vectors; v++)
            {
                float* panel = target + (nint)v * _l.PanelFloats;
                new Span<float>(panel, start * V.Count).Clear();
                new Span<float>(panel + end * V.Count, (_l.PanelWidth - end) * V.Count).Clear();
            }
            // Pixel by pixel, so that the image is read in the order of memory.
            float* pixel = _x + (((nint)image * _g.Height + row) * _g.Width + left + start) * _g.InChannels + group * _l.InGroup + channel;
            target += start * V.Count;
            for (int c = start; c < end; c++, pixel += _g.InChannels, target += V.Count)
            {
                float* panel = target;
                float* lane = pixel;
                for (int v = whole; v > 0; v--, lane += V.Count, panel += _l.PanelFloats)
                    V.Store(V.Load(lane), panel);
                if (whole == vectors)
                    continue;
                for (int i = 0; i < V.Count; i++)
                    panel[i] = i < tail - whole * V.Count ? lane[i] : 0;
            }
        }
    }

    /// <summary>With few input channels: packs the whole patch of every output pixel as if it were its channels.</summary>
    private void PackPatches(int strip, int slot, int firstVector, int vectors, float* panels, float* patch)
    {
        var (image, outRow, outColumn) = StripOf(strip);
        float* source = _x + (nint)image * _g.Height * _g.Width * _g.InChannels;
        float* target = panels + (nint)slot * _l.StripRows * _l.SegmentWidth * V.Count;
        for (int r = 0; r < _l.StripRows; r++)
        {
            int row = (outRow + r) * _g.StrideHeight - _g.PadTop;
            for (int c = 0; c < _l.SegmentWidth; c++, target += V.Count)
            {
                int column = (outColumn + c) * _g.StrideWidth - _g.PadLeft;
                _patch.Copy(source + ((nint)row * _g.Width + column) * _g.InChannels, row, column, patch);
                float* panel = target;
                for (int v = 0; v < vectors; v++, panel += _l.PanelFloats)
                    V.Store(V.Load(patch + (firstVector + v) * V.Count), panel);
            }
        }
    }

    /// <summary>Packs gy of a strip as tiles of channels: [tile][pixel][4]; channels and pixels that do not exist are zeros.</summary>
    private void PackGrad(int strip, int slot, int group, int firstTile, int tiles, float* grads)
    {
        const int M = ConvKernels.GradRows;
        var (image, outRow, outColumn) = StripOf(strip);
        int columns = Math.Min(_l.SegmentWidth, _g.OutWidth - outColumn);
        int channel = firstTile * M, channels = _l.OutGroup - channel;
        int whole = Math.Min(tiles, channels / M);
        for (int r = 0; r < _l.StripRows; r++)
        {
            int end = outRow + r < _g.OutHeight ? columns : 0;
            float* pixel = _gy + (((nint)image * _g.OutHeight + outRow + r) * _g.OutWidth + outColumn) * _g.OutChannels
                + group * _l.OutGroup + channel;
            float* target = grads + (nint)(slot * _l.StripRows + r) * _l.SegmentWidth * M;
            for (int t = 0; t < tiles; t++)
                new Span<float>(target + (nint)t * _l.GradTileFloats + end * M, (_l.SegmentWidth - end) * M).Clear();
            for (int c = 0; c < end; c++, pixel += _g.OutChannels, target += M)
            {
                float* tile = target;
                float* lane = pixel;
                for (int t = whole; t > 0; t--, lane += M, tile += _l.GradTileFloats)
                    Vector128.Store(Vector128.Load(lane), tile);
                if (whole == tiles)
                    continue;
                for (int i = 0; i < M; i++)
                    tile[i] = i < channels - whole * M ? lane[i] : 0;
            }
        }
    }

    /// <summary>Adds the partial sums of a block of channels over all chunks, in their order, and puts them where they belong in gw.</summary>
    private void Combine(int block)
    {
        var (group, inBlock, outBlock) = BlockOf(block);
        int firstVector = inBlock * _l.InBlockVectors, vectors = Math.Min(_l.InBlockVectors, _l.InVectors - firstVector);
        int firstTile = outBlock * _l.OutBlockTiles, tiles = Math.Min(_l.OutBlockTiles, _l.OutTiles - firstTile);
        int taps = _l.TapRows * _l.TapColumns, count = vectors * taps;
        float* sums = _sums + (nint)block * _l.Chunks * _l.ItemFloats;
        for (int first = 0; first < count; first += ConvKernels.GradVectors)
        {
            for (int tile = 0; tile < tiles; tile++, sums += TileFloats)
            {
                for (int i = 0; i < TileFloats; i += V.Count)
                {
                    V sum = V.Load(sums + i);
                    for (int chunk = 1; chunk < _l.Chunks; chunk++)
                        sum += V.Load(sums + chunk * _l.ItemFloats + i);
                    V.Store(sum, sums + i);
                    int j = first + i / V.Count % ConvKernels.GradVectors;
                    int output = (firstTile + tile) * ConvKernels.GradRows + i / V.Count / ConvKernels.GradVectors;
                    if (j >= count || output >= _l.OutGroup)
                        continue;
                    int channel = (firstVector + j / taps) * V.Count;
                    float* target = _gw + ((nint)(group * _l.OutGroup + output) * taps + j % taps) * _l.Channels + channel;
                    for (int lane = 0; lane < Math.Min(V.Count, _l.Channels - channel); lane++)
                        target[lane] = sums[i + lane];
                }
            }
        }
    }
}
