using RawDiffusion.Diffusion.Plots;
using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public class PlotTests
{
    [Theory]
    [InlineData(0, 1, 6, "0 0.2 0.4 0.6 0.8 1.0")]
    [InlineData(-2.2, 2.2, 5, "−2 −1 0 1 2")]
    [InlineData(0.1, 0.9, 3, "0.25 0.50 0.75")]
    [InlineData(0, 20000, 5, "0 5000 10000 15000 20000")]
    [InlineData(-1e7, 2e7, 4, "−1×10^{7} 0 1×10^{7} 2×10^{7}")]
    [InlineData(0, 0.0003, 4, "0 1×10^{−4} 2×10^{−4} 3×10^{−4}")]
    public void LinearTicksAreRoundNumbers(double low, double high, int most, string labels) =>
        Assert.Equal(labels, Labels(Ticks.Linear(low, high, most)));

    [Theory]
    [InlineData(0.004, 300, 10, "10^{−2} 10^{−1} 10^{0} 10^{1} 10^{2}")]
    [InlineData(0.9, 11, 10, "1 2 5 10")]
    [InlineData(8.2, 610, 6, "10 20 50 100 200 500")]
    [InlineData(2.1, 4, 5, "2.5 3.0 3.5 4.0")]
    [InlineData(1e-12, 1, 5, "10^{−12} 10^{−9} 10^{−6} 10^{−3} 10^{0}")]
    public void LogarithmicTicksArePowersOfTen(double low, double high, int most, string labels) =>
        Assert.Equal(labels, Labels(Ticks.Logarithmic(low, high, most).Where(tick => tick.Label.Length > 0)));

    [Fact]
    public void LimitsLeaveAMarginAndSkipWhatIsNotFinite()
    {
        Assert.Equal((-0.5, 10.5), Scale.Limits([0, double.NaN, 10, double.PositiveInfinity], logarithmic: false));
        var (low, high) = Scale.Limits([0, -1, 10, 1000], logarithmic: true);
        Assert.Equal(Math.Pow(10, 0.9), low, 1e-9);
        Assert.Equal(Math.Pow(10, 3.1), high, 1e-9);
        var (flatLow, flatHigh) = Scale.Limits([3, 3, 3], logarithmic: false);
        Assert.InRange(3, flatLow + 0.1, flatHigh - 0.1);
    }

    [Theory]
    [InlineData(0.7)]
    [InlineData(3)]
    [InlineData(10.3)]
    public void ADiscCoversItsArea(double radius)
    {
        var canvas = new Canvas(40, 40);
        canvas.FillDisc(20.3, 19.8, radius, new Color(0, 0, 0));
        double covered = canvas.ToImage().Pixels.ToArray().Sum(value => 255.0 - value) / 255 / Image.Channels;
        // Coverage from the distance of the centre is off by a few hundredths of a pixel along the edge.
        double perimeter = 2 * Math.PI * radius;
        Assert.Equal(Math.PI * radius * radius, covered, 0.08 * perimeter);
    }

    [Fact]
    public void WhereALineCrossesItselfItIsNotDarker()
    {
        var canvas = new Canvas(30, 30);
        canvas.MaskSegment(5, 15, 25, 15, 4);
        canvas.MaskSegment(15, 5, 15, 25, 4);
        canvas.PaintMask(new Color(0, 0, 0), alpha: 0.5);
        var image = canvas.ToImage();
        Assert.Equal(image[8, 15].ToArray(), image[15, 15].ToArray());
        Assert.InRange(image[15, 15][0], 127, 128);
        // Dots, on the other hand, add up.
        canvas.FillDisc(15.5, 15.5, 3, new Color(0, 0, 0), alpha: 0.5);
        Assert.InRange(canvas.ToImage()[15, 15][0], 63, 64);
    }

    [Fact]
    public void NothingIsPaintedOutsideTheClip()
    {
        var canvas = new Canvas(20, 20) { Clip = (5, 5, 15, 15) };
        canvas.FillDisc(5, 5, 4, default);
        canvas.DrawLine(-1e30, 10, 1e30, 10, 3, default);
        canvas.FillRectangle(-3, 12, 100, 100, default);
        var image = canvas.ToImage();
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal([255, 255, 255], image[i, 4].ToArray());
            Assert.Equal([255, 255, 255], image[4, i].ToArray());
            Assert.Equal([255, 255, 255], image[i, 15].ToArray());
            Assert.Equal([255, 255, 255], image[15, i].ToArray());
        }
        Assert.Equal([0, 0, 0], image[10, 10].ToArray());
    }

    [Fact]
    public void EveryCharacterHasItsOwnShape()
    {
        var shapes = new Dictionary<string, char>();
        string characters = string.Concat(Enumerable.Range('!', '~' - '!' + 1).Select(c => (char)c)) + "−–×·±→αβγδεηθλμπσ∞";
        foreach (char character in characters + "\u2603")
        {
            var canvas = new Canvas(60, 80);
            StrokeFont.Draw(canvas, character.ToString(), 10, 50, 40, Color.Ink);
            string shape = Convert.ToBase64String(canvas.ToImage().Pixels);
            Assert.True(shapes.TryAdd(shape, character), $"'{character}' looks like '{shapes.GetValueOrDefault(shape)}'.");
        }
    }

    [Fact]
    public void ScriptsAreSmallerAndUpwardTextIsTheSameTurned()
    {
        Assert.True(StrokeFont.Measure("x^{2}", 20) < StrokeFont.Measure("x2", 20));
        Assert.Equal(StrokeFont.Measure("a_b", 20), StrokeFont.Measure("a", 20) + StrokeFont.Measure("_b", 20) + 0.175 * 20, 1e-9);
        var flat = new Canvas(100, 100);
        StrokeFont.Draw(flat, "Loss_{t}", 50, 60, 20, Color.Ink, anchor: 0.5);
        var turned = new Canvas(100, 100);
        StrokeFont.Draw(turned, "Loss_{t}", 60, 50, 20, Color.Ink, anchor: 0.5, upward: true);
        Image flatImage = flat.ToImage(), turnedImage = turned.ToImage();
        for (int y = 0; y < 100; y++)
        {
            for (int x = 0; x < 100; x++)
                Assert.InRange(flatImage[x, y][0] - turnedImage[y, 99 - x][0], -1, 1);
        }
    }

    [Fact]
    public void PointsAppearWhereTheyBelong()
    {
        // Two of four units right and two down are half of a box of 400 by 200 pixels. The other points are outside or nowhere.
        var (count, x, y) = DrawPoint([1f, 3f, 9f, 9f, float.NaN, 1f]);
        var (_, otherX, otherY) = DrawPoint([3f, 1f]);
        Assert.Equal(200, otherX - x, 0.5);
        Assert.Equal(100, otherY - y, 0.5);
        Assert.InRange(count, 80, 120);

        static (int Count, double X, double Y) DrawPoint(float[] points)
        {
            var figure = new Figure { PanelWidth = 200, PanelHeight = 100, PixelsPerPoint = 2 };
            var axes = figure.AddAxes();
            axes.XLimits = axes.YLimits = (0, 4);
            axes.Scatter(Tensor.From(points, [points.Length / 2, 2]), color: new Color(255, 0, 0), radius: 3, alpha: 1);
            return Find(figure.Render(), pixel => pixel[0] > 200 && pixel[1] < 50);
        }
    }

    [Fact]
    public void OnLogarithmicAxesEqualRatiosAreEquallyFarApart()
    {
        // From 1 to 100 on both: ten times as much is half of a box of 400 by 200 pixels.
        var (x, y) = DrawPoint(2, 3);
        var (right, up) = DrawPoint(20, 30);
        Assert.Equal(200, right - x, 0.5);
        Assert.Equal(100, y - up, 0.5);

        static (double X, double Y) DrawPoint(float x, float y)
        {
            var figure = new Figure { PanelWidth = 200, PanelHeight = 100, PixelsPerPoint = 2 };
            var axes = figure.AddAxes();
            (axes.LogX, axes.LogY) = (true, true);
            axes.XLimits = axes.YLimits = (1, 100);
            axes.Scatter(Tensor.From([x, y], [1, 2]), color: new Color(255, 0, 0), radius: 3, alpha: 1);
            var (_, atX, atY) = Find(figure.Render(), pixel => pixel[0] > 200 && pixel[1] < 50);
            return (atX, atY);
        }
    }

    [Fact]
    public void WithEqualAspectACircleIsRound()
    {
        var figure = new Figure { PanelWidth = 300, PanelHeight = 150, PixelsPerPoint = 1 };
        var axes = figure.AddAxes();
        axes.EqualAspect = true;
        double[] angles = Enumerable.Range(0, 361).Select(degree => degree * Math.PI / 180).ToArray();
        axes.Plot(angles.Select(Math.Cos).ToArray(), angles.Select(Math.Sin).ToArray(), color: new Color(255, 0, 0));
        var image = figure.Render();
        int left = int.MaxValue, right = 0, top = int.MaxValue, bottom = 0;
        for (int y = 0; y < image.Height; y++)
        {
            for (int x = 0; x < image.Width; x++)
            {
                if (image[x, y][0] < 200 || image[x, y][1] > 50)
                    continue;
                (left, right, top, bottom) = (Math.Min(left, x), Math.Max(right, x), Math.Min(top, y), Math.Max(bottom, y));
            }
        }
        Assert.InRange(right - left - (bottom - top), -1, 1);
        Assert.InRange(bottom - top, 130, 140);
    }

    [Fact]
    public void TheLegendAvoidsTheData()
    {
        var figure = new Figure { PixelsPerPoint = 1 };
        var axes = figure.AddAxes();
        axes.XLimits = axes.YLimits = (0, 10);
        axes.Plot([6, 9.5], [9, 9], "thick", new Color(255, 0, 0), width: 40);
        int red = Find(figure.Render(), pixel => pixel[0] > 200 && pixel[1] < 50).Count;
        // 3.5 tenths of 360 points, 40 wide, with round ends and a short sample in the legend: on top of it that would hide much.
        Assert.InRange(red, 3.5 / 10 * 360 * 40, 3.5 / 10 * 360 * 40 + Math.PI * 20 * 20 + 100);
    }

    [Fact]
    public void AnythingCanBePlotted()
    {
        var figure = new Figure { Title = "title", Columns = 2, PanelWidth = 80, PanelHeight = 60 };
        figure.AddAxes("empty").LogY = true;
        figure.AddAxes("one point").Scatter(Tensor.From([1f, 1f], [1, 2]), "point");
        figure.AddAxes("no points").Scatter(Tensor.From(ReadOnlySpan<float>.Empty, [0, 2]), "none");
        figure.AddAxes("huge").Plot([0, 1, 2], [-1e300, 1e300, double.NaN]);
        var log = figure.AddAxes("not positive");
        (log.LogX, log.LogY) = (true, true);
        log.PlotSmoothed([0, 1, 2, 3], [1, 0, -1, 10], window: 3, "loss");
        var far = figure.AddAxes("far outside");
        far.YLimits = (0, 1);
        far.Plot([0, 1], [-1e15, 1e15], dashed: true);
        far.Trajectories([Tensor.From([0f, 0f], [1, 2]), Tensor.From([1f, 1f], [1, 2])]);
        far.Trajectories([]);
        var image = figure.Render();
        Assert.True(image.Width > 2 * 120 && image.Height > 3 * 90);
    }

    [Fact]
    public void WhatMakesNoPlotIsRefused()
    {
        Assert.Throws<InvalidOperationException>(() => new Figure().Render());
        var figure = new Figure();
        var axes = figure.AddAxes();
        Assert.Contains("[2, 3]", Assert.Throws<ArgumentException>(() => axes.Scatter(Tensor.Empty([2, 3]))).Message);
        Assert.Throws<ArgumentException>(() => axes.Plot([1, 2], [1]));
        axes.XLimits = (1, 1);
        Assert.Contains("XLimits", Assert.Throws<ArgumentException>(figure.Render).Message);
        axes.XLimits = (1e18, 1e18 + 256);
        Assert.Throws<ArgumentException>(figure.Render);
        (axes.XLimits, axes.YLimits, axes.LogY) = (null, (0, 1), true);
        Assert.Contains("positive", Assert.Throws<ArgumentException>(figure.Render).Message);
        (axes.XLimits, axes.YLimits, axes.LogX) = ((-1, 1), null, true);
        Assert.Contains("XLimits: -1 to 1", Assert.Throws<ArgumentException>(figure.Render).Message);
    }

    private static string Labels(IEnumerable<Tick> ticks) => string.Join(' ', ticks.Select(tick => tick.Label));

    private delegate bool PixelTest(Span<byte> pixel);

    /// <summary>Number and centre of the pixels that pass.</summary>
    private static (int Count, double X, double Y) Find(Image image, PixelTest test)
    {
        int count = 0;
        double sumX = 0, sumY = 0;
        for (int y = 0; y < image.Height; y++)
        {
            for (int x = 0; x < image.Width; x++)
            {
                if (!test(image[x, y]))
                    continue;
                count++;
                sumX += x;
                sumY += y;
            }
        }
        return (count, sumX / Math.Max(1, count), sumY / Math.Max(1, count));
    }
}
