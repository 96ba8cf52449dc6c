namespace RawDiffusion.Diffusion.Plots;

/// <summary>Red, green and blue from 0 to 255.</summary>
public readonly record struct Color(byte R, byte G, byte B)
{
    public static readonly Color White = new(255, 255, 255);
    public static readonly Color Ink = new(38, 38, 38);
    public static readonly Color Grid = new(232, 232, 232);

    /// <summary>
    /// Colours of series in their order, from the palette of Okabe and Ito (2008), which people with any kind of colour vision
    /// can tell apart.
    /// </summary>
    public static IReadOnlyList<Color> Cycle { get; } =
    [
        new(0, 114, 178), new(213, 94, 0), new(0, 158, 115), new(204, 121, 167), new(230, 159, 0), new(86, 180, 233), new(90, 90, 90),
    ];
}
