using System.Buffers.Binary;
using System.IO.Compression;

namespace RawDiffusion.IO;

/// <summary>Channels of a PNG, eight bits each. The value is the number of bytes of a pixel.</summary>
public enum PngColor
{
    Grey = 1,
    GreyAlpha = 2,
    Rgb = 3,
    Rgba = 4,
}

/// <summary>What a PNG file shows.</summary>
/// <param name="Pixels">[Height, Width, channels of <paramref name="Color"/>], row-major from the top left.</param>
public sealed record PngPicture(int Width, int Height, PngColor Color, byte[] Pixels);

/// <summary>Reads and writes PNG files (W3C PNG specification, third edition): eight bits a channel, not interlaced.</summary>
public static class Png
{
    /// <summary>Pictures of more bytes than this are not read: 16,384 x 16,384 in grey.</summary>
    public const int LargestPicture = 1 << 28;

    /// <summary>Longer files are not read. No picture that is read needs one.</summary>
    public const int LongestFile = 1 << 29;

    internal static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    /// <summary>Reads a file.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <inheritdoc cref="Decode(string, byte[])"/>
    public static PngPicture Load(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        if (file.Length > LongestFile)
            throw new FileFormatException(path, $"it has {file.Length} bytes; a PNG of up to {LongestFile} can be read");
        var bytes = new byte[file.Length];
        int length = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        return length == bytes.Length ? Decode(path, bytes) : throw new FileFormatException(path, "the file became shorter while it was read");
    }

    /// <summary>
    /// Reads a whole file from memory: grey, grey with alpha, RGB, RGBA, and palettes, which become RGB or, where the file says
    /// how opaque their colours are, RGBA. Gamma and other remarks of a file on how to show its numbers do not change them.
    /// </summary>
    /// <param name="path">What the file is called in messages.</param>
    /// <param name="file">All of its bytes.</param>
    /// <exception cref="FileFormatException">
    /// The file is damaged, cut short, or no PNG; or it has other than eight bits a channel, is interlaced, or has a transparent
    /// colour, which is not read. Memory for the picture is taken only if the file is long enough to hold it.
    /// </exception>
    public static PngPicture Decode(string path, byte[] file) => new PngDecoder(path, file).Decode();

    /// <summary>The whole file as bytes.</summary>
    /// <param name="pixels">[height, width, channels], row-major from the top left.</param>
    /// <exception cref="ArgumentException">An extent is not positive, or the number of bytes is not that of the extents.</exception>
    public static byte[] Encode(ReadOnlySpan<byte> pixels, int width, int height, PngColor color)
    {
        if (width < 1 || height < 1)
            throw new ArgumentException($"Png.Encode: an image of {width} x {height} pixels cannot be written; a PNG has at least one.");
        long expected = (long)width * height * (int)color;
        if (pixels.Length != expected)
            throw new ArgumentException($"Png.Encode: {width} x {height} pixels of {color} are {expected} bytes, not {pixels.Length}.");

        using var file = new MemoryStream();
        file.Write(Signature);
        Span<byte> header = stackalloc byte[13];
        header.Clear();
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header[4..], height);
        header[8] = 8;
        header[9] = color switch { PngColor.Grey => 0, PngColor.Rgb => 2, PngColor.GreyAlpha => 4, _ => 6 };
        WriteChunk(file, "IHDR"u8, header);
        WriteChunk(file, "IDAT"u8, Compress(pixels, width * (int)color, (int)color));
        WriteChunk(file, "IEND"u8, []);
        return file.ToArray();
    }

    private static void WriteChunk(Stream file, ReadOnlySpan<byte> type, ReadOnlySpan<byte> data)
    {
        Span<byte> number = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(number, data.Length);
        file.Write(number);
        file.Write(type);
        file.Write(data);
        BinaryPrimitives.WriteUInt32BigEndian(number, ~Crc32.Update(Crc32.Update(~0u, type), data));
        file.Write(number);
    }

    private static ReadOnlySpan<byte> Compress(ReadOnlySpan<byte> pixels, int stride, int pixelBytes)
    {
        var compressed = new MemoryStream();
        using (var zlib = new ZLibStream(compressed, CompressionLevel.Optimal, leaveOpen: true))
        {
            ReadOnlySpan<byte> above = new byte[stride];
            byte[] best = new byte[stride + 1], trial = new byte[stride + 1];
            for (int start = 0; start < pixels.Length; start += stride)
            {
                var row = pixels.Slice(start, stride);
                long bestCost = long.MaxValue;
                for (byte filter = 0; filter <= PngFilter.Last; filter++)
                {
                    long cost = PngFilter.Apply(filter, row, above, pixelBytes, trial);
                    if (cost < bestCost)
                    {
                        bestCost = cost;
                        (best, trial) = (trial, best);
                    }
                }
                zlib.Write(best);
                above = row;
            }
        }
        return compressed.GetBuffer().AsSpan(0, (int)compressed.Length);
    }
}
