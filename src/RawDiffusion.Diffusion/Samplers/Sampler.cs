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

/// <summary>Where a sampler is, after a step.</summary>
/// <param name="Step">Steps done, from 1.</param>
/// <param name="Steps">Steps in all.</param>
/// <param name="Time">The time that <paramref name="State"/> is at.</param>
/// <param name="State">x at that time. Belongs to the sampler's memory scope: copy or read what is to stay.</param>
/// <param name="Epsilon">The noise that was predicted for this step.</param>
public readonly record struct SamplerProgress(int Step, int Steps, double Time, Tensor State, Tensor Epsilon);

/// <summary>
/// Samplers: plain functions from a denoiser, a start and a falling list of times to a sample. A step from time t to s uses
/// alpha_t, sigma_t, alpha_s, sigma_s and the forward variance between them, beta = sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2.
/// </summary>
public static class Sampler
{
    /// <summary>The start of sampling: normal noise with the process's prior standard deviation.</summary>
    public static Tensor Prior(ForwardProcess process, Shape shape, Generator generator, Backend? device = null)
    {
        var noise = Tensor.Randn(generator, shape, device);
        return process.PriorStandardDeviation == 1 ? noise : noise * process.PriorStandardDeviation;
    }

    /// <summary>
    /// Ancestral sampling (Ho et al. 2020, Algorithm 2), also strided: x_s ~ N(posterior mean at the predicted x_0, variance).
    /// No noise is added in a step that ends at time 0.
    /// </summary>
    /// <param name="x">The state at times[0].</param>
    /// <param name="times">Falling times; the last is usually 0.</param>
    /// <param name="clipX0">Limit for the absolute value of the predicted x_0; infinity for none.</param>
    public static Tensor Ddpm(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, Generator generator,
        ReverseVariance variance = ReverseVariance.FixedSmall, double clipX0 = double.PositiveInfinity, Action<SamplerProgress>? callback = null)
    {
        return Walk(denoiser, x, times, generator, clipX0, callback, step =>
        {
            double beta = step.Beta;
            double ratio = step.AlphaT / step.AlphaS;
            double posterior = beta * step.SigmaS * step.SigmaS / (step.SigmaT * step.SigmaT);
            double noise = step.SigmaS == 0 ? 0 : Math.Sqrt(variance == ReverseVariance.FixedSmall ? posterior : beta);
            return (ratio * step.SigmaS * step.SigmaS / (step.SigmaT * step.SigmaT), step.AlphaS * beta / (step.SigmaT * step.SigmaT), 0, noise);
        });
    }

    /// <summary>
    /// DDIM (Song, Meng and Ermon 2021, equation 12): x_s = alpha_s x_0 + sqrt(sigma_s^2 - n^2) eps + n z with
    /// n = eta sqrt(beta) sigma_s / sigma_t. eta 0 is deterministic, eta 1 has the variance of the ancestral sampler.
    /// Where x_0 is limited, eps is what leads from the limited x_0 to x_t, as Dhariwal and Nichol 2021 do: the predicted one would make
    /// up for what was cut off, and guided samples would show it.
    /// </summary>
    /// <inheritdoc cref="Ddpm"/>
    /// <exception cref="ArgumentOutOfRangeException">eta is not in [0, 1].</exception>
    public static Tensor Ddim(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, Generator generator,
        double eta = 0, double clipX0 = double.PositiveInfinity, Action<SamplerProgress>? callback = null)
    {
        if (eta is not (>= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(eta), $"eta must be in [0, 1], not {eta}");
        return Walk(denoiser, x, times, generator, clipX0, callback, step =>
        {
            double noise = eta * Math.Sqrt(step.Beta) * step.SigmaS / step.SigmaT;
            double direction = Math.Sqrt(Math.Max(0, step.SigmaS * step.SigmaS - noise * noise));
            // eps = (x_t - alpha_t x_0) / sigma_t
            return double.IsFinite(clipX0)
                ? (direction / step.SigmaT, step.AlphaS - direction * step.AlphaT / step.SigmaT, 0, noise)
                : (0, step.AlphaS, direction, noise);
        });
    }

    private delegate (double X, double X0, double Epsilon, double Noise) StepRule(Transition step);

    private static Tensor Walk(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, Generator generator, double clipX0,
        Action<SamplerProgress>? callback, StepRule rule)
    {
        TimeGrid.Check(times);
        if (!(clipX0 > 0))
            throw new ArgumentOutOfRangeException(nameof(clipX0), $"the limit for x_0 must be positive, not {clipX0}");
        using var noGrad = new NoGrad();
        for (int i = 0; i + 1 < times.Length; i++)
        {
            var before = x;
            using (var scope = new MemoryScope())
            {
                var step = new Transition(denoiser.Process, times[i], times[i + 1]);
                var eps = denoiser.Epsilon(x, times[i]);
                var (cx, cx0, ceps, noise) = rule(step);
                var coefficients = new DiffusionStepCoefficients(1 / step.AlphaT, step.SigmaT / step.AlphaT, clipX0, cx, cx0, ceps, noise);
                x = scope.Keep(F.DiffusionStep(x, eps, coefficients, generator));
                callback?.Invoke(new SamplerProgress(i + 1, times.Length - 1, times[i + 1], x, eps));
            }
            // The first state is the caller's; the ones between are ours and nobody else has them.
            if (i > 0)
                before.Release();
        }
        return x;
    }

    /// <summary>The scales at both ends of a step from time t to an earlier time s.</summary>
    private readonly struct Transition(ForwardProcess process, double t, double s)
    {
        public double AlphaT { get; } = process.Alpha(t);

        public double SigmaT { get; } = process.Sigma(t);

        public double AlphaS { get; } = process.Alpha(s);

        public double SigmaS { get; } = process.Sigma(s);

        /// <summary>Variance of the forward step: sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2.</summary>
        public double Beta => Math.Max(0, SigmaT * SigmaT - AlphaT * AlphaT / (AlphaS * AlphaS) * SigmaS * SigmaS);
    }
}
