namespace RawDiffusion.Diffusion.Data.Digits;

/// <summary>Ten colours that are told apart on black, by name.</summary>
internal static class DigitColors
{
    public static IReadOnlyList<(string Name, byte Red, byte Green, byte Blue)> All { get; } =
    [
        ("red", 235, 35, 35),
        ("orange", 255, 135, 0),
        ("yellow", 255, 230, 30),
        ("green", 30, 170, 50),
        ("cyan", 50, 225, 225),
        ("blue", 45, 85, 255),
        ("purple", 140, 40, 205),
        ("pink", 255, 120, 190),
        ("brown", 140, 85, 40),
        ("white", 250, 250, 250),
    ];
}
