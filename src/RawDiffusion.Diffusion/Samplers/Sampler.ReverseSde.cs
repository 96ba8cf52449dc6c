using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Samplers;

/// <summary>
/// One step of a sampler of the reverse SDE: where the score is asked, and the forward kernel that is undone, of which
/// x_t = Ratio x_s + sqrt(Variance) z.
/// </summary>
public readonly record struct ReverseStep(double Time, double Ratio, double Variance)
{
    /// <summary>The steps between neighbours of falling times.</summary>
    public static ReverseStep[] Between(ForwardProcess process, ReadOnlySpan<double> times)
    {
        double[] grid = TimeGrid.Check(process, times);
        var steps = new ReverseStep[grid.Length - 1];
        for (int i = 0; i < steps.Length; i++)
        {
            var step = new Transition(process, grid[i], grid[i + 1]);
            steps[i] = new ReverseStep(grid[i], step.Ratio, step.Variance);
        }
        return steps;
    }
}

public static partial class Sampler
{
    /// <summary>
    /// Euler and Maruyama's method on the reverse SDE, dx = (f x - g^2 score) dt + g dw (Song et al. 2021, equation 6). One evaluation a step.
    /// The noise of the last step is left out, as it would only be seen.
    /// </summary>
    /// <param name="x">The state at times[0].</param>
    /// <param name="times">Falling times; the score is asked at all but the last.</param>
    /// <param name="stepSize">The length of every step where it is not the distance of the times; score_sde's public code has times on another grid.</param>
    /// <exception cref="ArgumentException">The times do not fall within the process, or the process has no drift at one of them.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The step size is not positive.</exception>
    public static Tensor EulerMaruyama(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, NoiseSource noise, double? stepSize = null, Action<SamplerProgress>? callback = null)
    {
        double[] grid = TimeGrid.Check(denoiser.Process, times);
        var process = denoiser.Process;
        if (stepSize is { } length && !(length > 0 && double.IsFinite(length)))
            throw new ArgumentOutOfRangeException(nameof(stepSize), $"the length of a step must be positive, not {length}");
        // Straight lines have an infinite one where the signal has gone.
        if (!double.IsFinite(process.Drift(grid[0])))
            throw new ArgumentException($"the reverse SDE of {process.Name} cannot start at time {grid[0]}: its drift there is {process.Drift(grid[0])}");
        return SamplerWalk.Run(x, grid, callback, (i, state, _) =>
        {
            double t = grid[i], dt = stepSize ?? t - grid[i + 1], g2 = process.DiffusionSquared(t);
            var score = denoiser.Score(state, t);
            var mean = state * (1 - process.Drift(t) * dt) + score * (g2 * dt);
            bool last = i + 2 == grid.Length;
            return new SamplerStep(last ? mean : noise.Add(mean, Math.Sqrt(g2 * dt)), CleanSample(process, state, score, t));
        });
    }

    /// <summary>
    /// Predictor and corrector (Song et al. 2021, Algorithms 2 to 5): before each step of reverse diffusion, steps of Langevin dynamics that
    /// change nothing in the distribution if it is right, and pull it right if not. Without corrector steps it is their reverse-diffusion
    /// sampler. 1 + corrector evaluations a step.
    /// </summary>
    /// <param name="steps">The steps; <see cref="ReverseStep.Between"/> gives those of a list of times.</param>
    /// <param name="corrector">Langevin steps before each step.</param>
    /// <param name="signalToNoise">r: how large the gradient of a Langevin step is beside its noise. The step size follows from it.</param>
    /// <exception cref="ArgumentException">There is no step, or their times do not fall within the process, or one is of no forward kernel.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The number of corrector steps is negative, or the ratio not positive.</exception>
    public static Tensor PredictorCorrector(
        Denoiser denoiser, Tensor x, ReadOnlySpan<ReverseStep> steps, NoiseSource noise, int corrector = 1, double signalToNoise = 0.16,
        Action<SamplerProgress>? callback = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(corrector);
        if (!(signalToNoise > 0 && double.IsFinite(signalToNoise)))
            throw new ArgumentOutOfRangeException(nameof(signalToNoise), $"the ratio of signal to noise must be positive, not {signalToNoise}");
        var each = steps.ToArray();
        Check(denoiser.Process, each);
        double[] grid = [.. each.Select(step => step.Time), 0];
        return SamplerWalk.Run(x, grid, callback, (i, state, _) =>
        {
            var (t, ratio, variance) = each[i];
            for (int j = 0; j < corrector; j++)
                state = LangevinStep(state, denoiser.Score(state, t), noise, signalToNoise, ratio * ratio, i, t);
            var score = denoiser.Score(state, t);
            // x - (Ratio x - x) + Variance score: the forward step's drift, reversed.
            var mean = state * (2 - ratio) + score * variance;
            bool last = i + 1 == each.Length;
            return new SamplerStep(last ? mean : noise.Add(mean, Math.Sqrt(variance)), CleanSample(denoiser.Process, state, score, t));
        });
    }

