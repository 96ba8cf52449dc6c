using System.Globalization;
using System.Xml.Linq;

namespace RawDiffusion.Verification.Bench.Output;

/// <summary>Elements of a picture. Colours come from classes, so that a page can be light or dark.</summary>
internal static class Svg
{
    /// <summary>About what a letter of a label takes in width, in the units of the picture.</summary>
    public const double LetterWidth = 6.2;

    public static XElement Picture(double width, double height, string description, params object[] content) => new("svg",
        new XAttribute("viewBox", $"0 0 {Number(width)} {Number(height)}"), new XAttribute("width", Number(width)), new XAttribute("role", "img"),
        new XAttribute("aria-label", description), content);

    public static XElement Line(double x1, double y1, double x2, double y2, string style) => new("line",
        At("x1", x1), At("y1", y1), At("x2", x2), At("y2", y2), Class(style));

    public static XElement Rectangle(double x, double y, double width, double height, string style, string? tip = null) => new("rect",
        At("x", x), At("y", y), At("width", Math.Max(0, width)), At("height", height), At("rx", 2), Class(style), Tip(tip));

    /// <param name="anchor">start, middle or end: where in the text x is.</param>
    public static XElement Text(double x, double y, string text, string style, string anchor = "start", double rotation = 0) => new("text",
        At("x", x), At("y", y), Class(style), new XAttribute("text-anchor", anchor),
        rotation == 0 ? null : new XAttribute("transform", $"rotate({Number(rotation)} {Number(x)} {Number(y)})"), text);

    /// <summary>A point: a circle, a square or a diamond, so that series differ without colours too.</summary>
    public static XElement Marker(int shape, double x, double y, double radius, string style, string tip) => shape switch
    {
        0 => new XElement("circle", At("cx", x), At("cy", y), At("r", radius), Class(style), Tip(tip)),
        1 => new XElement("rect", At("x", x - radius), At("y", y - radius), At("width", 2 * radius), At("height", 2 * radius), Class(style), Tip(tip)),
        _ => new XElement("path", new XAttribute("d", $"M{Number(x)} {Number(y - 1.3 * radius)}l{Number(1.3 * radius)} {Number(1.3 * radius)}l{Number(-1.3 * radius)} {Number(1.3 * radius)}l{Number(-1.3 * radius)} {Number(-1.3 * radius)}z"),
            Class(style), Tip(tip)),
    };

    public static XAttribute Class(string style) => new("class", style);

    public static string Number(double value) => Math.Round(value, 2).ToString(CultureInfo.InvariantCulture);

    private static XAttribute At(string name, double value) => new(name, Number(value));

    /// <summary>What a pointer that rests on it is shown.</summary>
    private static XElement? Tip(string? text) => text is null ? null : new XElement("title", text);
}
