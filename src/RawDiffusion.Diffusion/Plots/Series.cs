namespace RawDiffusion.Diffusion.Plots;

internal enum SeriesKind
{
    Points,
    Line,
    DashedLine,
}

/// <summary>Points with the way they are to be drawn.</summary>
/// <param name="Size">Radius of a point or width of a line, in points of the figure.</param>
internal sealed record Series(SeriesKind Kind, double[] X, double[] Y, string? Label, Color Color, double Size, double Alpha);
