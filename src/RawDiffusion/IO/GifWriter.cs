using System.Buffers.Binary;

namespace RawDiffusion.IO;

/// <summary>
/// Writes an animated GIF (GIF89a) picture by picture, holding one at a time; it plays for ever. A picture of greys is exact, and
/// so is one of at most 256 colours; one of more gets the 256 that suit it best. Disposing ends the file, but leaves its stream open.
/// </summary>
/// <example><code>
/// AtomicFile.Write("out.gif", stream =>
/// {
///     using var gif = new GifWriter(stream, first.Width, first.Height);
///     foreach (var picture in pictures)
///         gif.Add(picture, seconds: 0.1);
/// });
/// </code></example>
public sealed class GifWriter : IDisposable
{
    private const double LongestSeconds = ushort.MaxValue / 100.0;

    private readonly Stream _stream;
    private readonly LzwEncoder _lzw;
    private readonly byte[] _indices;
    private bool _ended;

    /// <summary>Begins a file.</summary>
    /// <param name="stream">Where it goes to.</param>
    /// <param name="width">Of every picture, in pixels.</param>
    /// <param name="height">Of every picture, in pixels.</param>
    /// <exception cref="ArgumentException">The format has 16 bits for an extent.</exception>
    public GifWriter(Stream stream, int width, int height)
    {
        if (width is < 1 or > ushort.MaxValue || height is < 1 or > ushort.MaxValue)
            throw new ArgumentException($"A GIF of {width} x {height} pixels cannot be written; an extent is 1 to {ushort.MaxValue}.");
        (_stream, Width, Height) = (stream, width, height);
        _lzw = new LzwEncoder(stream);
        _indices = new byte[checked(width * height)];

        // The palette of the whole file, for its grey pictures, has 2^(7 + 1) colours.
        const byte HasPalette = 0x80, Resolution = 0x70, PaletteSize = 7;
        _stream.Write("GIF89a"u8);
        WriteExtents();
        _stream.Write([HasPalette | Resolution | PaletteSize, 0, 0]);
        _stream.Write(GifPalette.Greys.Colors);
        // Netscape's extension: 0 repetitions are those without end.
        _stream.Write([0x21, 0xFF, 11, .. "NETSCAPE2.0"u8, 3, 1, 0, 0, 0]);
    }

    public int Width { get; }

    public int Height { get; }

    /// <summary>Adds a picture.</summary>
    /// <param name="seconds">How long it is shown, to a hundredth; programs show less than 0.02 as 0.1.</param>
    /// <exception cref="ArgumentException">It has another size, or it cannot be shown for that long.</exception>
    public void Add(Image picture, double seconds)
    {
        ObjectDisposedException.ThrowIf(_ended, this);
        if (picture.Width != Width || picture.Height != Height)
            throw new ArgumentException($"GifWriter: a picture of {picture.Width} x {picture.Height} in a GIF of {Width} x {Height}.");
        if (!(seconds is > 0 and <= LongestSeconds))
            throw new ArgumentException($"GifWriter: a picture can be shown for up to {LongestSeconds} seconds, not for {seconds}.");
        var palette = GifPalette.For(picture);
        palette.Index(picture, _indices);

        const byte KeepWhenNextComes = 1 << 2, HasPalette = 0x80;
        Span<byte> delay = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(delay, (ushort)Math.Max(1, Math.Round(seconds * 100)));
        _stream.Write([0x21, 0xF9, 4, KeepWhenNextComes, delay[0], delay[1], 0, 0]);
        _stream.Write([0x2C, 0, 0, 0, 0]);
        WriteExtents();
        if (palette == GifPalette.Greys)
        {
            _stream.WriteByte(0);
        }
        else
        {
            _stream.WriteByte((byte)(HasPalette | (palette.Bits - 1)));
            _stream.Write(palette.Colors);
        }
        _lzw.Encode(_indices, palette.Bits);
    }

    /// <summary>Ends the file.</summary>
    public void Dispose()
    {
        if (_ended)
            return;
        _ended = true;
        _stream.WriteByte(0x3B);
    }

    private void WriteExtents()
    {
        Span<byte> extents = stackalloc byte[4];
        BinaryPrimitives.WriteUInt16LittleEndian(extents, (ushort)Width);
        BinaryPrimitives.WriteUInt16LittleEndian(extents[2..], (ushort)Height);
        _stream.Write(extents);
    }
}
