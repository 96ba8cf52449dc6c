using RawDiffusion.Diffusion.Plots;
using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public class ImageGridTests
{
    [Fact]
    public void ImagesAreLaidOutInRows()
    {
        // Three 1x2 images in two columns, padding 1: 2 * (2 + 1) + 1 = 7 wide, 2 * (1 + 1) + 1 = 5 tall.
        var images = Tensor.From([-1f, 1f, 0f, -2f, 2f, float.NaN], [3, 1, 2, 1]);
        var grid = new ImageGrid { Columns = 2, Padding = 1 }.Render(images);
        Assert.Equal((7, 5), (grid.Width, grid.Height));
        Assert.Equal(
        [
            128, 128, 128, 128, 128, 128, 128,
            128, 0, 255, 128, 128, 0, 128,
            128, 128, 128, 128, 128, 128, 128,
            128, 255, 0, 128, 128, 128, 128,
            128, 128, 128, 128, 128, 128, 128,
        ],
        Red(grid));
    }

    [Fact]
    public void RangeAndZoomAreApplied()
    {
        var grid = new ImageGrid { Range = (0, 1), Padding = 0, Zoom = 2 }.Render(Tensor.From([0f, 0.5f, 1f, 1f, 1f, 0f], [1, 1, 2, 3]));
        Assert.Equal((4, 2), (grid.Width, grid.Height));
        for (int y = 0; y < 2; y++)
        {
            Assert.Equal([0, 128, 255], grid[0, y].ToArray());
            Assert.Equal([0, 128, 255], grid[1, y].ToArray());
            Assert.Equal([255, 255, 0], grid[2, y].ToArray());
            Assert.Equal([255, 255, 0], grid[3, y].ToArray());
        }
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(5, 3, 2)]
    [InlineData(64, 8, 8)]
    public void WithoutColumnsTheGridIsAboutSquare(int count, int columns, int rows)
    {
        var grid = new ImageGrid { Padding = 0 }.Render(Tensor.Zeros([count, 3, 4, 1]));
        Assert.Equal((columns * 4, rows * 3), (grid.Width, grid.Height));
    }

    [Fact]
    public void CaptionsStandBelowTheirImagesAndLeaveThemAlone()
    {
        var images = Tensor.Full([4, 20, 30, 1], -1);
        var plain = new ImageGrid { Columns = 2 }.Render(images);
        var grid = new ImageGrid { Columns = 2, Captions = ["7", "", "much too long for it", "3"] }.Render(images);
        Assert.Equal(plain.Width, grid.Width);
        int step = (grid.Height - 2) / 2, band = step - 22;
        Assert.InRange(band, 12, 20);
        for (int n = 0; n < 4; n++)
        {
            int left = 2 + n % 2 * 32, top = 2 + n / 2 * step;
            Assert.Equal(n != 1, Brightest(grid, left, top + 20, 30, band) > 200);
            // Neither the image nor the gap beside the caption is written on.
            Assert.Equal(0, Brightest(grid, left, top, 30, 20));
            Assert.Equal(128, Brightest(grid, left - 2, top + 20, 2, band));
        }
    }

    [Theory]
    [InlineData(2, 3, 3)]
    [InlineData(2, 3, 3, 2)]
    [InlineData(0, 3, 3, 1)]
    public void WhatIsNotImagesIsRefused(params int[] shape)
    {
        var error = Assert.Throws<ArgumentException>(() => new ImageGrid().Render(Tensor.Empty(new Shape(shape))));
        Assert.Contains($"[{string.Join(", ", shape)}]", error.Message);
    }

    [Fact]
    public void PropertiesThatDoNotFitAreRefused()
    {
        var images = Tensor.Zeros([2, 3, 3, 1]);
        Assert.Contains("1 captions for 2 images", Refusal(new ImageGrid { Captions = ["one"] }));
        Assert.Contains("low end 1 must be below", Refusal(new ImageGrid { Range = (1, 1) }));
        Assert.Contains("Zoom", Refusal(new ImageGrid { Zoom = 0 }));
        Assert.Contains("Padding", Refusal(new ImageGrid { Padding = -1 }));
        Assert.Contains("Columns", Refusal(new ImageGrid { Columns = -1 }));

        string Refusal(ImageGrid grid) => Assert.ThrowsAny<ArgumentException>(() => grid.Render(images)).Message;
    }

    private static byte[] Red(Image image) => image.Pixels.ToArray().Where((_, i) => i % Image.Channels == 0).ToArray();

    private static int Brightest(Image image, int left, int top, int width, int height)
    {
        int brightest = 0;
        for (int y = top; y < top + height; y++)
        {
            for (int x = left; x < left + width; x++)
                brightest = Math.Max(brightest, image[x, y][0]);
        }
        return brightest;
    }
}