    /// <summary>
    /// Annealed Langevin dynamics (Song and Ermon 2019, Algorithm 1): at each noise level several steps x + step score / 2 + sqrt(step) z with
    /// step = stepSize sigma_i^2 / sigma_last^2. Needs no process but its noise levels.
    /// </summary>
    /// <param name="x">A state with about the noise of times[0].</param>
    /// <param name="times">Falling times of the levels, all with noise.</param>
    /// <param name="stepsPerLevel">T of the paper.</param>
    /// <param name="stepSize">epsilon of the paper: the step at the last level.</param>
    /// <exception cref="ArgumentException">There is no level, they do not fall within the process, or the last has no noise.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The number of steps or their size is not positive.</exception>
    public static Tensor AnnealedLangevin(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, NoiseSource noise, int stepsPerLevel = 100, double stepSize = 2e-5,
        Action<SamplerProgress>? callback = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(stepsPerLevel, 1);
        if (!(stepSize > 0 && double.IsFinite(stepSize)))
            throw new ArgumentOutOfRangeException(nameof(stepSize), $"the step must be positive, not {stepSize}");
        if (times.Length == 0)
            throw new ArgumentException("Langevin dynamics needs at least one noise level");
        // One level alone is plain Langevin dynamics.
        double[] levels = times.Length == 1 ? times.ToArray() : TimeGrid.Check(denoiser.Process, times);
        var process = denoiser.Process;
        double last = process.NoiseToSignal(levels[^1]);
        ExpectSignal(process, levels[0]);
        if (!(last > 0))
            throw new ArgumentException($"Langevin dynamics needs noise at its last level; {process.Name} has none at time {levels[^1]}");
        var grid = new double[levels.Length * stepsPerLevel + 1];
        for (int i = 0; i < grid.Length; i++)
            grid[i] = levels[Math.Min(levels.Length - 1, Math.Max(0, i - 1) / stepsPerLevel)];
        return SamplerWalk.Run(x, grid, callback, (i, state, _) =>
        {
            double t = levels[i / stepsPerLevel], alpha = process.Alpha(t), s = process.NoiseToSignal(t);
            double step = stepSize * (s / last) * (s / last) * alpha * alpha;
            // From the level before, the state has another scale.
            if (i > 0 && i % stepsPerLevel == 0)
                state *= alpha / process.Alpha(levels[i / stepsPerLevel - 1]);
            var score = denoiser.Score(state, t);
            return new SamplerStep(noise.Add(state + score * (0.5 * step), Math.Sqrt(step)), CleanSample(process, state, score, t));
        });
    }

    // step = 2 alpha (r |z| / |score|)^2 with the norms averaged over the batch.
    private static Tensor LangevinStep(Tensor x, Tensor score, NoiseSource noise, double signalToNoise, double alpha, int step, double t)
    {
        var z = noise.Next(x);
        double norm = MeanNorm(score);
        if (!double.IsFinite(norm))
            throw new NotFiniteException(step + 1, t, "the denoiser's answer is not finite");
        if (norm == 0)
            throw new InvalidOperationException($"step {step + 1}, at time {t}: the score is 0 everywhere, so a Langevin step has no size");
        double ratio = MeanNorm(z) / norm, size = 2 * alpha * signalToNoise * signalToNoise * ratio * ratio;
        return x + score * size + z * Math.Sqrt(2 * size);
    }

    private static void Check(ForwardProcess process, ReverseStep[] steps)
    {
        if (steps.Length == 0)
            throw new ArgumentException("a sampler needs at least 1 step");
        for (int i = 0; i < steps.Length; i++)
        {
            var (time, ratio, variance) = steps[i];
            if (!(time > 0 && time <= process.EndTime && (i == 0 || time < steps[i - 1].Time)))
                throw new ArgumentException($"the times of steps must fall within (0, {process.EndTime}]; that of step {i} is {time}{(i == 0 ? "" : $" after {steps[i - 1].Time}")}");
            if (!(ratio > 0 && double.IsFinite(ratio) && variance >= 0 && double.IsFinite(variance)))
                throw new ArgumentException($"a forward kernel has a positive ratio and a variance that is not negative; those of step {i} are {ratio} and {variance}");
        }
    }

    private static double MeanNorm(Tensor x) => x.Reshape(x.Shape[0], x.Count / x.Shape[0]).Norm([1]).Mean().Item();

    /// <summary>x_0 = (x + sigma^2 score) / alpha (Efron 2011, Tweedie's formula).</summary>
    private static Tensor CleanSample(ForwardProcess process, Tensor x, Tensor score, double t)
    {
        double alpha = process.Alpha(t), sigma = process.Sigma(t);
        return x * (1 / alpha) + score * (sigma * sigma / alpha);
    }
}
