using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Samplers;

/// <summary>Which variance the ancestral sampler's reverse step has (Ho et al. 2020, section 3.2).</summary>
public enum ReverseVariance
{
    /// <summary>That of the posterior q(x_s | x_t, x_0): right when the data is a point.</summary>
    FixedSmall,

    /// <summary>That of the forward step: right when the data is standard normal.</summary>
    FixedLarge,
}

/// <summary>
/// Samplers: plain functions from a denoiser, a start and a falling list of times to a sample. A step from time t to s uses
/// alpha_t, sigma_t, alpha_s, sigma_s and the forward variance between them, see <see cref="Transition"/>.
/// </summary>
/// <remarks>
/// <para>
/// Here are the samplers of discrete diffusion; those of the probability flow and of the reverse SDE are in the other files of this class.
/// Several famous ones are the same function: Euler's method on the probability flow in the variables of Karras et al. 2022 is
/// <see cref="Ddim"/> with eta 0, their "Euler ancestral" is <see cref="Ddim"/> with eta 1, which is <see cref="Ddpm"/> with the small variance.
/// </para>
/// <para>How often the network was asked is <see cref="Denoiser.Evaluations"/>.</para>
/// </remarks>
public static partial class Sampler
{
    /// <summary>The start of sampling: normal noise with the process's prior standard deviation.</summary>
    public static Tensor Prior(ForwardProcess process, Shape shape, Generator generator, Backend? device = null)
    {
        var noise = Tensor.Randn(generator, shape, device);
        return process.PriorStandardDeviation == 1 ? noise : noise * process.PriorStandardDeviation;
    }

    /// <summary>
    /// Ancestral sampling (Ho et al. 2020, Algorithm 2), also strided: x_s ~ N(posterior mean at the predicted x_0, variance).
    /// No noise is added in a step that ends without noise.
    /// </summary>
    /// <param name="x">The state at times[0].</param>
    /// <param name="times">Falling times; the last is usually 0.</param>
    /// <param name="clipX0">Limit for the absolute value of the predicted x_0; infinity for none.</param>
    /// <exception cref="ArgumentException">The times do not fall within the process, or there is no signal at the first.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The limit is not positive.</exception>
    /// <exception cref="NotFiniteException">The denoiser's answer or the state is not finite, as in every sampler; it says at which step.</exception>
    public static Tensor Ddpm(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, NoiseSource noise,
        ReverseVariance variance = ReverseVariance.FixedSmall, double clipX0 = double.PositiveInfinity, Action<SamplerProgress>? callback = null)
    {
        return Walk(denoiser, x, times, noise, clipX0, callback, step =>
        {
            double scale = step.SigmaS == 0 ? 0 : Math.Sqrt(variance == ReverseVariance.FixedSmall ? step.PosteriorVariance : step.Variance);
            return (step.PosteriorXt, step.PosteriorX0, 0, scale);
        });
    }

    /// <summary>
    /// DDIM (Song, Meng and Ermon 2021, equation 12): x_s = alpha_s x_0 + sqrt(sigma_s^2 - n^2) eps + n z with
    /// n = eta sqrt(beta) sigma_s / sigma_t. eta 0 is deterministic, eta 1 has the variance of the ancestral sampler.
    /// Where x_0 is limited, eps is what leads from the limited x_0 to x_t, as Dhariwal and Nichol 2021 do: the predicted one would make
    /// up for what was cut off, and guided samples would show it.
    /// </summary>
    /// <inheritdoc cref="Ddpm"/>
    /// <exception cref="ArgumentOutOfRangeException">eta is not in [0, 1], or the limit not positive.</exception>
    public static Tensor Ddim(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, NoiseSource noise,
        double eta = 0, double clipX0 = double.PositiveInfinity, Action<SamplerProgress>? callback = null)
    {
        if (eta is not (>= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(eta), $"eta must be in [0, 1], not {eta}");
        return Walk(denoiser, x, times, noise, clipX0, callback, step =>
        {
            double scale = eta * Math.Sqrt(step.PosteriorVariance);
            double direction = Math.Sqrt(Math.Max(0, step.SigmaS * step.SigmaS - scale * scale));
            // eps = (x_t - alpha_t x_0) / sigma_t
            return double.IsFinite(clipX0)
                ? (direction / step.SigmaT, step.AlphaS - direction * step.AlphaT / step.SigmaT, 0, scale)
                : (0, step.AlphaS, direction, scale);
        });
    }

    /// <summary>
    /// Ddim backwards: the noise at the last of rising times from which <see cref="Ddim"/> with eta 0 makes x again, up to the error of its
    /// steps (Song, Meng and Ermon 2021, section 4.3). The noise in x at time t is taken for that at the next one.
    /// </summary>
    /// <param name="x">Data, at times[0].</param>
    /// <param name="times">Rising times; the first, where there is no noise to ask for, may be 0: the network is then asked at times[1].</param>
    public static Tensor Invert(Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, Action<SamplerProgress>? callback = null)
    {
        double[] falling = times.ToArray();
        Array.Reverse(falling);
        TimeGrid.Check(denoiser.Process, falling);
        double[] grid = times.ToArray();
        var process = denoiser.Process;
        return SamplerWalk.Run(x, grid, callback, (i, state, _) =>
        {
            double s = grid[i], t = grid[i + 1];
            var eps = denoiser.Epsilon(state, process.Sigma(s) > 0 ? s : t);
            var x0 = (state - eps * process.Sigma(s)) * (1 / process.Alpha(s));
            return new SamplerStep(x0 * process.Alpha(t) + eps * process.Sigma(t), x0);
        });
    }

    private delegate (double X, double X0, double Epsilon, double Noise) StepRule(Transition step);

    private static Tensor Walk(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, NoiseSource noise, double clipX0, Action<SamplerProgress>? callback, StepRule rule)
    {
        double[] grid = TimeGrid.Check(denoiser.Process, times);
        if (!(clipX0 > 0))
            throw new ArgumentOutOfRangeException(nameof(clipX0), $"the limit for x_0 must be positive, not {clipX0}");
        ExpectSignal(denoiser.Process, grid[0]);
        return SamplerWalk.Run(x, grid, callback, (i, state, _) =>
        {
            var step = new Transition(denoiser.Process, grid[i], grid[i + 1]);
            var eps = denoiser.Epsilon(state, grid[i]);
            var (cx, cx0, ceps, scale) = rule(step);
            double inverseAlpha = 1 / step.AlphaT, sigmaOverAlpha = step.SigmaT / step.AlphaT;
            var next = noise.Step(state, eps, new DiffusionStepCoefficients(inverseAlpha, sigmaOverAlpha, clipX0, cx, cx0, ceps, scale));
            // Those who watch want x_0; the kernel does not give it away.
            return new SamplerStep(next, callback is null ? eps : Clipped(state * inverseAlpha - eps * sigmaOverAlpha, clipX0));
        });
    }

    /// <summary>Where there is none, what divides by alpha is not defined.</summary>
    private static void ExpectSignal(ForwardProcess process, double time)
    {
        if (!double.IsFinite(process.NoiseToSignal(time)))
            throw new ArgumentException($"this sampler cannot start at time {time} of {process.Name}, where no signal is left; Euler and DpmSolver2M can, or start a little earlier");
    }

    internal static Tensor Clipped(Tensor x, double limit) => double.IsFinite(limit) ? x.Clamp(-limit, limit) : x;
}
