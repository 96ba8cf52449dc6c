using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Data.Digits;

namespace RawDiffusion.Tests;

public class DigitDataTests
{
    private const int Size = DigitPen.Side * DigitPen.Side;

    [Fact]
    public void ImagesAreOnBlackAndInsideTheFrame()
    {
        const int Count = 2000;
        float[] pixels = new DigitData(colored: false).Draw(0, Count, seed: 1).X.ToArray();
        Assert.All(pixels, value => Assert.InRange(value, -1, 1));
        int touching = 0;
        for (int i = 0; i < Count; i++)
        {
            var image = pixels.AsSpan(i * Size, Size);
            // About a line of 20 pixels and more that is covered.
            Assert.InRange(Ink(image), 20, 250);
            bool touches = false;
            for (int k = 0; k < DigitPen.Side; k++)
                touches |= image[k] > 0 || image[Size - 1 - k] > 0 || image[k * DigitPen.Side] > 0 || image[k * DigitPen.Side + DigitPen.Side - 1] > 0;
            touching += touches ? 1 : 0;
        }
        // Wide pens at the largest size, shift and wobble may touch the frame.
        Assert.InRange(touching, 0, Count / 50);
    }

    /// <summary>The labels are right, and images tell them: the nearest of 3,000 other images is of the same digit.</summary>
    [Fact]
    public void DigitsAreToldApart()
    {
        const int Known = 3000, Asked = 300;
        var data = new DigitData(colored: false);
        Batch known = data.Draw(0, Known, seed: 1), asked = data.HeldOut.Draw(0, Asked, seed: 1);
        int[] labels = known.Labels!.ToInt32Array(), expected = asked.Labels!.ToInt32Array();
        // |x - y|^2 is |x|^2 - 2 x y + |y|^2, the last of which is the same for all x.
        var x = known.X.Reshape(Known, Size);
        var nearness = asked.X.Reshape(Asked, Size).MatMul(x.Transpose(0, 1)) * 2 - x.Square().Sum(1).Reshape(1, Known);
        int[] nearest = nearness.ArgMax(1).ToInt32Array();
        int right = Enumerable.Range(0, Asked).Count(i => labels[nearest[i]] == expected[i]);
        // Nearest neighbours of raw pixels are a weak judge; chance is 10%.
        Assert.InRange(right, 0.94 * Asked, Asked);
    }

    [Fact]
    public void LabelsAreEquallyLikelyAndIndependent()
    {
        const int Count = 40_000;
        var data = new DigitData(colored: true);
        int[] attributes = data.Draw(0, Count, seed: 3).Attributes!.ToInt32Array();
        Assert.Equal(["digit", "colour", "style"], data.LabelKinds.Select(kind => kind.Name));
        Assert.Equal(["digit", "style"], new DigitData(colored: false).LabelKinds.Select(kind => kind.Name));
        foreach (var (first, second) in new[] { (0, 1), (0, 2), (1, 2) })
        {
            int rows = data.LabelKinds[first].Values.Count, columns = data.LabelKinds[second].Values.Count;
            var seen = new int[rows, columns];
            for (int i = 0; i < Count; i++)
                seen[attributes[3 * i + first], attributes[3 * i + second]]++;
            double expected = Count / (double)(rows * columns);
            foreach (int count in seen)
                Assert.Equal(expected, count, 5 * Math.Sqrt(expected));
        }
    }

    [Fact]
    public void AColouredDigitHasItsColour()
    {
        const int Count = 200;
        var batch = new DigitData(colored: true).Draw(0, Count, seed: 2);
        int[] attributes = batch.Attributes!.ToInt32Array();
        float[] pixels = batch.X.ToArray();
        for (int i = 0; i < Count; i++)
        {
            // Along the middle of the pen the ink is full, in a hollow digit nearly so: look at the brightest pixel.
            int brightest = Enumerable.Range(i * Size, Size).MaxBy(at => pixels[3 * at] + pixels[3 * at + 1] + pixels[3 * at + 2]);
            var (_, red, green, blue) = DigitColors.All[attributes[3 * i + 1]];
            double largest = Math.Max(red, Math.Max(green, blue)), scale = Enumerable.Range(0, 3).Max(c => Level(pixels[3 * brightest + c])) / largest;
            Assert.InRange(scale, 0.8, 1.001);
            Assert.Equal(scale * red, Level(pixels[3 * brightest]), 0.01);
            Assert.Equal(scale * green, Level(pixels[3 * brightest + 1]), 0.01);
            Assert.Equal(scale * blue, Level(pixels[3 * brightest + 2]), 0.01);
        }

        static double Level(float value) => (value + 1) * 127.5;
    }

