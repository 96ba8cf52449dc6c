using System.Runtime.CompilerServices;

namespace RawDiffusion.Diffusion.Data.Digits;

/// <summary>
/// Draws one digit: moves its knots, lays curves through them, and finds for every pixel the distance to the nearest curve, from
/// which any pen can be drawn with soft edges.
/// </summary>
internal static class DigitPen
{
    public const int Side = 28;

    // A span between knots is up to seven pixels long and bends by up to a right angle: four pieces look round.
    private const int PiecesPerSpan = 4;

    /// <summary>How far from a curve distances are needed, in pixels: the widest pen and its soft edge.</summary>
    private const float Reach = 3.6f;

    /// <summary>The intensity of every pixel, 0 to 1.</summary>
    /// <param name="ink">[Side, Side].</param>
    [SkipLocalsInit]
    public static void Draw(in DigitTraits traits, ref RandomReader random, Span<float> ink)
    {
        var glyph = DigitGlyphs.All[traits.Digit][traits.Variant];
        Span<float> x = stackalloc float[DigitGlyphs.MostKnots], y = stackalloc float[DigitGlyphs.MostKnots];
        for (int k = 0; k < glyph.Knots.Length; k++)
        {
            float moved = glyph.Knots[k].X + traits.Wobble * random.Triangular();
            (x[k], y[k]) = traits.Place(moved, glyph.Knots[k].Y + traits.Wobble * random.Triangular());
        }
        ink.Fill(Reach * Reach);
        foreach (var stroke in glyph.Strokes)
            Trace(stroke, x, y, ink);
        for (int i = 0; i < ink.Length; i++)
            ink[i] = traits.Ink(MathF.Sqrt(ink[i]));
    }

    /// <summary>
    /// Follows a Catmull-Rom spline through the knots of a stroke: it leaves each knot in the direction of the line between its
    /// neighbours. Beyond the ends of an open stroke the first and last pieces are reflected.
    /// </summary>
    private static void Trace(Stroke stroke, ReadOnlySpan<float> x, ReadOnlySpan<float> y, Span<float> squares)
    {
        int[] knots = stroke.Knots;
        int count = knots.Length, spans = stroke.IsClosed ? count : count - 1;
        for (int span = 0; span < spans; span++)
        {
            int b = knots[span], c = knots[(span + 1) % count];
            int a = span > 0 ? knots[span - 1] : stroke.IsClosed ? knots[^1] : -1;
            int d = span + 2 < count || stroke.IsClosed ? knots[(span + 2) % count] : -1;
            float ax = a >= 0 ? x[a] : 2 * x[b] - x[c], ay = a >= 0 ? y[a] : 2 * y[b] - y[c];
            float dx = d >= 0 ? x[d] : 2 * x[c] - x[b], dy = d >= 0 ? y[d] : 2 * y[c] - y[b];
            int pieces = count == 2 ? 1 : PiecesPerSpan;
            float fromX = x[b], fromY = y[b];
            for (int piece = 1; piece <= pieces; piece++)
            {
                float t = (float)piece / pieces;
                float toX = Spline(ax, x[b], x[c], dx, t), toY = Spline(ay, y[b], y[c], dy, t);
                Approach(fromX, fromY, toX, toY, squares);
                (fromX, fromY) = (toX, toY);
            }
        }
    }

    private static float Spline(float a, float b, float c, float d, float t) =>
        b + 0.5f * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));

    /// <summary>Lowers the squared distances of the pixels within reach of a line.</summary>
    private static void Approach(float fromX, float fromY, float toX, float toY, Span<float> squares)
    {
        float dx = toX - fromX, dy = toY - fromY, square = dx * dx + dy * dy, inverse = square > 0 ? 1 / square : 0;
        int left = Math.Max(0, (int)MathF.Ceiling(Math.Min(fromX, toX) - Reach)), right = Math.Min(Side - 1, (int)(Math.Max(fromX, toX) + Reach));
        int top = Math.Max(0, (int)MathF.Ceiling(Math.Min(fromY, toY) - Reach)), bottom = Math.Min(Side - 1, (int)(Math.Max(fromY, toY) + Reach));
        for (int row = top; row <= bottom; row++)
        {
            float y = row - fromY;
            for (int column = left; column <= right; column++)
            {
                float x = column - fromX, along = Math.Clamp((x * dx + y * dy) * inverse, 0, 1);
                float offX = x - along * dx, offY = y - along * dy;
                ref float least = ref squares[row * Side + column];
                least = Math.Min(least, offX * offX + offY * offY);
            }
        }
    }
}
