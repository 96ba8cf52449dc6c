namespace RawDiffusion.Diffusion.Data;

/// <summary>
/// Two interleaved half circles, as in scikit-learn's <c>make_moons</c>, moved to the origin and enlarged: with theta uniform in
/// [0, pi], one half of the points is 1.5 (cos theta - 0.5, sin theta - 0.25), the other its reflection in the origin; both have
/// Gaussian noise of standard deviation 0.1. A model must bend, and keep two pieces apart that no line separates.
/// </summary>
public sealed class TwoMoons : IPointDistribution
{
    public const double Radius = 1.5;
    public const double StandardDeviation = 0.1;

    /// <summary>The middle of the upper half circle; that of the lower one is its reflection.</summary>
    public static Point2 Center { get; } = new(-0.5 * Radius, -0.25 * Radius);

    /// <summary>Integer 0 picks the moon, integer 1 the angle, integers 2 and 3 make the noise.</summary>
    public Point2 Point(uint r0, uint r1, uint r2, uint r3)
    {
        double sign = (r0 & 1) == 0 ? 1 : -1;
        var (sin, cos) = Math.SinCos(Math.PI * PointSampling.Uniform(r1));
        var (x, y) = PointSampling.Normals(r2, r3);
        return new Point2(
            sign * (Center.X + Radius * cos) + StandardDeviation * x, sign * (Center.Y + Radius * sin) + StandardDeviation * y);
    }
}
