namespace RawDiffusion.IO;

/// <summary>At most 256 colours, and for each pixel of a picture the one that stands for it.</summary>
internal sealed class GifPalette
{
    private const int MostColors = 256;

    /// <summary>All 256 greys; a grey is its own index.</summary>
    public static readonly GifPalette Greys = new([.. Enumerable.Range(0, MostColors).Select(static grey => grey * 0x010101)]);

    // The index of each colour where they are few; else of each cell of the colour cube that the picture touches.
    private readonly Dictionary<int, byte>? _exact;
    private readonly byte[]? _byCell;

    /// <summary>These colours and no others, each 0xRRGGBB.</summary>
    private GifPalette(ReadOnlySpan<int> colors)
    {
        (Bits, Colors) = Fill(colors);
        _exact = [];
        for (int i = 0; i < colors.Length; i++)
            _exact[colors[i]] = (byte)i;
    }

    private GifPalette(ReadOnlySpan<int> colors, byte[] byCell)
    {
        (Bits, Colors) = Fill(colors);
        _byCell = byCell;
    }

    /// <summary>There are 2^Bits colours, 1 to 8.</summary>
    public int Bits { get; }

    /// <summary>[2^Bits, 3]: red, green, blue.</summary>
    public byte[] Colors { get; }

    /// <summary>The palette that suits a picture: greys, its own colours, or a choice by median cut.</summary>
    public static GifPalette For(Image picture)
    {
        var pixels = picture.Pixels;
        bool isGrey = true;
        var colors = new HashSet<int>();
        int last = -1;
        for (int i = 0; i < pixels.Length && (isGrey || colors.Count <= MostColors); i += Image.Channels)
        {
            isGrey &= pixels[i] == pixels[i + 1] && pixels[i] == pixels[i + 2];
            int color = pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2];
            if (color != last && colors.Count <= MostColors)
                colors.Add(last = color);
        }
        if (isGrey)
            return Greys;
        if (colors.Count <= MostColors)
            return new GifPalette([.. colors]);
        var cells = new ColorCells(pixels);
        int[] chosen = cells.Choose(MostColors);
        return new GifPalette(chosen, cells.Nearest(chosen));
    }

    /// <summary>Writes the index of the colour of each pixel.</summary>
    public void Index(Image picture, Span<byte> indices)
    {
        var pixels = picture.Pixels;
        for (int i = 0; i < indices.Length; i++)
        {
            byte red = pixels[Image.Channels * i], green = pixels[Image.Channels * i + 1], blue = pixels[Image.Channels * i + 2];
            if (this == Greys)
                indices[i] = red;
            else
                indices[i] = _byCell is null ? _exact![red << 16 | green << 8 | blue] : _byCell[ColorCells.CellOf(red, green, blue)];
        }
    }

    private static (int Bits, byte[] Colors) Fill(ReadOnlySpan<int> colors)
    {
        int bits = 1;
        while (1 << bits < colors.Length)
            bits++;
        var bytes = new byte[Image.Channels << bits];
        for (int i = 0; i < colors.Length; i++)
        {
            for (int c = 0; c < Image.Channels; c++)
                bytes[Image.Channels * i + c] = (byte)(colors[i] >> (16 - 8 * c));
        }
        return (bits, bytes);
    }
}
