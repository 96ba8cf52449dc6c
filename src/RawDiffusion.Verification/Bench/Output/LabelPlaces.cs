using System.Xml.Linq;

namespace RawDiffusion.Verification.Bench.Output;

/// <summary>Finds places for the labels of points where they cover neither each other nor the points.</summary>
/// <param name="left">The rectangle that they must stay in.</param>
internal sealed class LabelPlaces(double left, double top, double right, double bottom)
{
    private const double LineHeight = 12, Gap = 8;

    private readonly List<(double X1, double Y1, double X2, double Y2)> _taken = [];

    public void Avoid(double x, double y, double radius) => Avoid(x - radius, y - radius, x + radius, y + radius);

    public void Avoid(double x1, double y1, double x2, double y2) => _taken.Add((x1, y1, x2, y2));

    /// <summary>The label, and a line to its point where it had to go far.</summary>
    public IEnumerable<XElement> Place(double x, double y, string text)
    {
        double width = Svg.LetterWidth * text.Length;
        // Nearest first: beside the point, then further up and down, on the right and on the left.
        for (int step = 0; step < 60; step++)
        {
            double shift = (step + 1) / 2 * (step % 2 == 0 ? 1 : -1) * (LineHeight / 2);
            foreach (bool onRight in (bool[])[true, false])
            {
                double x1 = onRight ? x + Gap : x - Gap - width, y1 = y + shift - LineHeight / 2;
                var box = (X1: x1, Y1: y1, X2: x1 + width, Y2: y1 + LineHeight);
                if (box.X1 < left || box.X2 > right || box.Y1 < top || box.Y2 > bottom || _taken.Exists(other => Overlap(box, other)))
                    continue;
                _taken.Add(box);
                return Draw(x, y, box, text, onRight);
            }
        }
        // No place is free: better on top of another than nowhere.
        return Draw(x, y, (x + Gap, y - LineHeight / 2, x + Gap + width, y + LineHeight / 2), text, onRight: x + Gap + width < right);
    }

    private static IEnumerable<XElement> Draw(double x, double y, (double X1, double Y1, double X2, double Y2) box, string text, bool onRight)
    {
        double middle = (box.Y1 + box.Y2) / 2;
        if (Math.Abs(middle - y) > LineHeight)
            yield return Svg.Line(x, y, onRight ? box.X1 - 1 : box.X2 + 1, middle, "leader");
        yield return Svg.Text(onRight ? box.X1 : box.X2, box.Y2 - 2.5, text, "label", onRight ? "start" : "end");
    }

    private static bool Overlap((double X1, double Y1, double X2, double Y2) a, (double X1, double Y1, double X2, double Y2) b) =>
        a.X1 < b.X2 && b.X1 < a.X2 && a.Y1 < b.Y2 && b.Y1 < a.Y2;
}
