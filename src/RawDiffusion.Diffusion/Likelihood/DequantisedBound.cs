using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Vae;

namespace RawDiffusion.Diffusion.Likelihood;

/// <summary>
/// What a density says of discrete data: P(x) is its integral over the bin of x, and ln P(x) &gt;= E_q[ln p(x + u) - ln q(u | x)] for every
/// q(u | x) (Theis et al. 2016; Ho et al. 2019, equation 10). It is the bound of a VAE whose latent is x + u and whose decoder is certain.
/// </summary>
/// <remarks>
/// Offset: models see y = 2 (x + u) / K - 1 in [-1, 1) for K levels, so a density of x + u is (2 / K)^D times that of y, and bits per
/// dimension are log2(K / 2) more than the density's own: 7 for bytes.
/// </remarks>
public static class DequantisedBound
{
    /// <summary>x + u in the scale of models: bin k of K becomes [2 k / K - 1, 2 (k + 1) / K - 1).</summary>
    public static Tensor Scale(Tensor values, Tensor u, int levels) => (values + u) * (2.0 / levels) - 1;

    /// <summary>A bound on -ln P(x) for every sample by one draw of u, [n], nats.</summary>
    /// <param name="logDensity">ln p(y) for every sample, [n], of y in [-1, 1): a flow's likelihood, for example.</param>
    /// <param name="values">Whole numbers in [0, levels), [n, ...], as floats.</param>
    /// <param name="levels">K.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than two levels.</exception>
    /// <exception cref="ArgumentException">There are no values, one is no whole number in [0, levels), or q(u | x) is of another shape.</exception>
    public static Tensor Evaluate(Func<Tensor, Tensor> logDensity, Tensor values, int levels, Dequantisation dequantisation, NoiseSource noise)
    {
        if (levels < 2)
            throw new ArgumentOutOfRangeException(nameof(levels), $"discrete data have at least 2 levels, not {levels}");
        CheckValues(values, levels);
        var (u, logQ) = dequantisation.Draw(values, noise);
        if (u.Shape != values.Shape)
            throw new ArgumentException($"a place in the bin is drawn for every value: for values of shape {values.Shape}, not {u.Shape}");
        int size = values.Count / values.Shape[0];
        return logQ - logDensity(Scale(values, u, levels)) + size * Math.Log(levels / 2.0);
    }

    private static void CheckValues(Tensor values, int levels)
    {
        values.ExpectSamples("a bound for discrete data");
        // It reads the data back, which a recording cannot: the same work has run before.
        if (values.Device.IsRecording)
            return;
        float[] read = values.ToArray();
        int wrong = Array.FindIndex(read, value => !(value >= 0 && value < levels && value == MathF.Floor(value)));
        if (wrong >= 0)
            throw new ArgumentException($"discrete data are whole numbers in [0, {levels}); element {wrong} of data of shape {values.Shape} is {read[wrong]}");
    }

    /// <summary>The mean bound in bits per dimension, which no code for the data undercuts if <paramref name="logDensity"/> is one.</summary>
    /// <inheritdoc cref="Evaluate"/>
    public static double Bits(Func<Tensor, Tensor> logDensity, Tensor values, int levels, Dequantisation dequantisation, NoiseSource noise)
    {
        using var noGrad = new NoGrad();
        double nats = Evaluate(logDensity, values, levels, dequantisation, noise).ToDoubleArray().Average();
        return BitsPerDimension.Of(nats, values.Count / values.Shape[0]);
    }

    /// <summary>
    /// A function whose derivative is that of ln p(y) of a diffusion model, which is alpha times its score at the first time with noise: with it
    /// in <see cref="Evaluate"/>, q is trained against the model's flow without integrating that. Its value means nothing.
    /// </summary>
    /// <param name="start">The time at which <see cref="FlowLikelihood"/> starts.</param>
    public static Func<Tensor, Tensor> ScoreSlope(Denoiser denoiser, double start) => y =>
    {
        double alpha = denoiser.Process.Alpha(start);
        Tensor score;
        using (new NoGrad())
            score = denoiser.Score(y.Detach() * alpha, start) * alpha;
        return (y * score).SumPerSample();
    };
}
