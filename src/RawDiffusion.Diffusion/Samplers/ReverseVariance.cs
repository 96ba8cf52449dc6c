using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Samplers;

/// <summary>
/// The variance of the reverse step p(x_s | x_t), a Gaussian around the posterior mean at the predicted x_0: fixed by the process, the same
/// for all states of a time, or different for every number of every state.
/// </summary>
/// <remarks>
/// The truth has two parts: the variance of the posterior q(x_s | x_t, x_0), and what is not known of x_0 when x_t is seen, carried to x_s:
/// PosteriorVariance + PosteriorX0^2 Var(x_0 | x_t). It is the variance with the least KL divergence (Bao et al. 2022a, theorem 1, and
/// 2022b, theorem 3). The fixed ones are its ends: nothing unknown of x_0, and as much as if data were noise.
/// </remarks>
public abstract partial class ReverseVariance
{
    /// <summary>That of the posterior q(x_s | x_t, x_0): right when the data is a point (Ho et al. 2020, section 3.2).</summary>
    public static ReverseVariance FixedSmall { get; } = new FixedVariance(small: true);

    /// <summary>That of the forward step: right when the data is standard normal (Ho et al. 2020, section 3.2).</summary>
    public static ReverseVariance FixedLarge { get; } = new FixedVariance(small: false);

    /// <summary>
    /// Between the two fixed ones, for every number what the network says: exp(v ln large + (1 - v) ln small) with v = (spread + 1) / 2
    /// (Nichol and Dhariwal 2021, equation 15). Spreads beyond -1 and 1 go beyond the fixed ones.
    /// </summary>
    public static ReverseVariance Learned { get; } = new LearnedVariance();

    /// <summary>The variance of a step.</summary>
    /// <param name="denoiser">Whose step it is.</param>
    /// <param name="x">The state at time t, [n, ...].</param>
    /// <param name="t">The time that the step starts from.</param>
    /// <param name="step">From t to an earlier time. Where that is 0, the variance is that of the decoder: a sampler adds no noise there.</param>
    /// <param name="spread">What the denoiser said of the variance, if anything.</param>
    /// <exception cref="InvalidOperationException">It needs to be told a spread, and the network has learned none.</exception>
    public abstract StepVariance Of(Denoiser denoiser, Tensor x, double t, in Transition step, Tensor? spread);

    /// <summary>
    /// ln of the fixed variances, between which <see cref="Learned"/> lies. Into time 0 the posterior has no variance and half of the forward
    /// one takes its place: about what it would be one step earlier, which is what the paper's code takes.
    /// </summary>
    public static (double Low, double High) LogBounds(in Transition step) =>
        (Math.Log(step.SigmaS > 0 ? step.PosteriorVariance : 0.5 * step.Variance), Math.Log(step.Variance));

    /// <summary>ln of a variance from a spread and <see cref="LogBounds"/> that broadcast to its shape.</summary>
    public static Tensor Interpolate(Tensor spread, Tensor low, Tensor high) => low + (spread * 0.5 + 0.5) * (high - low);

    private sealed class FixedVariance(bool small) : ReverseVariance
    {
        public override StepVariance Of(Denoiser denoiser, Tensor x, double t, in Transition step, Tensor? spread) =>
            small && step.SigmaS > 0 ? step.PosteriorVariance : step.Variance;
    }

    private sealed class LearnedVariance : ReverseVariance
    {
        public override StepVariance Of(Denoiser denoiser, Tensor x, double t, in Transition step, Tensor? spread)
        {
            if (spread is null)
                throw new InvalidOperationException("a learned variance needs a network that says it: a denoiser with learnsVariance");
            var (low, high) = LogBounds(step);
            // Interpolate, with numbers for bounds.
            return new StepVariance(spread * (0.5 * (high - low)) + 0.5 * (high + low));
        }
    }
}

/// <summary>The variance of one reverse step: one number, or the logarithms of one for each number of the state.</summary>
public readonly struct StepVariance
{
    /// <exception cref="ArgumentOutOfRangeException">The variance is not positive, or not finite.</exception>
    public StepVariance(double common) => Common = common > 0 && double.IsFinite(common)
        ? common
        : throw new ArgumentOutOfRangeException(nameof(common), $"the variance of a reverse step must be positive and finite, not {common}");

    /// <param name="logarithms">ln of the variances, of the shape of the state.</param>
    public StepVariance(Tensor logarithms) => Logarithms = logarithms;

    /// <summary>The variance of all numbers, where <see cref="Logarithms"/> is null.</summary>
    public double Common { get; }

    /// <summary>ln of every number's own variance; null where all have one.</summary>
    public Tensor? Logarithms { get; }

    public static implicit operator StepVariance(double common) => new(common);
}
