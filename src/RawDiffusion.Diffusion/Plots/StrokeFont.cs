using System.Globalization;

namespace RawDiffusion.Diffusion.Plots;

/// <summary>
/// A typeface drawn with a round pen. Sizes are those of the em square in pixels; capitals are 0.7 em tall. In a text,
/// <c>^{...}</c> is raised and <c>_{...}</c> lowered.
/// </summary>
internal static class StrokeFont
{
    public const double CapHeight = 0.7;

    // A unit of the glyph tables is a tenth of an em.
    private const double Unit = 0.1;
    private const double PenWidth = 0.92 * Unit;
    private const double Spacing = 1.75 * Unit;
    private const double ScriptScale = 0.72;
    private const double Raise = 0.36, Lower = -0.2;

    private static readonly Dictionary<char, Glyph> s_glyphs = ParseGlyphs();

    /// <summary>Width of a text in pixels.</summary>
    public static double Measure(string text, double size)
    {
        double end = 0;
        Layout(text, size, (_, x, _, scale, width) => end = x + width * scale);
        return end;
    }

    /// <summary>Draws a text.</summary>
    /// <param name="x">Where it is anchored.</param>
    /// <param name="y">The baseline, or for upward text the vertical line it stands on.</param>
    /// <param name="anchor">The part of the text that comes to x: 0 its begin, 0.5 its middle, 1 its end.</param>
    /// <param name="upward">Turned by 90 degrees, to be read from below.</param>
    public static void Draw(Canvas canvas, string text, double x, double y, double size, Color color, double anchor = 0, bool upward = false)
    {
        double shift = -anchor * Measure(text, size);
        Layout(text, size, (glyph, penX, penY, scale, _) =>
        {
            double pen = Math.Max(0.9, PenWidth * size * (0.5 + 0.5 * scale / size));
            foreach (var stroke in glyph.Strokes)
            {
                for (int i = 1; i < stroke.Length; i++)
                {
                    var (x0, y0) = Place(stroke[i - 1], penX, penY, scale);
                    var (x1, y1) = Place(stroke[i], penX, penY, scale);
                    canvas.MaskSegment(x0, y0, x1, y1, pen);
                }
            }
        });
        canvas.PaintMask(color);

        (double X, double Y) Place((double X, double Y) point, double penX, double penY, double scale)
        {
            double along = shift + penX + point.X * Unit * scale, above = penY + point.Y * Unit * scale;
            return upward ? (x - above, y - along) : (x + along, y - above);
        }
    }

    /// <summary>Calls back for each glyph with its origin (y upwards), its em in pixels, and its width in em.</summary>
    private static void Layout(string text, double size, Action<Glyph, double, double, double, double> place)
    {
        double x = 0, scale = size, y = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] is '^' or '_' && i + 1 < text.Length && text[i + 1] == '{')
            {
                (scale, y) = (size * ScriptScale, size * (text[i] == '^' ? Raise : Lower));
                i++;
                continue;
            }
            if (text[i] == '}' && scale != size)
            {
                (scale, y) = (size, 0);
                continue;
            }
            var glyph = s_glyphs.GetValueOrDefault(text[i], s_glyphs['\0']);
            place(glyph, x, y, scale, glyph.Width * Unit);
            x += (glyph.Width * Unit + Spacing) * scale;
        }
    }

    private sealed record Glyph(double Width, (double X, double Y)[][] Strokes);

    private static Dictionary<char, Glyph> ParseGlyphs()
    {
        var glyphs = new Dictionary<char, Glyph>();
        foreach (string line in StrokeGlyphs.Table.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            char character = line[0];
            string[] parts = line[2..].Split('|');
            var strokes = parts[1].Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            glyphs[character] = new Glyph(Number(parts[0]), Array.ConvertAll(strokes, ParseStroke));
        }
        glyphs['\0'] = new Glyph(4, [[(0, 0), (4, 0), (4, 7), (0, 7), (0, 0)]]);
        return glyphs;
    }

    private static (double X, double Y)[] ParseStroke(string stroke)
    {
        const double DegreesPerPiece = 12;
        var points = new List<(double, double)>();
        foreach (string token in stroke.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            double[] numbers = Array.ConvertAll(token.TrimStart('@').Split(','), Number);
            if (token[0] != '@')
            {
                points.Add((numbers[0], numbers[1]));
                continue;
            }
            var (x, y, radiusX, radiusY, from, to) = (numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]);
            int pieces = (int)Math.Ceiling(Math.Abs(to - from) / DegreesPerPiece);
            for (int i = 0; i <= pieces; i++)
            {
                var (sin, cos) = Math.SinCos((from + (to - from) * i / pieces) * Math.PI / 180);
                points.Add((x + radiusX * cos, y + radiusY * sin));
            }
        }
        return [.. points];
    }

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);
}
