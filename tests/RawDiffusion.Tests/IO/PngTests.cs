using System.Buffers.Binary;
using System.IO.Compression;
using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public class PngTests
{
    [Theory]
    [InlineData(PngColor.Grey, 1, 1)]
    [InlineData(PngColor.Grey, 33, 7)]
    [InlineData(PngColor.Rgb, 17, 31)]
    [InlineData(PngColor.Rgba, 5, 64)]
    public void PixelsSurviveAPlainDecoder(PngColor color, int width, int height)
    {
        // A gradient, noise and flat rows, so that different rows choose different filters.
        var random = new Random(7);
        var pixels = new byte[width * height * (int)color];
        for (int i = 0; i < pixels.Length; i++)
        {
            int y = i / (width * (int)color);
            pixels[i] = (byte)(y % 3 == 0 ? random.Next(256) : y % 3 == 1 ? i * 2 + y : 77);
        }
        var decoded = Decode(Png.Encode(pixels, width, height, color));
        Assert.Equal((width, height, (int)color), (decoded.Width, decoded.Height, decoded.Channels));
        Assert.Equal(pixels, decoded.Pixels);
    }

    [Fact]
    public void TheChecksumIsTheStandardOne()
    {
        // The last chunk of every PNG, a constant of the specification.
        byte[] file = Png.Encode([0], 1, 1, PngColor.Grey);
        Assert.Equal([0, 0, 0, 0, (byte)'I', (byte)'E', (byte)'N', (byte)'D', 0xAE, 0x42, 0x60, 0x82], file[^12..]);
    }

    [Fact]
    public void ExtentsAndBytesMustAgree()
    {
        Assert.Contains("not 5", Assert.Throws<ArgumentException>(() => Png.Encode(new byte[5], 2, 1, PngColor.Rgb)).Message);
        Assert.Throws<ArgumentException>(() => Png.Encode([], 0, 1, PngColor.Grey));
    }

    [Fact]
    public void AGreyPictureIsWrittenAsGrey()
    {
        var image = new Image(3, 2);
        image.Pixels.Fill(9);
        Assert.Equal(1, Decode(image.EncodePng()).Channels);
        image[2, 1][0] = 10;
        var decoded = Decode(image.EncodePng());
        Assert.Equal(3, decoded.Channels);
        Assert.Equal(image.Pixels.ToArray(), decoded.Pixels);
    }

    /// <summary>A second, plain reading of the specification: checks signature, lengths and CRCs, inflates and unfilters.</summary>
    internal static (int Width, int Height, int Channels, byte[] Pixels) Decode(byte[] file)
    {
        Assert.Equal([137, 80, 78, 71, 13, 10, 26, 10], file[..8]);
        int width = 0, height = 0, channels = 0;
        var compressed = new MemoryStream();
        for (int at = 8; at < file.Length;)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at));
            string type = System.Text.Encoding.ASCII.GetString(file, at + 4, 4);
            byte[] data = file[(at + 8)..(at + 8 + length)];
            Assert.Equal(BitwiseCrc(file.AsSpan(at + 4, length + 4)), BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at + 8 + length)));
            at += 12 + length;
            if (type == "IHDR")
            {
                (width, height) = (BinaryPrimitives.ReadInt32BigEndian(data), BinaryPrimitives.ReadInt32BigEndian(data.AsSpan(4)));
                Assert.Equal(8, data[8]);
                channels = data[9] switch { 0 => 1, 2 => 3, 6 => 4, _ => throw new InvalidDataException() };
                Assert.Equal([0, 0, 0], data[10..13]);
            }
            else if (type == "IDAT")
            {
                compressed.Write(data);
            }
            else
            {
                Assert.Equal("IEND", type);
                Assert.Equal(file.Length, at);
            }
        }
        compressed.Position = 0;
        var raw = new MemoryStream();
        new ZLibStream(compressed, CompressionMode.Decompress).CopyTo(raw);
        int stride = width * channels;
        byte[] filtered = raw.ToArray(), pixels = new byte[stride * height];
        Assert.Equal((stride + 1) * height, filtered.Length);
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
        return (width, height, channels, pixels);
    }

    private static uint BitwiseCrc(ReadOnlySpan<byte> bytes)
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
}
