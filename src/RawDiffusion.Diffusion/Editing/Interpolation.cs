using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Editing;

/// <summary>
/// Ways between samples by way of the noise that DDIM makes them from (Song, Meng and Ermon 2021, section 5.3). The straight way between
/// two latents passes where there is hardly any noise of that size: in many dimensions normals lie near a sphere, so the way is along it.
/// </summary>
public static class Interpolation
{
    /// <summary>
    /// Spherical linear interpolation (Shoemake 1985): sin((1 - w) angle) / sin(angle) a + sin(w angle) / sin(angle) b with the angle between
    /// each pair of samples. Where there is no angle, because the two have one direction or one of them is 0, it is a straight line.
    /// </summary>
    /// <param name="a">[n, ...], weight 0.</param>
    /// <param name="b">Of the same shape, weight 1.</param>
    /// <param name="weight">w; below 0 and above 1 the circle is gone on with.</param>
    /// <exception cref="ArgumentException">The shapes differ, or two samples have opposite directions, between which no way is the shortest.</exception>
    public static Tensor Slerp(Tensor a, Tensor b, double weight)
    {
        // Nearer than this to one direction or to opposite ones, in radians, the sine in the denominator is mostly rounding.
        const double least = 1e-4;
        if (a.Shape != b.Shape || a.Rank < 2 || a.Count == 0)
            throw new ArgumentException($"spherical interpolation is between samples [n, ...] of one shape, not {a.Shape} and {b.Shape}");
        int n = a.Shape[0], size = a.Count / n;
        double[] from = a.ToDoubleArray(), to = b.ToDoubleArray(), ofA = new double[n], ofB = new double[n];
        for (int i = 0; i < n; i++)
        {
            double angle = Angle(from.AsSpan(i * size, size), to.AsSpan(i * size, size));
            if (angle > Math.PI - least)
                throw new ArgumentException($"samples {i} have opposite directions; there is no one way between them");
            double sin = Math.Sin(angle);
            (ofA[i], ofB[i]) = angle < least ? (1 - weight, weight) : (Math.Sin((1 - weight) * angle) / sin, Math.Sin(weight * angle) / sin);
        }
        int[] extents = new int[a.Rank];
        Array.Fill(extents, 1);
        extents[0] = n;
        return a * Tensor.From(ofA, new Shape(extents), a.Device) + b * Tensor.From(ofB, new Shape(extents), a.Device);
    }

    /// <summary>Samples on the ways between others: both are inverted (<see cref="Sampler.Invert"/>), joined by <see cref="Slerp"/>, and made again.</summary>
    /// <param name="a">Data, [n, ...].</param>
    /// <param name="b">Data of the same shape.</param>
    /// <param name="weights">Where on the way: 0 is a and 1 is b, up to the error of the steps.</param>
    /// <param name="times">Falling times that end at 0.</param>
    /// <param name="callback">Is told of the steps towards the samples, not of those to their noise.</param>
    /// <returns>For each weight n samples: [weights n, ...].</returns>
    /// <exception cref="ArgumentException">The shapes differ, there are no weights, or the times are no sampler's.</exception>
    public static Tensor Between(
        Denoiser denoiser, Tensor a, Tensor b, ReadOnlySpan<double> weights, ReadOnlySpan<double> times, double clipX0 = double.PositiveInfinity,
        Action<SamplerProgress>? callback = null)
    {
        if (weights.Length == 0)
            throw new ArgumentException("an interpolation needs at least one weight");
        if (a.Shape != b.Shape)
            throw new ArgumentException($"samples to interpolate between have one shape, not {a.Shape} and {b.Shape}");
        double[] rising = times.ToArray();
        Array.Reverse(rising);
        using var scope = new MemoryScope();
        // Both at once: twice as many samples, half as many evaluations.
        var latents = Sampler.Invert(denoiser, Tensor.Concat([a, b]), rising);
        int n = a.Shape[0];
        Tensor first = latents.Slice(0, 0, n), second = latents.Slice(0, n, n);
        var points = new Tensor[weights.Length];
        for (int i = 0; i < points.Length; i++)
            points[i] = Slerp(first, second, weights[i]);
        return scope.Keep(Sampler.Ddim(denoiser, Tensor.Concat(points), times, new Generator(0), clipX0: clipX0, callback: callback));
    }

    /// <summary>The angle between two vectors by Kahan's formula, which keeps its digits where they are nearly parallel; 0 where one is 0.</summary>
    private static double Angle(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double normA = Math.Sqrt(Dot(a, a)), normB = Math.Sqrt(Dot(b, b));
        if (normA == 0 || normB == 0)
            return 0;
        double sum = 0, difference = 0;
        for (int i = 0; i < a.Length; i++)
        {
            double u = a[i] / normA, v = b[i] / normB;
            sum += (u + v) * (u + v);
            difference += (u - v) * (u - v);
        }
        return 2 * Math.Atan2(Math.Sqrt(difference), Math.Sqrt(sum));
    }

    private static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += a[i] * b[i];
        return sum;
    }
}
