using System.Buffers;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Diffusion.Data;

/// <summary>A point of the plane.</summary>
public readonly record struct Point2(double X, double Y);

/// <summary>A distribution over the plane that can be sampled: a function of one block of random numbers.</summary>
public interface IPointDistribution
{
    /// <summary>The point that four random 32-bit integers make.</summary>
    Point2 Point(uint r0, uint r1, uint r2, uint r3);
}

/// <summary>Draws points, in float64 on all cores, whatever the device.</summary>
public static class PointSampling
{
    private const int Grain = 256;

    /// <summary>Draws independent points; point i is made from block i of the generator.</summary>
    /// <returns>[count, 2], the same points on every device up to its rounding.</returns>
    public static Tensor Sample(this IPointDistribution distribution, int count, Generator generator, Backend? device = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        var points = Tensor.Empty([count, 2], device);
        distribution.Fill(points, new PhiloxState(generator.Seed, generator.Stream, generator.Offset));
        generator.Offset += (ulong)count;
        return points;
    }

    /// <summary>Replaces points [n, 2] by others; point i is made from block i.</summary>
    internal static void Fill(this IPointDistribution distribution, Tensor points, PhiloxState state)
    {
        int count = points.Shape[0];
        double[] drawn = ArrayPool<double>.Shared.Rent(checked(2 * count));
        Workers.ForRange(count, Grain, new SampleBody(distribution, state, drawn));
        points.CopyFrom(drawn.AsSpan(0, 2 * count));
        ArrayPool<double>.Shared.Return(drawn);
    }

    /// <summary>r 2^-32, in [0, 1).</summary>
    internal static double Uniform(uint r) => r * (1.0 / (1L << 32));

    /// <summary>Two independent standard normals by Box and Muller's formula in float64, u1 = (r1 + 1) 2^-32, u2 = r2 2^-32.</summary>
    internal static Point2 Normals(uint r1, uint r2)
    {
        double radius = Math.Sqrt(-2 * Math.Log((r1 + 1.0) * (1.0 / (1L << 32))));
        var (sin, cos) = Math.SinCos(2 * Math.PI * Uniform(r2));
        return new Point2(radius * cos, radius * sin);
    }

    private readonly struct SampleBody(IPointDistribution distribution, PhiloxState state, double[] points) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            for (int i = start; i < end; i++)
            {
                var (r0, r1, r2, r3) = Philox.Block(state, (ulong)i);
                (points[2 * i], points[2 * i + 1]) = distribution.Point(r0, r1, r2, r3);
            }
        }
    }
}
