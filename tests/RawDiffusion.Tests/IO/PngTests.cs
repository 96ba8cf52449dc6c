using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public sealed class PngTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(PngColor.Grey, 1, 1)]
    [InlineData(PngColor.Grey, 33, 7)]
    [InlineData(PngColor.GreyAlpha, 8, 9)]
    [InlineData(PngColor.Rgb, 17, 31)]
    [InlineData(PngColor.Rgba, 5, 64)]
    public void PixelsSurvive(PngColor color, int width, int height)
    {
        // A gradient, noise and flat rows, so that different rows choose different filters.
        var random = new Random(7);
        var pixels = new byte[width * height * (int)color];
        for (int i = 0; i < pixels.Length; i++)
        {
            int y = i / (width * (int)color);
            pixels[i] = (byte)(y % 3 == 0 ? random.Next(256) : y % 3 == 1 ? i * 2 + y : 77);
        }
        byte[] file = Png.Encode(pixels, width, height, color);
        var plain = PngBytes.Decode(file);
        Assert.Equal((width, height, (int)color), (plain.Width, plain.Height, plain.Channels));
        Assert.Equal(pixels, plain.Pixels);
        var decoded = Png.Decode("x.png", file);
        Assert.Equal((width, height, color), (decoded.Width, decoded.Height, decoded.Color));
        Assert.Equal(pixels, decoded.Pixels);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void EveryFilterIsUndone(byte filter)
    {
        var random = new Random(filter);
        const int Width = 5, Height = 4, Channels = 3;
        byte[] rows = new byte[Height * (1 + Width * Channels)];
        random.NextBytes(rows);
        for (int y = 0; y < Height; y++)
            rows[y * (1 + Width * Channels)] = filter;
        byte[] file = PngBytes.File(PngBytes.Header(Width, Height, type: 2), PngBytes.Data(rows), PngBytes.End());
        Assert.Equal(PngBytes.Decode(file).Pixels, Png.Decode("x.png", file).Pixels);
    }

    [Fact]
    public void APaletteIsLookedUp()
    {
        byte[] palette = PngBytes.Chunk("PLTE", 1, 2, 3, 40, 50, 60), data = PngBytes.Data(0, 1, 0, 0, 0, 1);
        var opaque = Png.Decode("x.png", PngBytes.File(PngBytes.Header(2, 2, type: 3), palette, data, PngBytes.End()));
        Assert.Equal(PngColor.Rgb, opaque.Color);
        Assert.Equal([40, 50, 60, 1, 2, 3, 1, 2, 3, 40, 50, 60], opaque.Pixels);
        var clear = Png.Decode("x.png", PngBytes.File(PngBytes.Header(2, 2, type: 3), palette, PngBytes.Chunk("tRNS", 9), data, PngBytes.End()));
        Assert.Equal(PngColor.Rgba, clear.Color);
        Assert.Equal([40, 50, 60, 255, 1, 2, 3, 9, 1, 2, 3, 9, 40, 50, 60, 255], clear.Pixels);
    }

    [Fact]
    public void DataMayComeInPiecesAndAmongRemarks()
    {
        byte[] zlib = PngBytes.Zlib([0, 7, 8, 0, 9, 10]);
        byte[][] pieces = zlib.Select(value => PngBytes.Chunk("IDAT", value)).ToArray();
        byte[] file = PngBytes.File(
            [PngBytes.Header(2, 2), PngBytes.Chunk("gAMA", 0, 0, 0, 1), .. pieces, PngBytes.Chunk("IDAT"), PngBytes.Chunk("tEXt", 65, 0, 66), PngBytes.End()]);
        Assert.Equal([7, 8, 9, 10], Png.Decode("x.png", file).Pixels);
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
        Assert.Equal(PngColor.Grey, Png.Decode("x.png", image.EncodePng()).Color);
        image[2, 1][0] = 10;
        var decoded = Png.Decode("x.png", image.EncodePng());
        Assert.Equal(PngColor.Rgb, decoded.Color);
        Assert.Equal(image.Pixels.ToArray(), decoded.Pixels);
    }

    [Theory]
    [InlineData(PngColor.Grey, new byte[] { 100 }, new byte[] { 100, 100, 100 })]
    [InlineData(PngColor.GreyAlpha, new byte[] { 100, 0 }, new byte[] { 255, 255, 255 })]
    [InlineData(PngColor.Rgb, new byte[] { 1, 2, 3 }, new byte[] { 1, 2, 3 })]
    [InlineData(PngColor.Rgba, new byte[] { 0, 100, 255, 51 }, new byte[] { 204, 224, 255 })]
    public void AnImageIsLoadedAsRgbOnWhite(PngColor color, byte[] pixel, byte[] expected)
    {
        File.WriteAllBytes(Path, Png.Encode([.. pixel, .. pixel], 1, 2, color));
        var image = Image.Load(Path);
        Assert.Equal((1, 2), (image.Width, image.Height));
        Assert.Equal(expected, image[0, 0].ToArray());
        Assert.Equal(expected, image[0, 1].ToArray());
    }

    private static readonly byte[] s_header = PngBytes.Header(1, 1), s_data = PngBytes.Data(0, 7), s_end = PngBytes.End();
    private static readonly byte[] s_palette = PngBytes.Chunk("PLTE", 1, 2, 3), s_indexed = PngBytes.Header(1, 1, type: 3);

    public static TheoryData<byte[], string> Malformed => new()
    {
        { [], "does not begin like a PNG file" },
        { [1, 2, 3], "does not begin like a PNG file" },
        { PngBytes.Signature, "cut short: its last chunk, IEND" },
        { PngBytes.File(s_header, s_data), "cut short: its last chunk, IEND" },
        { PngBytes.File(s_header, s_data, s_end)[..^1], "cut short: its last chunk, IEND" },
        { PngBytes.File(s_header, s_data)[..^1], "cut short: its chunk IDAT needs" },
        { PngBytes.File(s_header, s_end), "has no data" },
        { PngBytes.File(s_data, s_header, s_end), "begins with IDAT and not with its header" },
        { PngBytes.File(s_header, s_header, s_data, s_end), "two headers" },
        { PngBytes.File(s_header, s_data, s_end, [0]), "1 bytes follow its last chunk" },
        { PngBytes.File(s_header, s_data, PngBytes.Chunk("IEND", 1)), "IEND, is not empty" },
        { PngBytes.File(s_header, s_data, PngBytes.Chunk("tEXt"), s_data, s_end), "tEXt stands between its data chunks" },
        { PngBytes.File(s_header, PngBytes.Chunk("ABCD"), s_data, s_end), "has a chunk ABCD" },
        { PngBytes.File(s_header, PngBytes.Chunk("ab\u001bd"), s_data, s_end), "no chunk at byte 33" },
        { PngBytes.File(s_header, Wrong(s_data), s_end), "checksum of its chunk IDAT at byte 33 is wrong" },
        { PngBytes.File(s_header, Wrong(PngBytes.Chunk("tEXt", 1)), s_data, s_end), "checksum of its chunk tEXt" },
        { PngBytes.File(PngBytes.Chunk("IHDR", new byte[12]), s_data, s_end), "header has 12 bytes and not 13" },
        { PngBytes.File(PngBytes.Header(0, 1), s_data, s_end), "0 x 1 pixels is impossible" },
        { PngBytes.File(PngBytes.Header(1, 1u << 31), s_data, s_end), "1 x 2147483648 pixels is impossible" },
        { PngBytes.File(PngBytes.Header(1, 1, depth: 16), s_data, s_end), "has 16 bits a channel; 8 can be read" },
        { PngBytes.File(PngBytes.Header(1, 1, depth: 3), s_data, s_end), "3 bits a channel are impossible" },
        { PngBytes.File(PngBytes.Header(1, 1, type: 5), s_data, s_end), "no colour type 5" },
        { PngBytes.File(PngBytes.Header(1, 1, compression: 1), s_data, s_end), "compression 1" },
        { PngBytes.File(PngBytes.Header(1, 1, filter: 1), s_data, s_end), "filtering 1" },
        { PngBytes.File(PngBytes.Header(1, 1, interlace: 1), s_data, s_end), "interlaced, which cannot be read" },
        { PngBytes.File(PngBytes.Header(1, 1, interlace: 2), s_data, s_end), "no interlacing 2" },
        { PngBytes.File(s_header, PngBytes.Data(5, 7), s_end), "no filter 5" },
        { PngBytes.File(s_header, PngBytes.Data(0), s_end), "data end within row 0 of 1" },
        { PngBytes.File(s_header, PngBytes.Data(0, 7, 8), s_end), "data go on after the last of 1 rows" },
        { PngBytes.File(s_header, PngBytes.Chunk("IDAT", PngBytes.Zlib([0, 7])[..^1]), s_end), "data are cut short" },
        { PngBytes.File(s_header, PngBytes.Chunk("IDAT", [.. PngBytes.Zlib([0, 7]), 0]), s_end), "something follows the end of its compressed data" },
        { PngBytes.File(s_header, PngBytes.Chunk("IDAT", 1, 2, 3, 4), s_end), "compressed data are damaged" },
        { PngBytes.File(s_header, PngBytes.Chunk("IDAT", [.. PngBytes.Zlib([0, 7])[..^1], 0]), s_end), "compressed data are damaged" },
        // A zlib stream that begins by asking for a dictionary (RFC 1950, FDICT).
        { PngBytes.File(s_header, PngBytes.Chunk("IDAT", 0x78, 0x20, 0, 0, 0, 1, 3, 0), s_end), "compressed data are damaged" },
        { PngBytes.File(s_indexed, s_data, s_end), "has no palette" },
        { PngBytes.File(s_indexed, s_palette, s_palette, s_data, s_end), "two palettes" },
        { PngBytes.File(s_indexed, s_data, s_palette, s_end), "palette comes after its data" },
        { PngBytes.File(s_header, s_palette, s_data, s_end), "is grey and has a palette" },
        { PngBytes.File(s_indexed, PngBytes.Chunk("PLTE", 1, 2), s_data, s_end), "a palette of 2 bytes is impossible" },
        { PngBytes.File(s_indexed, PngBytes.Chunk("PLTE"), s_data, s_end), "a palette of 0 bytes is impossible" },
        { PngBytes.File(s_indexed, PngBytes.Chunk("PLTE", new byte[771]), s_data, s_end), "a palette of 771 bytes is impossible" },
        { PngBytes.File(s_indexed, s_palette, s_data, s_end), "a pixel has colour 7 of a palette of 1" },
        { PngBytes.File(s_indexed, s_palette, PngBytes.Chunk("tRNS", 1, 2), s_data, s_end), "tRNS says of 2 colours" },
        { PngBytes.File(s_indexed, PngBytes.Chunk("tRNS", 1), s_palette, s_data, s_end), "tRNS must stand between" },
        { PngBytes.File(s_indexed, s_palette, PngBytes.Chunk("tRNS", 1), PngBytes.Chunk("tRNS", 1), s_data, s_end), "says twice" },
        { PngBytes.File(s_header, PngBytes.Chunk("tRNS", 0, 1), s_data, s_end), "transparent colour (tRNS), which cannot be read" },
        { PngBytes.File(PngBytes.Header(1, 1, type: 6), PngBytes.Chunk("tRNS", 0, 1), s_data, s_end), "contradict each other" },
        { PngBytes.File(PngBytes.Header(4000, 4000), s_data, s_end), "compressed bytes cannot hold 4000 x 4000 pixels" },
        { PngBytes.File(PngBytes.Header(int.MaxValue, int.MaxValue, type: 6), s_data, s_end), "cannot hold 2147483647 x 2147483647 pixels" },
        { PngBytes.File(PngBytes.Header(20_000, 20_000), PngBytes.Chunk("IDAT", new byte[1 << 20]), s_end), "20000 x 20000 pixels are more than the" },
    };

    [Theory]
    [MemberData(nameof(Malformed))]
    public void AMalformedFileIsRefusedWithOneLineAndLittleMemory(byte[] file, string reason)
    {
        File.WriteAllBytes(Path, file);
        long before = GC.GetAllocatedBytesForCurrentThread();
        string message = Assert.Throws<FileFormatException>(() => Png.Load(Path)).Message;
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, (1 << 17) + 3 * file.Length);
        Assert.StartsWith($"{Path}: ", message);
        Assert.Contains(reason, message);
        Assert.DoesNotContain(message, char.IsControl);
    }

    [Fact]
    public void EveryTruncationAndEveryChangedByteIsRefused()
    {
        byte[] whole = Png.Encode(Enumerable.Range(0, 60).Select(i => (byte)(i * i)).ToArray(), 4, 5, PngColor.Rgb);
        for (int length = 0; length < whole.Length; length++)
            Assert.Throws<FileFormatException>(() => Png.Decode("x.png", whole[..length]));
        for (int at = 0; at < whole.Length; at++)
        {
            byte[] damaged = [.. whole];
            damaged[at] ^= 4;
            Assert.Throws<FileFormatException>(() => Png.Decode("x.png", damaged));
        }
    }

    /// <summary>A small file that inflates to much more than its header says is left alone after one byte too many.</summary>
    [Fact]
    public void InflatingStopsAtTheSizeOfThePicture()
    {
        byte[] file = PngBytes.File(s_header, PngBytes.Data(new byte[64 << 20]), s_end);
        Assert.InRange(file.Length, 0, 1 << 17);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("go on after", Assert.Throws<FileFormatException>(() => Png.Decode("x.png", file)).Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, (1 << 17) + 3 * file.Length);
    }

    private static byte[] Wrong(byte[] chunk) => [.. chunk[..^1], (byte)(chunk[^1] ^ 1)];

    private string Path => _folder["x.png"];
}
