namespace RawDiffusion.Diffusion;

/// <summary>Numbers of samples beside the samples, whose first axis counts them.</summary>
internal static class PerSampleExtensions
{
    /// <summary>values[n] in the shape [n, 1, ...] that broadcasts over samples [n, ...].</summary>
    public static Tensor PerSample(this Tensor values, Tensor samples)
    {
        Span<int> extents = stackalloc int[samples.Rank];
        extents.Fill(1);
        extents[0] = values.Count;
        return values.Reshape(new Shape(extents));
    }

    /// <summary>What is a mean over samples needs one.</summary>
    /// <param name="what">Who needs it.</param>
    /// <exception cref="ArgumentException">They are not [n, ...], or there are none.</exception>
    public static void ExpectSamples(this Tensor samples, string what)
    {
        if (samples.Rank < 2 || samples.Count == 0)
            throw new ArgumentException($"{what} needs samples [n, ...], not {samples.Shape}");
    }

    /// <summary>Sums over all elements of each sample: [n, ...] to [n].</summary>
    public static Tensor SumPerSample(this Tensor values) => values.Reshape(values.Shape[0], values.Count / Math.Max(1, values.Shape[0])).Sum(1);
}