    [Fact]
    public void ColoursAreFarApart()
    {
        for (int i = 0; i < DigitColors.All.Count; i++)
        {
            for (int j = 0; j < i; j++)
            {
                var (first, second) = (DigitColors.All[i], DigitColors.All[j]);
                double distance = Math.Sqrt(
                    Math.Pow(first.Red - second.Red, 2) + Math.Pow(first.Green - second.Green, 2) + Math.Pow(first.Blue - second.Blue, 2));
                Assert.True(distance > 90, $"{first.Name} and {second.Name} are {distance:0} apart");
            }
        }
    }

    [Fact]
    public void StylesLookLikeTheirNames()
    {
        const int Count = 4000;
        var batch = new DigitData(colored: false).Draw(0, Count, seed: 4);
        int[] attributes = batch.Attributes!.ToInt32Array();
        float[] pixels = batch.X.ToArray();
        var ink = new double[4];
        var lean = new double[4];
        var seen = new int[4];
        for (int i = 0; i < Count; i++)
        {
            int style = attributes[2 * i + 1];
            seen[style]++;
            ink[style] += Ink(pixels.AsSpan(i * Size, Size));
            lean[style] += Lean(pixels.AsSpan(i * Size, Size));
        }
        for (int style = 0; style < 4; style++)
            (ink[style], lean[style]) = (ink[style] / seen[style], lean[style] / seen[style]);
        Assert.InRange(ink[(int)DigitStyle.Bold] / ink[(int)DigitStyle.Regular], 1.4, 2.2);
        Assert.InRange(ink[(int)DigitStyle.Italic] / ink[(int)DigitStyle.Regular], 0.9, 1.1);
        Assert.InRange(lean[(int)DigitStyle.Italic] - lean[(int)DigitStyle.Regular], 0.2, 0.6);
        Assert.InRange(lean[(int)DigitStyle.Bold] - lean[(int)DigitStyle.Regular], -0.1, 0.1);
    }

    [Fact]
    public void OutlinedDigitsAreHollowAndOthersAreNot()
    {
        var random = new RandomReader(new Backends.PhiloxState(1, 2, 0), 0);
        for (int i = 0; i < 1000; i++)
        {
            var traits = new DigitTraits(ref random);
            Assert.Equal(traits.Style == DigitStyle.Outlined ? 0 : 1, traits.Ink(0));
            Assert.Equal(0, traits.Ink(4));
            Assert.Contains(Enumerable.Range(0, 40), tenth => traits.Ink(tenth / 10f) > 0.9);
        }
    }

    [Fact]
    public void EveryGlyphIsWellFormed()
    {
        foreach (var glyph in DigitGlyphs.All.SelectMany(glyphs => glyphs))
        {
            Assert.InRange(glyph.Knots.Length, 2, DigitGlyphs.MostKnots);
            Assert.Equal(Enumerable.Range(0, glyph.Knots.Length), glyph.Strokes.SelectMany(stroke => stroke.Knots).Distinct().Order());
            Assert.All(glyph.Knots, knot => Assert.True(Math.Abs(knot.X) <= 0.33f && Math.Abs(knot.Y) <= 0.5f));
            Assert.Equal(-0.5, glyph.Knots.Min(knot => knot.Y), 0.05);
            Assert.Equal(0.5, glyph.Knots.Max(knot => knot.Y), 0.05);
        }
    }

    /// <summary>Covered pixels.</summary>
    private static double Ink(ReadOnlySpan<float> image)
    {
        double sum = 0;
        foreach (float value in image)
            sum += (value + 1) / 2;
        return sum;
    }

    /// <summary>How far the ink goes to the right per pixel up: the slope of the regression of x on -y.</summary>
    private static double Lean(ReadOnlySpan<float> image)
    {
        double sum = Ink(image), meanX = 0, meanY = 0, xy = 0, yy = 0;
        for (int i = 0; i < Size; i++)
        {
            meanX += (image[i] + 1) / 2 * (i % DigitPen.Side) / sum;
            meanY += (image[i] + 1) / 2 * (i / DigitPen.Side) / sum;
        }
        for (int i = 0; i < Size; i++)
        {
            double x = i % DigitPen.Side - meanX, y = i / DigitPen.Side - meanY, weight = (image[i] + 1) / 2;
            xy -= weight * x * y;
            yy += weight * y * y;
        }
        return xy / yy;
    }
}
