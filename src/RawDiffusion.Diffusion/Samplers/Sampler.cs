using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Samplers;

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
    /// <param name="variance"><see cref="ReverseVariance.FixedSmall"/> when null.</param>
    /// <param name="clipX0">Limit for the absolute value of the predicted x_0; infinity for none.</param>
    /// <exception cref="ArgumentException">The times do not fall within the process, or there is no signal at the first.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The limit is not positive.</exception>
    /// <exception cref="NotFiniteException">The denoiser's answer or the state is not finite, as in every sampler; it says at which step.</exception>
    public static Tensor Ddpm(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, NoiseSource noise,
        ReverseVariance? variance = null, double clipX0 = double.PositiveInfinity, Action<SamplerProgress>? callback = null)
    {
        variance ??= ReverseVariance.FixedSmall;
        return Walk(denoiser, x, times, noise, clipX0, callback, (step, state, t, spread) =>
            new StepRule(step.PosteriorXt, step.PosteriorX0, 0, step.SigmaS == 0 ? null : variance.Of(denoiser, state, t, step, spread)));
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
        CheckEta(eta);
        return Walk(denoiser, x, times, noise, clipX0, callback, (step, _, _, _) =>
        {
            double scale = eta * Math.Sqrt(step.PosteriorVariance);
            double direction = Math.Sqrt(Math.Max(0, step.SigmaS * step.SigmaS - scale * scale));
            // eps = (x_t - alpha_t x_0) / sigma_t
            StepVariance? variance = scale == 0 ? null : scale * scale;
            return double.IsFinite(clipX0)
                ? new StepRule(direction / step.SigmaT, step.AlphaS - direction * step.AlphaT / step.SigmaT, 0, variance)
                : new StepRule(0, step.AlphaS, direction, variance);
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

    /// <summary>x_s as a sum of x_t, the predicted x_0, the predicted noise and fresh noise of a variance; null for none.</summary>
    private readonly record struct StepRule(double X, double X0, double Epsilon, StepVariance? Variance);

    private delegate StepRule StepRules(Transition step, Tensor state, double t, Tensor? spread);

    private static Tensor Walk(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, NoiseSource noise, double clipX0, Action<SamplerProgress>? callback, StepRules rules)
    {
        double[] grid = TimeGrid.Check(denoiser.Process, times);
        if (!(clipX0 > 0))
            throw new ArgumentOutOfRangeException(nameof(clipX0), $"the limit for x_0 must be positive, not {clipX0}");
        ExpectSignal(denoiser.Process, grid[0]);
        return SamplerWalk.Run(x, grid, callback, (i, state, _) =>
        {
            var step = new Transition(denoiser.Process, grid[i], grid[i + 1]);
            var (eps, spread) = denoiser.Predict(state, grid[i], Parameterisation.Epsilon);
            var (cx, cx0, ceps, variance) = rules(step, state, grid[i], spread);
            double inverseAlpha = 1 / step.AlphaT, sigmaOverAlpha = step.SigmaT / step.AlphaT, scale = Math.Sqrt(variance?.Common ?? 0);
            var next = noise.Step(state, eps, new DiffusionStepCoefficients(inverseAlpha, sigmaOverAlpha, clipX0, cx, cx0, ceps, scale));
            if (variance?.Logarithms is { } logarithms)
                next += noise.Next(state) * (logarithms * 0.5).Exp();
            // Those who watch want x_0; the kernel does not give it away.
            return new SamplerStep(next, callback is null ? eps : Clipped(state * inverseAlpha - eps * sigmaOverAlpha, clipX0));
        });
    }

    /// <summary>Where there is none, what divides by alpha is not defined.</summary>
    internal static void ExpectSignal(ForwardProcess process, double time)
    {
        if (!double.IsFinite(process.NoiseToSignal(time)))
            throw new ArgumentException($"this sampler cannot start at time {time} of {process.Name}, where no signal is left; Euler and DpmSolver2M can, or start a little earlier");
    }

    internal static Tensor Clipped(Tensor x, double limit) => double.IsFinite(limit) ? x.Clamp(-limit, limit) : x;
}
