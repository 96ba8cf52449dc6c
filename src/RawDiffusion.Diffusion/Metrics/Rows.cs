using System.Numerics;

namespace RawDiffusion.Diffusion.Metrics;

/// <summary>Sums over rows of float64 numbers, several at a time.</summary>
internal static class Rows
{
    /// <summary>|x - y|^2.</summary>
    public static double SquaredDistance(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        var sums = Vector<double>.Zero;
        int k = 0;
        for (; k <= x.Length - Vector<double>.Count; k += Vector<double>.Count)
        {
            var difference = new Vector<double>(x[k..]) - new Vector<double>(y[k..]);
            sums += difference * difference;
        }
        double sum = Vector.Sum(sums);
        for (; k < x.Length; k++)
            sum += (x[k] - y[k]) * (x[k] - y[k]);
        return sum;
    }

    /// <summary>x . y.</summary>
    public static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        var sums = Vector<double>.Zero;
        int k = 0;
        for (; k <= x.Length - Vector<double>.Count; k += Vector<double>.Count)
            sums += new Vector<double>(x[k..]) * new Vector<double>(y[k..]);
        double sum = Vector.Sum(sums);
        for (; k < x.Length; k++)
            sum += x[k] * y[k];
        return sum;
    }

    /// <summary>y += scale x.</summary>
    public static void AddScaled(Span<double> y, ReadOnlySpan<double> x, double scale)
    {
        int k = 0;
        for (; k <= y.Length - Vector<double>.Count; k += Vector<double>.Count)
            (new Vector<double>(y[k..]) + scale * new Vector<double>(x[k..])).CopyTo(y[k..]);
        for (; k < y.Length; k++)
            y[k] += scale * x[k];
    }
}
