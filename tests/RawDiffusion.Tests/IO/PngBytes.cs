using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace RawDiffusion.Tests;

/// <summary>
/// Makes PNG files by hand, right or wrong, and reads them by a second, plain reading of the specification that knows nothing
/// of the library's.
/// </summary>
internal static class PngBytes
{
    public static readonly byte[] Signature = [137, 80, 78, 71, 13, 10, 26, 10];

    public static byte[] File(params byte[][] chunks) => [.. Signature, .. chunks.SelectMany(chunk => chunk)];

    public static byte[] Chunk(string type, params byte[] data)
    {
        byte[] body = [.. Encoding.Latin1.GetBytes(type), .. data];
        return [.. BigEndian((uint)data.Length), .. body, .. BigEndian(Crc(body))];
    }

    public static byte[] Header(uint width, uint height, int depth = 8, int type = 0, int compression = 0, int filter = 0, int interlace = 0) =>
        Chunk("IHDR", [.. BigEndian(width), .. BigEndian(height), (byte)depth, (byte)type, (byte)compression, (byte)filter, (byte)interlace]);

    /// <summary>The data chunk of rows that each begin with their filter.</summary>
    public static byte[] Data(params byte[] rows) => Chunk("IDAT", Zlib(rows));

    public static byte[] End() => Chunk("IEND");

    public static byte[] Zlib(byte[] bytes)
    {
        var compressed = new MemoryStream();
        using (var zlib = new ZLibStream(compressed, CompressionLevel.Optimal, leaveOpen: true))
            zlib.Write(bytes);
        return compressed.ToArray();
    }

    /// <summary>The same without compression, which is quick to make: fewer than 65,536 bytes.</summary>
    public static byte[] Stored(byte[] bytes)
    {
        uint low = 1, high = 0;
        foreach (byte value in bytes)
        {
            low = (low + value) % 65521;
            high = (high + low) % 65521;
        }
        return [0x78, 0x01, .. StoredBlock(bytes), .. BigEndian(high << 16 | low)];
    }

    /// <summary>The last block of a deflate stream (RFC 1951, section 3.2.4), not compressed.</summary>
    public static byte[] StoredBlock(byte[] bytes) =>
        [1, .. BitConverter.GetBytes((ushort)bytes.Length), .. BitConverter.GetBytes((ushort)~bytes.Length), .. bytes];

    /// <summary>Begin and length of every chunk, frame included, of a file that is whole.</summary>
    public static List<(int At, int Length)> Chunks(byte[] file)
    {
        var chunks = new List<(int, int)>();
        for (int at = Signature.Length; at < file.Length;)
        {
            int length = 12 + BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at));
            chunks.Add((at, length));
            at += length;
        }
        return chunks;
    }

    /// <summary>Checks signature, lengths and CRCs, inflates, unfilters, and looks colours up in the palette.</summary>
    public static (int Width, int Height, int Channels, byte[] Pixels) Decode(byte[] file)
    {
        Assert.Equal(Signature, file[..8]);
        int width = 0, height = 0, type = 0;
        byte[] palette = [], opacity = [];
        var compressed = new MemoryStream();
        foreach (var (at, framed) in Chunks(file))
        {
            string name = Encoding.ASCII.GetString(file, at + 4, 4);
            byte[] data = file[(at + 8)..(at + framed - 4)];
            Assert.Equal(Crc(file.AsSpan(at + 4, framed - 8)), BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at + framed - 4)));
            switch (name)
            {
                case "IHDR":
                    (width, height) = (BinaryPrimitives.ReadInt32BigEndian(data), BinaryPrimitives.ReadInt32BigEndian(data.AsSpan(4)));
                    Assert.Equal(8, data[8]);
                    type = data[9];
                    Assert.Equal([0, 0, 0], data[10..13]);
                    break;
                case "PLTE":
                    palette = data;
                    break;
                case "tRNS":
                    opacity = data;
                    break;
                case "IDAT":
                    compressed.Write(data);
                    break;
                default:
                    Assert.True(name == "IEND" ? at + framed == file.Length : char.IsAsciiLetterLower(name[0]), $"chunk {name}");
                    break;
            }
        }
        compressed.Position = 0;
        var raw = new MemoryStream();
        using (var zlib = new ZLibStream(compressed, CompressionMode.Decompress))
            zlib.CopyTo(raw);
        int channels = type switch { 0 or 3 => 1, 2 => 3, 4 => 2, 6 => 4, _ => throw new InvalidDataException() };
        byte[] pixels = Unfilter(raw.ToArray(), width * channels, height, channels);
        if (type != 3)
            return (width, height, channels, pixels);
        return opacity.Length == 0
            ? (width, height, 3, pixels.SelectMany(index => palette[(3 * index)..(3 * index + 3)]).ToArray())
            : (width, height, 4, pixels.SelectMany(
                index => palette[(3 * index)..(3 * index + 3)].Append(index < opacity.Length ? opacity[index] : (byte)255)).ToArray());
    }

    public static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        foreach (byte value in bytes)
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320 : 0);
        }
        return ~crc;
    }

    private static byte[] Unfilter(byte[] filtered, int stride, int height, int channels)
    {
        Assert.Equal((stride + 1) * height, filtered.Length);
        var pixels = new byte[stride * height];
        for (int y = 0; y < height; y++)
        {
            for (int i = 0; i < stride; i++)
            {
                int a = i >= channels ? pixels[y * stride + i - channels] : 0;
                int b = y > 0 ? pixels[(y - 1) * stride + i] : 0;
                int c = i >= channels && y > 0 ? pixels[(y - 1) * stride + i - channels] : 0;
                int p = a + b - c;
                int paeth = Math.Abs(p - a) <= Math.Abs(p - b) && Math.Abs(p - a) <= Math.Abs(p - c) ? a : Math.Abs(p - b) <= Math.Abs(p - c) ? b : c;
                int predicted = filtered[y * (stride + 1)] switch { 0 => 0, 1 => a, 2 => b, 3 => (a + b) / 2, 4 => paeth, _ => throw new InvalidDataException() };
                pixels[y * stride + i] = (byte)(filtered[y * (stride + 1) + 1 + i] + predicted);
            }
        }
        return pixels;
    }

    private static byte[] BigEndian(uint value) => [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value];
}
