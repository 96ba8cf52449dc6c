using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Editing;

/// <summary>
/// SDEdit (Meng et al. 2022): a guide, such as a rough drawing, is given so much noise that what is wrong with it is covered, and not more,
/// and the noise is taken away again. Little noise leaves it as it is, much noise forgets it.
/// </summary>
public static class SdEdit
{
    /// <summary>The times from a part of the process down to 0 in equal steps.</summary>
    /// <param name="strength">t_0 of the paper: which part of the process is gone through, in (0, 1].</param>
    /// <exception cref="ArgumentOutOfRangeException">The strength is none, or there is no step.</exception>
    public static double[] Times(ForwardProcess process, double strength, int steps)
    {
        if (!(strength is > 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(strength), $"the strength of an edit must be in (0, 1], not {strength}");
        return Array.ConvertAll(TimeGrid.Uniform(process, steps), time => strength * time);
    }

    /// <summary>Noises a guide to the first of the times and samples from there (Meng et al. 2022, Algorithm 1, with the ancestral sampler).</summary>
    /// <param name="guide">[n, ...].</param>
    /// <param name="times">Falling times from t_0 on.</param>
    /// <param name="clipX0">Limit for the absolute value of the predicted x_0; infinity for none.</param>
    public static Tensor Edit(
        Denoiser denoiser, Tensor guide, ReadOnlySpan<double> times, NoiseSource noise, double clipX0 = double.PositiveInfinity,
        Action<SamplerProgress>? callback = null)
    {
        double start = TimeGrid.Check(denoiser.Process, times)[0];
        using var scope = new MemoryScope();
        var noised = noise.Add(guide * denoiser.Process.Alpha(start), denoiser.Process.Sigma(start));
        return scope.Keep(Sampler.Ddpm(denoiser, noised, times, noise, clipX0: clipX0, callback: callback));
    }
}
