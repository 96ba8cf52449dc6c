using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public class GifTests
{
    [Fact]
    public void GreyIsExact()
    {
        var image = new Image(256, 3);
        for (int i = 0; i < image.Pixels.Length; i++)
            image.Pixels[i] = (byte)(i / 3);
        var gif = Decode((image, 0.5));
        Assert.Equal((256, 3, 0), (gif.Width, gif.Height, gif.Loops));
        Assert.Equal(50, Assert.Single(gif.Frames).Delay);
        Assert.Equal(image.Pixels.ToArray(), gif.Frames[0].Pixels);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(17)]
    [InlineData(128)]
    [InlineData(256)]
    public void UpTo256ColoursAreExact(int count)
    {
        var random = new Random(count);
        byte[][] colors = Enumerable.Range(0, count).Select(i => new[] { (byte)i, (byte)random.Next(256), (byte)(i + 1) }).ToArray();
        var image = new Image(31, 57);
        for (int y = 0; y < image.Height; y++)
        {
            for (int x = 0; x < image.Width; x++)
                colors[y * image.Width + x < count ? y * image.Width + x : random.Next(count)].CopyTo(image[x, y]);
        }
        Assert.Equal(image.Pixels.ToArray(), Decode((image, 0.1)).Frames[0].Pixels);
    }

    [Fact]
    public void FramesOfGreyAndColourMayAlternate()
    {
        Image grey = new(5, 4), color = new(5, 4);
        color[2, 2][0] = 200;
        grey[1, 1].Fill(77);
        var gif = Decode((grey, 0.01), (color, 0.02), (grey, 655.35));
        Assert.Equal([1, 2, 65535], gif.Frames.Select(frame => frame.Delay));
        Assert.Equal(grey.Pixels.ToArray(), gif.Frames[0].Pixels);
        Assert.Equal(color.Pixels.ToArray(), gif.Frames[1].Pixels);
        Assert.Equal(grey.Pixels.ToArray(), gif.Frames[2].Pixels);
    }

    /// <summary>More runs than there are codes, twelve-bit codes, and a run that is used in the step in which it is learned.</summary>
    [Theory]
    [InlineData("noise", 300)]
    [InlineData("flat", 2000)]
    [InlineData("stripes", 700)]
    public void LargePicturesOfAllKindsAreExact(string kind, int side)
    {
        var random = new Random(1);
        var image = new Image(side, side);
        for (int i = 0; i < side * side; i++)
            image.Pixels.Slice(3 * i, 3).Fill((byte)(kind == "noise" ? random.Next(256) : kind == "flat" ? 9 : i * i / 100));
        Assert.Equal(image.Pixels.ToArray(), Decode((image, 0.1)).Frames[0].Pixels);
    }

    /// <summary>256 colours cut the cube into boxes 40 wide; the mean distance from the middle of one, along an axis, is a quarter of that.</summary>
    [Fact]
    public void ManyColoursAreReplacedByNearOnes()
    {
        var random = new Random(3);
        Image uniform = new(200, 200), smooth = new(200, 200);
        random.NextBytes(uniform.Pixels);
        for (int y = 0; y < 200; y++)
        {
            for (int x = 0; x < 200; x++)
                (smooth[x, y][0], smooth[x, y][1], smooth[x, y][2]) = ((byte)x, (byte)y, (byte)((x + y) / 2));
        }
        Assert.InRange(Error(uniform), 0, 12);
        // A surface in the cube takes far fewer boxes than all of it: 16 x 16 of them, 12.5 wide.
        Assert.InRange(Error(smooth), 0, 4);

        static double Error(Image image)
        {
            byte[] decoded = Decode((image, 0.1)).Frames[0].Pixels, pixels = image.Pixels.ToArray();
            return pixels.Zip(decoded, (a, b) => Math.Abs(a - b)).Average();
        }
    }

    /// <summary>The lines of a grid of coloured noise, for example, stay grey.</summary>
    [Theory]
    [InlineData(128, 128, 128)]
    [InlineData(250, 20, 30)]
    [InlineData(0, 0, 0)]
    public void AColourOfManyPixelsStaysAsItIsAmongManyOthers(byte red, byte green, byte blue)
    {
        var random = new Random(4);
        var image = new Image(100, 100);
        random.NextBytes(image.Pixels);
        for (int i = 0; i < 1000; i++)
            new[] { red, green, blue }.CopyTo(image.Pixels[(3 * i)..]);
        byte[] decoded = Decode((image, 0.1)).Frames[0].Pixels;
        // A few of the other 9,000 pixels share its box.
        Assert.InRange(Math.Abs(decoded[0] - red) + Math.Abs(decoded[1] - green) + Math.Abs(decoded[2] - blue), 0, 3);
    }

    [Fact]
    public void MemoryDoesNotGrowWithTheNumberOfFrames()
    {
        var image = new Image(40, 40);
        using var gif = new GifWriter(Stream.Null, 40, 40);
        gif.Add(image, 0.1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
            gif.Add(image, 0.1);
        // The set that counts the colours of a frame.
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / 1000, 0, 1000);
    }

    [Fact]
    public void WhatCannotBeWrittenIsRefused()
    {
        Assert.Contains("0 x 5", Assert.Throws<ArgumentException>(() => new GifWriter(Stream.Null, 0, 5)).Message);
        Assert.Contains("5 x 65536", Assert.Throws<ArgumentException>(() => new GifWriter(Stream.Null, 5, 65536)).Message);
        var gif = new GifWriter(Stream.Null, 2, 3);
        Assert.Contains("3 x 2 in a GIF of 2 x 3", Assert.Throws<ArgumentException>(() => gif.Add(new Image(3, 2), 0.1)).Message);
        foreach (double seconds in new[] { 0, -1, double.NaN, 656 })
            Assert.Contains("655.35 seconds", Assert.Throws<ArgumentException>(() => gif.Add(new Image(2, 3), seconds)).Message);
        gif.Dispose();
        Assert.Throws<ObjectDisposedException>(() => gif.Add(new Image(2, 3), 0.1));
    }

    private static GifBytes Decode(params (Image Picture, double Seconds)[] frames)
    {
        using var stream = new MemoryStream();
        using (var gif = new GifWriter(stream, frames[0].Picture.Width, frames[0].Picture.Height))
        {
            foreach (var (picture, seconds) in frames)
                gif.Add(picture, seconds);
        }
        return GifBytes.Decode(stream.ToArray());
    }
}
