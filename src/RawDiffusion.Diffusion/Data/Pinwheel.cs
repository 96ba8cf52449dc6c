namespace RawDiffusion.Diffusion.Data;

/// <summary>
/// Five curved arms (Johnson, Duvenaud, Wiltschko, Datta, Adams 2016, "Composing graphical models with neural networks"): along an arm
/// r = 1 + 0.3 n1, across it s = 0.1 n2, n1 and n2 standard normal; arm k is 2 (r, s) turned by 2 pi k / 5 + 0.25 exp(r). The arms
/// are narrow where they meet, which is where models blur.
/// </summary>
public sealed class Pinwheel : IPointDistribution
{
    public const int Arms = 5;
    public const double Size = 2;
    public const double LengthDeviation = 0.3;
    public const double WidthDeviation = 0.1;
    public const double Twist = 0.25;

    /// <summary>Integer 0 picks the arm, integers 1 and 2 make the two normals.</summary>
    public Point2 Point(uint r0, uint r1, uint r2, uint r3)
    {
        int arm = (int)((ulong)r0 * Arms >> 32);
        var (n1, n2) = PointSampling.Normals(r1, r2);
        double along = 1 + LengthDeviation * n1, across = WidthDeviation * n2;
        var (sin, cos) = Math.SinCos(2 * Math.PI * arm / Arms + Twist * Math.Exp(along));
        return new Point2(Size * (along * cos - across * sin), Size * (along * sin + across * cos));
    }
}
