using RawDiffusion.IO;

namespace RawDiffusion.Tests;

/// <summary>There is a writer of GIF and no reader, so this is the other way about: any pictures are written and read back.</summary>
public class GifFuzzTests
{
    [Fact]
    public void AnyPicturesComeBack()
    {
        for (int number = 0; number < Fuzz.Iterations / 10; number++)
        {
            var random = new Random(number);
            int width = random.Next(1, 30), height = random.Next(1, 30);
            Image[] pictures = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => MakePicture(random, width, height))];
            using var file = new MemoryStream();
            using (var writer = new GifWriter(file, width, height))
            {
                foreach (var picture in pictures)
                    writer.Add(picture, 0.1);
            }
            var gif = GifBytes.Decode(file.ToArray());
            Assert.Equal(pictures.Length, gif.Frames.Count);
            for (int i = 0; i < pictures.Length; i++)
                Check(number, pictures[i].Pixels.ToArray(), gif.Frames[i].Pixels);
        }
    }

    private static void Check(int number, byte[] pixels, byte[] decoded)
    {
        var colors = new HashSet<(byte, byte, byte)>();
        for (int i = 0; i < pixels.Length; i += 3)
            colors.Add((pixels[i], pixels[i + 1], pixels[i + 2]));
        if (colors.Count <= 256)
        {
            Assert.True(pixels.AsSpan().SequenceEqual(decoded), $"picture {number}");
            return;
        }
        // At most 870 pixels of 257 colours and more share 256: on average they are nearer than in a cube cut into that many boxes.
        double error = pixels.Zip(decoded, (a, b) => Math.Abs(a - b)).Average();
        Assert.True(error < 12, $"picture {number} is off by {error} on average");
    }

    private static Image MakePicture(Random random, int width, int height)
    {
        var picture = new Image(width, height);
        int colors = random.Pick(1, 2, 3, 5, 16, 17, 200, 256, 257, 300, 1 << 24), run = random.Pick(1, 1, 2, 10, 100);
        bool grey = random.Next(3) == 0;
        byte[] color = new byte[3];
        for (int i = 0; i < width * height; i++)
        {
            if (i % run == 0)
                new Random(random.Next(colors)).NextBytes(color);
            if (grey)
                color.AsSpan().Fill(color[0]);
            color.CopyTo(picture.Pixels[(3 * i)..]);
        }
        return picture;
    }
}
