using RawDiffusion.Diffusion.Data;

namespace RawDiffusion.Tests;

/// <summary>Points lie where the documented formulas put them, with the noise that these state.</summary>
public class PointDistributionTests
{
    private const int Count = 20_000;

    [Fact]
    public void TwoMoonsAreTwoHalfCirclesWithNoise()
    {
        int upper = 0;
        double square = 0, angles = 0;
        foreach (var point in Draw(new TwoMoons()))
        {
            // The nearer half circle, both laid onto the upper one; beyond its ends the nearest point is an end.
            var (first, second) = (FromMoon(point), FromMoon(new Point2(-point.X, -point.Y)));
            var (distance, angle) = Math.Abs(first.Distance) < Math.Abs(second.Distance) ? first : second;
            upper += Math.Abs(first.Distance) < Math.Abs(second.Distance) ? 1 : 0;
            Assert.InRange(distance, -7 * TwoMoons.StandardDeviation, 7 * TwoMoons.StandardDeviation);
            square += distance * distance / Count;
            angles += angle / Count;
        }
        // Only the noise across the arc is seen, except at the ends.
        Assert.Equal(TwoMoons.StandardDeviation, Math.Sqrt(square), 0.03 * TwoMoons.StandardDeviation);
        Assert.Equal(0.5, upper / (double)Count, 5 * 0.5 / Math.Sqrt(Count));
        Assert.Equal(Math.PI / 2, angles, 5 * Math.PI / Math.Sqrt(12 * Count));

        static (double Distance, double Angle) FromMoon(Point2 point)
        {
            double x = point.X - TwoMoons.Center.X, y = point.Y - TwoMoons.Center.Y, angle = Math.Atan2(y, x);
            if (angle < -Math.PI / 2)
                angle += 2 * Math.PI;
            double nearest = Math.Clamp(angle, 0, Math.PI);
            return angle == nearest
                ? (Math.Sqrt(x * x + y * y) - TwoMoons.Radius, angle)
                : (Math.Sqrt(Math.Pow(x - TwoMoons.Radius * Math.Cos(nearest), 2) + y * y), nearest);
        }
    }

    [Fact]
    public void TheSwissRollIsASpiralWithNoise()
    {
        double square = 0, angles = 0;
        foreach (var point in Draw(new SwissRoll()))
        {
            // The turn of the spiral that is nearest in radius.
            double radius = Math.Sqrt(point.X * point.X + point.Y * point.Y), angle = Math.Atan2(point.Y, point.X);
            angle += 2 * Math.PI * Math.Round((radius / SwissRoll.RadiusPerRadian - angle) / (2 * Math.PI));
            double distance = radius - SwissRoll.RadiusPerRadian * angle;
            square += distance * distance / Count;
            angles += angle / Count;
        }
        // Along a spiral the radius differs from the distance to the curve by the cosine of a small angle, 0.2 / radius.
        Assert.Equal(SwissRoll.StandardDeviation, Math.Sqrt(square), 0.05 * SwissRoll.StandardDeviation);
        Assert.Equal((SwissRoll.FirstAngle + SwissRoll.LastAngle) / 2, angles, 5 * 3 * Math.PI / Math.Sqrt(12 * Count) + 0.01);
    }

    [Fact]
    public void ThePinwheelUnwindsToFiveStraightArms()
    {
        var arms = new int[Pinwheel.Arms];
        double along = 0, alongSquare = 0, acrossSquare = 0;
        foreach (var point in Draw(new Pinwheel()))
        {
            // r = |x| / 2 but for the width of the arm, so a few fixed-point steps find it and the arm together.
            double radius = Math.Sqrt(point.X * point.X + point.Y * point.Y) / Pinwheel.Size, angle = Math.Atan2(point.Y, point.X);
            double r = radius, across = 0;
            int arm = 0;
            for (int i = 0; i < 50; i++)
            {
                double straight = angle - Pinwheel.Twist * Math.Exp(r), turns = straight * Pinwheel.Arms / (2 * Math.PI);
                arm = (int)Math.Round(turns);
                double off = straight - 2 * Math.PI * arm / Pinwheel.Arms;
                (r, across) = (radius * Math.Cos(off), radius * Math.Sin(off));
            }
            arms[(arm % Pinwheel.Arms + Pinwheel.Arms) % Pinwheel.Arms]++;
            along += r / Count;
            alongSquare += (r - 1) * (r - 1) / Count;
            acrossSquare += across * across / Count;
        }
        // Points near the middle, where arms meet, can be given to the wrong arm: 1% or so.
        Assert.All(arms, count => Assert.Equal(Count / 5.0, count, 5 * Math.Sqrt(Count / 5.0)));
        Assert.Equal(1, along, 0.02);
        Assert.Equal(Pinwheel.LengthDeviation, Math.Sqrt(alongSquare), 0.02);
        Assert.Equal(Pinwheel.WidthDeviation, Math.Sqrt(acrossSquare), 0.01);
    }

    private static IEnumerable<Point2> Draw(IPointDistribution distribution)
    {
        double[] points = distribution.Sample(Count, new Generator(2), Device.Reference).ToDoubleArray();
        for (int i = 0; i < Count; i++)
            yield return new Point2(points[2 * i], points[2 * i + 1]);
    }
}
