using System.Buffers.Binary;
using System.IO.Compression;

namespace RawDiffusion.IO;

/// <summary>Channels of a PNG, eight bits each. The value is the number of bytes of a pixel.</summary>
public enum PngColor
{
    Grey = 1,
    Rgb = 3,
    Rgba = 4,
}

/// <summary>Writes PNG files (W3C PNG specification, third edition): eight bits a channel, not interlaced.</summary>
public static class Png
{
    private static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

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
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header[4..], height);
        header[8] = 8;
        header[9] = color switch { PngColor.Grey => 0, PngColor.Rgb => 2, _ => 6 };
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
                for (byte filter = 0; filter <= 4; filter++)
                {
                    long cost = Filter(filter, row, above, pixelBytes, trial);
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

    /// <summary>
    /// Writes filter number and filtered row. The answer is the sum of the bytes as signed magnitudes: the row whose sum is
    /// least is likely to compress best (the specification's heuristic, section 12.7).
    /// </summary>
    private static long Filter(byte filter, ReadOnlySpan<byte> row, ReadOnlySpan<byte> above, int pixelBytes, byte[] result)
    {
        result[0] = filter;
        long cost = 0;
        for (int i = 0; i < row.Length; i++)
        {
            int left = i >= pixelBytes ? row[i - pixelBytes] : 0;
            int up = above[i];
            int predicted = filter switch
            {
                0 => 0,
                1 => left,
                2 => up,
                3 => (left + up) / 2,
                _ => Paeth(left, up, i >= pixelBytes ? above[i - pixelBytes] : 0),
            };
            byte difference = (byte)(row[i] - predicted);
            result[i + 1] = difference;
            cost += Math.Abs((int)(sbyte)difference);
        }
        return cost;
    }

    private static int Paeth(int left, int up, int upLeft)
    {
        int estimate = left + up - upLeft;
        int toLeft = Math.Abs(estimate - left), toUp = Math.Abs(estimate - up), toUpLeft = Math.Abs(estimate - upLeft);
        return toLeft <= toUp && toLeft <= toUpLeft ? left : toUp <= toUpLeft ? up : upLeft;
    }
}
