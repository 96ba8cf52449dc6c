using RawDiffusion.Diffusion.Editing;
using RawDiffusion.IO;

namespace RawDiffusion.Tests.Diffusion.Editing;

public sealed class PictureFilesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Black_is_minus_one_and_white_one()
    {
        string path = Write([0, 255, 51], 3, 1, PngColor.Grey);
        float[] grey = PictureFiles.LoadImage(path, [1, 3, 1]).ToArray(), colours = PictureFiles.LoadImage(path, [1, 3, 3]).ToArray();
        Assert.Equal([-1f, 1, 51 / 127.5f - 1], grey);
        Assert.Equal([-1f, -1, -1, 1, 1, 1, grey[2], grey[2], grey[2]], colours);
        Assert.Equal(new Shape(1, 1, 3, 1), PictureFiles.LoadImage(path, [1, 3, 1]).Shape);
    }

    [Fact]
    public void Of_a_mask_light_is_known_and_dark_is_not()
    {
        string path = Write([0, 127, 128, 255], 2, 2, PngColor.Grey);
        var mask = PictureFiles.LoadMask(path, [2, 2, 3]);
        Assert.Equal(new Shape(2, 2, 1), mask.Shape);
        Assert.Equal([0f, 0, 1, 1], mask.ToArray());
    }

    [Fact]
    public void Of_a_mask_in_colour_the_mean_counts_and_what_is_transparent_is_not_known()
    {
        Assert.Equal([0f, 1], PictureFiles.LoadMask(Write([255, 0, 0, 255, 255, 0], 2, 1, PngColor.Rgb), [1, 2, 1]).ToArray());
        Assert.Equal([0f, 1, 0], PictureFiles.LoadMask(Write([255, 127, 255, 128, 0, 255], 3, 1, PngColor.GreyAlpha), [1, 3, 1]).ToArray());
    }

    [Fact]
    public void Another_size_is_refused_with_both()
    {
        string path = Write(new byte[6], 3, 2, PngColor.Grey);
        Assert.Contains("it is 3 x 2 pixels, and the samples of this model are 2 x 3", Assert.Throws<FileFormatException>(() => PictureFiles.LoadMask(path, [3, 2, 1])).Message);
        Assert.Contains("2 x 3", Assert.Throws<FileFormatException>(() => PictureFiles.LoadImage(path, [3, 2, 1])).Message);
    }

    private string Write(byte[] pixels, int width, int height, PngColor color)
    {
        string path = _folder["picture.png"];
        File.WriteAllBytes(path, Png.Encode(pixels, width, height, color));
        return path;
    }
}
