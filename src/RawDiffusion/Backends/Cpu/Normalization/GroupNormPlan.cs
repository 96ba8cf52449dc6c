namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// How group normalisation walks an image of Spatial x Channels contiguous elements: as rows of <see cref="Period"/> elements,
/// the smallest whole number of pixels that is also a whole number of vectors (of at least four where the channels allow), so
/// that any number of channels runs at full width and lane l of a row always belongs to channel l % Channels. It depends on the
/// shape and the vector width alone.
/// </summary>
internal readonly struct GroupNormPlan
{
    /// <summary>A lane sums at most this many terms in float32 before they go on in float64.</summary>
    private const int MaxChunkRows = 512;

    private const int ChunkElements = 16 * 1024;

    /// <summary>
    /// Results of this many elements, 16 MiB, are written past the caches. They would push each other out of a shared cache of the
    /// usual size before anybody reads them, and a line that is written past the caches is not read first.
    /// </summary>
    private const long StreamedElements = 4L << 20;

    public GroupNormPlan(in GroupNormGeometry g, int lanes)
    {
        int period = Lcm(g.Channels, lanes);
        if (period < 4 * lanes)
            period *= (4 * lanes + period - 1) / period;
        Period = period;
        ImageLength = g.Spatial * g.Channels;
        Rows = ImageLength / period;
        TailStart = Rows * period;
        Chunks = Math.Max(1, (Rows + RowLimit(period) - 1) / RowLimit(period));
        ChunkRows = (Rows + Chunks - 1) / Chunks;
        Streams = TailLength == 0 && (long)g.Batch * ImageLength >= StreamedElements;
        SplitsImages = Chunks > 1 && g.Batch < 16;
    }

    /// <summary>Elements in a row.</summary>
    public int Period { get; }

    public int ImageLength { get; }

    /// <summary>Whole rows in an image.</summary>
    public int Rows { get; }

    /// <summary>Where the incomplete last row begins; a whole number of pixels.</summary>
    public int TailStart { get; }

    public int TailLength => ImageLength - TailStart;

    /// <summary>Pieces of an image with statistics of their own, combined in order.</summary>
    public int Chunks { get; }

    public int ChunkRows { get; }

    /// <summary>Whether results go past the caches: large ones of whole rows, so that every vector of them is aligned.</summary>
    public bool Streams { get; }

    /// <summary>Whether chunks rather than images are shared out among the workers: few and large images.</summary>
    public bool SplitsImages { get; }

    public int RowsOf(int chunk) => Math.Min(ChunkRows, Rows - chunk * ChunkRows);

    private static int RowLimit(int period) => Math.Clamp(ChunkElements / period, 8, MaxChunkRows);

    private static int Lcm(int a, int b)
    {
        int x = a, y = b;
        while (y != 0)
            (x, y) = (y, x % y);
        return checked(a / x * b);
    }
}
