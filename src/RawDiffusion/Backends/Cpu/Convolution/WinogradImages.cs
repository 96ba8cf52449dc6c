using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace RawDiffusion.Backends.Cpu;

/// <summary>The tiles of a batch of images, as <see cref="Winograd"/> reads them: 6 x 6 pixels for every 4 x 4 of the output.</summary>
internal readonly unsafe struct WinogradImages<V> where V : struct, ISimd<V>
{
    private readonly ConvPlan _plan;
    private readonly int _tileColumns, _tilesPerImage;
    private readonly float* _x, _zeros;

    /// <param name="zeros">As many zeros as a row of a tile has floats, see <see cref="ZeroFloats"/>.</param>
    public WinogradImages(in ConvPlan plan, float* x, float* zeros)
    {
        _plan = plan;
        _x = x;
        _zeros = zeros;
        _tileColumns = Winograd.TilesAlong(plan.Columns);
        _tilesPerImage = Winograd.TilesAlong(plan.Rows) * _tileColumns;
    }

    /// <summary>How many there are.</summary>
    public int Count => _plan.Batch * _tilesPerImage;

    public static int ZeroFloats(in ConvPlan plan) => Winograd.In * plan.Reduce;

    /// <summary>Where a tile is: its image, and its first output pixel.</summary>
    public (int Image, int Row, int Column) At(int tile)
    {
        int inImage = tile % _tilesPerImage;
        return (tile / _tilesPerImage, inImage / _tileColumns * Winograd.Out, inImage % _tileColumns * Winograd.Out);
    }

    /// <summary>B^T d B of some channels of a tile, at least a vector of them, to 36 places <paramref name="pointStep"/> floats apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Transform(int tile, int firstChannel, int channels, float* to, nint pointStep)
    {
        var (image, row, column) = At(tile);
        row += _plan.FirstRow;
        column += _plan.FirstColumn;
        nint pixel = _plan.InPixel;
        float* first = _x + (((nint)image * _plan.InHeight + row) * _plan.InWidth + column) * pixel;
        var rows = stackalloc float*[Winograd.In];
        for (int i = 0; i < Winograd.In; i++)
            rows[i] = ((uint)(row + i) < (uint)_plan.InHeight ? first + (nint)i * _plan.InWidth * pixel : _zeros) + firstChannel;
        int from = Math.Clamp(-column, 0, Winograd.In), end = Math.Clamp(_plan.InWidth - column, from, Winograd.In);
        for (int c = 0; c < channels; c += V.Count)
        {
            // The last vector may overlap the one before.
            int channel = Math.Min(c, channels - V.Count);
            WinogradTiles<V>.Image(rows, channel, pixel, from, end, to + channel, pointStep);
        }
    }

    /// <summary>The part of memory that tiles [tile, tile + count) read and those before did not, by whole rows; empty beyond the last.</summary>
    public Span<float> NewPixels(int tile, int count)
    {
        if (tile >= Count)
            return default;
        float* begin = Row(tile, Winograd.In - Winograd.Out), end = Row(Math.Min(Count, tile + count) - 1, Winograd.In);
        return new Span<float>(begin, (int)Math.Max(0, end - begin));
    }

    private float* Row(int tile, int row)
    {
        var (image, first, _) = At(tile);
        return _x + ((nint)image * _plan.InHeight + Math.Clamp(first + _plan.FirstRow + row, 0, _plan.InHeight)) * _plan.InWidth * _plan.InPixel;
    }

    /// <summary>
    /// Asks for one of <paramref name="parts"/> equal parts of some memory. Spread over the products, which need no bandwidth, this
    /// hides the time that the next tiles take to arrive.
    /// </summary>
    public static void Fetch(Span<float> memory, int part, int parts)
    {
        const int Line = 16;
        int end = (int)((long)memory.Length * (part + 1) / parts);
        fixed (float* start = memory)
        {
            for (int i = (int)((long)memory.Length * part / parts) & -Line; i < end && Sse.IsSupported; i += Line)
                Sse.Prefetch1(start + i);
        }
    }
}
