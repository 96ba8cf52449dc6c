using RawDiffusion.Diffusion.Plots;
using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public class HeatMapTests
{
    public static TheoryData<bool> Maps => [false, true];

    /// <summary>Judged by another measure of lightness than the one the maps are made by: CIE 1976 L*, of the luminance alone.</summary>
    [Theory]
    [MemberData(nameof(Maps))]
    public void TheLightnessOfAColourMapChangesEvenly(bool ember)
    {
        var map = ember ? ColorMap.Ember : ColorMap.Lagoon;
        double[] lightness = Enumerable.Range(0, 51).Select(i => Lightness(map[i / 50.0])).ToArray();
        double step = (lightness[^1] - lightness[0]) / 50;
        Assert.True(ember ? step > 1 : step < -1);
        // The measures differ, most in dark and in saturated colours, and a colour has 8 bits a channel.
        for (int i = 1; i < lightness.Length; i++)
            Assert.InRange((lightness[i] - lightness[i - 1]) / step, 0.3, 2);

        static double Lightness(Color color)
        {
            double luminance = 0.2126 * Linear(color.R) + 0.7152 * Linear(color.G) + 0.0722 * Linear(color.B);
            return luminance > 0.008856 ? 116 * Math.Cbrt(luminance) - 16 : 903.3 * luminance;
        }

        static double Linear(byte value) => value <= 10 ? value / 255.0 / 12.92 : Math.Pow((value / 255.0 + 0.055) / 1.055, 2.4);
    }

    [Fact]
    public void AColourMapGoesThroughItsColoursAndStopsAtItsEnds()
    {
        Color dark = new(20, 0, 60), middle = new(200, 30, 40), light = new(255, 255, 200);
        var map = new ColorMap(dark, middle, light);
        Assert.Equal(dark, map[0]);
        Assert.Equal(light, map[1]);
        Assert.Equal(dark, map[-3]);
        Assert.Equal(light, map[double.PositiveInfinity]);
        Assert.Contains(Enumerable.Range(0, 10_001), i => map[i / 10_000.0] == middle);
        Assert.Contains("two colours", Assert.Throws<ArgumentException>(() => new ColorMap(dark)).Message);
        Assert.Contains("does not go on", Assert.Throws<ArgumentException>(() => new ColorMap(dark, light, middle)).Message);
        Assert.Contains("does not go on", Assert.Throws<ArgumentException>(() => new ColorMap(dark, dark)).Message);
    }

    [Fact]
    public void CellsHaveTheColoursOfTheirValuesFromBelowUpwards()
    {
        var image = Render(axes => axes.HeatMap(Tensor.From([0f, 1f, 2f, 3f, float.NaN, 4f], [2, 3]), (0, 3), (0, 2), range: (0, 4)), out var box);
        for (int column = 0; column < 3; column++)
        {
            for (int row = 0; row < 2; row++)
            {
                var expected = (row, column) == (1, 1) ? Color.White : ColorMap.Ember[(3 * row + column) / 4.0];
                // Near the middle of the cell and near two of its corners: away from grid lines, where there is no cell.
                foreach (double part in new[] { 0.1, 0.45, 0.9 })
                    Assert.Equal(expected, At(image, box, (column + part) / 3, (row + part) / 2));
            }
        }
    }

    [Fact]
    public void TheBarShowsAllColours()
    {
        var image = Render(axes => axes.HeatMap(Tensor.From([1f, 2f], [1, 2]), (0, 1), (0, 1)), out var box);
        // Somewhere to the right of the box is a column of pixels that begins and ends as the map does.
        int found = 0;
        for (int x = box.Right + 2; x < image.Width; x++)
        {
            if (Pixel(image, x, box.Top + 3) == ColorMap.Ember[1 - 3.5 / (box.Bottom - box.Top)] &&
                Pixel(image, x, (box.Top + box.Bottom) / 2) == ColorMap.Ember[1 - 0.5 - 0.5 / (box.Bottom - box.Top)])
                found++;
        }
        Assert.InRange(found, 8, 20);
    }

    [Fact]
    public void DensityIsTheShareOfPointsPerArea()
    {
        // Of five points, two are in the lower left quarter of [0, 4] x [0, 4], one in the upper right, one outside, one is nowhere
        // and does not count: 2 / 4 and 1 / 4 of them on 4 units of area.
        var points = Tensor.From([0.5f, 0.5f, 1.9f, 0f, 3f, 3f, 9f, 9f, float.NaN, 1f], [5, 2]);
        var image = Render(axes => axes.Density(points, bins: 2, x: (0, 4), y: (0, 4), range: (0, 0.25)), out var box);
        Assert.Equal(ColorMap.Lagoon[0.5], At(image, box, 0.3, 0.3));
        Assert.Equal(ColorMap.Lagoon[0.25], At(image, box, 0.8, 0.8));
        Assert.Equal(ColorMap.Lagoon[0], At(image, box, 0.8, 0.3));
        // Without a range the densest cell has the last colour.
        image = Render(axes => axes.Density(points, bins: 2, x: (0, 4), y: (0, 4)), out box);
        Assert.Equal(ColorMap.Lagoon[1], At(image, box, 0.3, 0.3));
        Assert.Equal(ColorMap.Lagoon[0.5], At(image, box, 0.8, 0.8));
        // Logarithmic: the densest and the thinnest cell are the ends, and an empty one shows the paper.
        image = Render(axes => axes.Density(points, bins: 2, x: (0, 4), y: (0, 4), logarithmic: true, colors: ColorMap.Ember), out box);
        Assert.Equal(ColorMap.Ember[1], At(image, box, 0.3, 0.3));
        Assert.Equal(ColorMap.Ember[0], At(image, box, 0.8, 0.8));
        Assert.Equal(Color.White, At(image, box, 0.8, 0.3));
    }

    [Fact]
    public void AnythingCanBeShown()
    {
        var figure = new Figure { PanelWidth = 80, PanelHeight = 60, Columns = 3 };
        figure.AddAxes("no points").Density(Tensor.From(ReadOnlySpan<float>.Empty, [0, 2]));
        figure.AddAxes("one point").Density(Tensor.From([1f, 1f], [1, 2]), logarithmic: true);
        figure.AddAxes("nothing finite").HeatMap(Tensor.From([float.NaN], [1, 1]), (0, 1), (0, 1), "label");
        figure.AddAxes("nothing positive").HeatMap(Tensor.From([-1f, 0f], [1, 2]), (0, 1), (0, 1), logarithmic: true);
        figure.AddAxes("all equal").HeatMap(Tensor.Ones([2, 2]), (0, 1), (0, 1));
        var log = figure.AddAxes("logarithmic axis");
        log.LogY = true;
        log.HeatMap(Tensor.From([3.1f, 4.4f], [2, 1]), (0, 1), (1, 100), logarithmic: true);
        log.Plot([0, 1], [1, 100], "line");
        var image = figure.Render();
        Assert.True(image.Width > 3 * 110 && image.Height > 2 * 80);
    }

    [Fact]
    public void WhatMakesNoMapIsRefused()
    {
        var axes = new Figure().AddAxes();
        var values = Tensor.Ones([2, 2]);
        Assert.Contains("[2]", Assert.Throws<ArgumentException>(() => axes.HeatMap(Tensor.Ones([2]), (0, 1), (0, 1))).Message);
        Assert.Contains("[0, 2]", Assert.Throws<ArgumentException>(() => axes.HeatMap(Tensor.Empty([0, 2]), (0, 1), (0, 1))).Message);
        Assert.Contains("no area", Assert.Throws<ArgumentException>(() => axes.HeatMap(values, (1, 1), (0, 1))).Message);
        Assert.Contains("positive ends", Assert.Throws<ArgumentException>(() => axes.HeatMap(values, (0, 1), (0, 1), logarithmic: true, range: (0, 1))).Message);
        Assert.Contains("[2, 3]", Assert.Throws<ArgumentException>(() => axes.Density(Tensor.Ones([2, 3]))).Message);
        Assert.Contains("bins", Assert.Throws<ArgumentOutOfRangeException>(() => axes.Density(values, bins: 0)).Message);
        axes.HeatMap(values, (0, 1), (0, 1));
        Assert.Contains("already", Assert.Throws<InvalidOperationException>(() => axes.Density(values)).Message);
    }

    /// <summary>A figure of one panel without labels, and where its box is: what the dark frame of the axes surrounds.</summary>
    private static Image Render(Action<Axes> draw, out (int Left, int Top, int Right, int Bottom) box)
    {
        var figure = new Figure { PanelWidth = 120, PanelHeight = 100, PixelsPerPoint = 1 };
        draw(figure.AddAxes());
        var image = figure.Render();
        // The corner from which ink goes 100 pixels to the right and downwards; a tick mark goes to the left of it.
        var (left, top) = (
            from y in Enumerable.Range(0, image.Height - 100)
            from x in Enumerable.Range(0, image.Width - 100)
            where Enumerable.Range(0, 100).All(i => Pixel(image, x + i, y) == Color.Ink && Pixel(image, x, y + i) == Color.Ink)
            select (x, y)).First();
        box = (left, top, left + 120, top + 100);
        return image;
    }

    /// <summary>The colour at a place in the box, from its lower left corner to its upper right.</summary>
    private static Color At(Image image, (int Left, int Top, int Right, int Bottom) box, double x, double y) =>
        Pixel(image, (int)(box.Left + x * (box.Right - box.Left)), (int)(box.Bottom - y * (box.Bottom - box.Top)));

    private static Color Pixel(Image image, int x, int y) => new(image[x, y][0], image[x, y][1], image[x, y][2]);
}
