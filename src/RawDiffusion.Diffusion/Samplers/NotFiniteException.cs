namespace RawDiffusion.Diffusion.Samplers;

/// <summary>A sampler or a likelihood met numbers that are not finite, most often those of a denoiser that was not trained well.</summary>
/// <param name="step">The step, from 1.</param>
/// <param name="time">The time at which the denoiser was asked in it.</param>
/// <param name="what">What is not finite.</param>
public sealed class NotFiniteException(int step, double time, string what)
    : ArithmeticException(FormattableString.Invariant($"step {step}, at time {time}: {what}"))
{
    /// <summary>The step, from 1.</summary>
    public int Step { get; } = step;

    /// <summary>The time at which the denoiser was asked.</summary>
    public double Time { get; } = time;
}
