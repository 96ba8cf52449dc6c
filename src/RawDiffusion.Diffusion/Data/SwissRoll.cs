namespace RawDiffusion.Diffusion.Data;

/// <summary>
/// A spiral of one and a half turns, the cross-section of scikit-learn's <c>make_swiss_roll</c>: t / 5 (cos t, sin t) with t uniform
/// in [1.5 pi, 4.5 pi], and Gaussian noise of standard deviation 0.1. Radii run from 0.94 to 2.83; neighbouring turns are 1.26
/// apart. A model that is too smooth fills the gap between the turns.
/// </summary>
public sealed class SwissRoll : IPointDistribution
{
    public const double FirstAngle = 1.5 * Math.PI;
    public const double LastAngle = 4.5 * Math.PI;
    public const double RadiusPerRadian = 0.2;
    public const double StandardDeviation = 0.1;

    /// <summary>Integer 0 picks the angle, integers 1 and 2 make the noise.</summary>
    public Point2 Point(uint r0, uint r1, uint r2, uint r3)
    {
        double angle = FirstAngle + (LastAngle - FirstAngle) * PointSampling.Uniform(r0), radius = RadiusPerRadian * angle;
        var (sin, cos) = Math.SinCos(angle);
        var (x, y) = PointSampling.Normals(r1, r2);
        return new Point2(radius * cos + StandardDeviation * x, radius * sin + StandardDeviation * y);
    }
}
