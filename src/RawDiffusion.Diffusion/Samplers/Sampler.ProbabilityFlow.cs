using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Samplers;

// The probability flow and its relatives in the variables of Karras et al. 2022: x^ = x / alpha beside the noise s = sigma / alpha, where
// dx^/ds = (x^ - D(x^; s)) / s is the predicted noise, and D is the denoiser. Every process takes part through its alpha and sigma.
public static partial class Sampler
{
    /// <summary>Random changes of the noise level on the way (Karras et al. 2022, Algorithm 2): S_churn, S_tmin, S_tmax and S_noise.</summary>
    /// <param name="Amount">S_churn: how much noise is added in all; 0 for none.</param>
    /// <param name="Smallest">The least sigma / alpha at which noise is added.</param>
    /// <param name="Largest">The largest.</param>
    /// <param name="NoiseScale">A little more than 1 makes up for what the denoiser removes too much.</param>
    public readonly record struct Churn(double Amount, double Smallest = 0, double Largest = double.PositiveInfinity, double NoiseScale = 1)
    {
        /// <summary>gamma_i: by which part the noise grows before a step from s.</summary>
        internal double Growth(double s, int steps) =>
            s >= Smallest && s <= Largest ? Math.Min(Amount / steps, Math.Sqrt(2) - 1) : 0;
    }

    /// <summary>
    /// Euler's method on the probability flow with noise added and removed on the way; without churn it is <see cref="Ddim"/> with eta 0.
    /// One evaluation a step.
    /// </summary>
    /// <param name="x">The state at times[0].</param>
    /// <param name="times">Falling times; the last is usually 0.</param>
    public static Tensor Euler(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, NoiseSource noise, Churn churn = default, Action<SamplerProgress>? callback = null) =>
        Edm(denoiser, x, times, noise, churn, heun: false, callback);

    /// <summary>
    /// Heun's method, of second order, on the probability flow (Karras et al. 2022, Algorithms 1 and 2). Two evaluations a step, one in a
    /// step that ends without noise.
    /// </summary>
    /// <inheritdoc cref="Euler"/>
    public static Tensor Heun(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, NoiseSource noise, Churn churn = default, Action<SamplerProgress>? callback = null) =>
        Edm(denoiser, x, times, noise, churn, heun: true, callback);

    /// <summary>
    /// DPM-Solver++(2M) (Lu et al. 2023, Algorithm 2): second order from the predictions of this step and the last. One evaluation a step.
    /// </summary>
    /// <inheritdoc cref="Euler"/>
    public static Tensor DpmSolver2M(Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, Action<SamplerProgress>? callback = null)
    {
        double[] grid = TimeGrid.Check(denoiser.Process, times);
        return SamplerWalk.Run(x, grid, callback, (i, state, last) =>
        {
            Level from = new(denoiser.Process, grid[i]), to = new(denoiser.Process, grid[i + 1]);
            var x0 = denoiser.X0(state, grid[i]);
            double h = to.Lambda - from.Lambda;
            var direction = x0;
            if (last is not null && to.S > 0)
            {
                double r = (from.Lambda - new Level(denoiser.Process, grid[i - 1]).Lambda) / h;
                direction = x0 * (1 + 1 / (2 * r)) - last * (1 / (2 * r));
            }
            return new SamplerStep(Exponential(state, direction, from, to), x0, x0);
        });
    }

    /// <summary>
    /// DPM-Solver++(2S) (Lu et al. 2023, Algorithm 1), of second order by a step to the middle; with eta 1 in k-diffusion's ancestral form,
    /// which goes down to less noise than wanted and adds the rest anew. Two evaluations a step, one in a step that ends without noise.
    /// </summary>
    /// <param name="eta">0 for the deterministic method, 1 for as much new noise as the posterior has.</param>
    /// <inheritdoc cref="Euler"/>
    public static Tensor DpmSolver2S(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, NoiseSource noise, double eta = 0, Action<SamplerProgress>? callback = null)
    {
        CheckEta(eta);
        double[] grid = TimeGrid.Check(denoiser.Process, times);
        var process = denoiser.Process;
        ExpectSignal(process, grid[0]);
        return SamplerWalk.Run(x, grid, callback, (i, state, _) =>
        {
            Level from = new(process, grid[i]), to = new(process, grid[i + 1]);
            var (down, up) = Ancestral(from.S, to.S, eta);
            var x0 = denoiser.X0(state, grid[i]);
            if (down == 0)
                return new SamplerStep(noise.Add(x0 * to.Alpha, up * to.Alpha), x0);
            double middle = Math.Sqrt(from.S * down), time = process.TimeOf(middle);
            Level half = new(process, time);
            var between = Exponential(state, x0, from, half);
            // Down to the noise of `down` at the scale of the next time.
            var target = to with { Sigma = down * to.Alpha };
            var next = Exponential(state, denoiser.X0(between, time), from, target);
            return new SamplerStep(noise.Add(next, up * to.Alpha), x0);
        });
    }

    /// <summary>How <see cref="DpmSolverSde2M"/> uses the prediction of the last step.</summary>
    public enum SdeCorrection
    {
        Midpoint,
        Heun,
    }

    /// <summary>
    /// SDE-DPM-Solver++(2M) (Lu et al. 2023, section 4.3): the reverse SDE, of second order in its drift. One evaluation a step. eta 0 is
    /// <see cref="DpmSolver2M"/> up to how the last prediction enters.
    /// </summary>
    /// <param name="eta">Share of the reverse SDE's noise.</param>
    /// <inheritdoc cref="Euler"/>
    public static Tensor DpmSolverSde2M(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, NoiseSource noise, double eta = 1,
        SdeCorrection correction = SdeCorrection.Midpoint, Action<SamplerProgress>? callback = null)
    {
        CheckEta(eta);
        double[] grid = TimeGrid.Check(denoiser.Process, times);
        // With noise of its own the first step forgets a state without signal; without, it cannot.
        if (eta == 0)
            ExpectSignal(denoiser.Process, grid[0]);
        return SamplerWalk.Run(x, grid, callback, (i, state, last) =>
        {
            Level from = new(denoiser.Process, grid[i]), to = new(denoiser.Process, grid[i + 1]);
            var x0 = denoiser.X0(state, grid[i]);
            if (to.S == 0)
                return new SamplerStep(x0 * to.Alpha, x0, x0);
            double h = to.Lambda - from.Lambda, rest = -ExponentialMinusOne.Expm1(-h - eta * h);
            var next = state * (to.Sigma / from.Sigma * Math.Exp(-eta * h)) + x0 * (to.Alpha * rest);
            if (last is not null)
            {
                double r = (from.Lambda - new Level(denoiser.Process, grid[i - 1]).Lambda) / h;
                double weight = correction == SdeCorrection.Midpoint ? 0.5 * rest : 1 - rest / (h + eta * h);
                next += (x0 - last) * (to.Alpha * weight / r);
            }
            return new SamplerStep(noise.Add(next, to.Sigma * Math.Sqrt(-ExponentialMinusOne.Expm1(-2 * eta * h))), x0, x0);
        });
    }

    private static Tensor Edm(
        Denoiser denoiser, Tensor x, ReadOnlySpan<double> times, NoiseSource noise, Churn churn, bool heun, Action<SamplerProgress>? callback)
    {
        if (!(churn.Amount >= 0 && double.IsFinite(churn.Amount)))
            throw new ArgumentOutOfRangeException(nameof(churn), $"S_churn must be finite and not negative, not {churn.Amount}");
        if (churn.Amount > 0 && !(churn.Smallest >= 0 && churn.Smallest <= churn.Largest && churn.NoiseScale >= 0 && double.IsFinite(churn.NoiseScale)))
        {
            throw new ArgumentOutOfRangeException(
                nameof(churn), $"churn needs 0 <= S_tmin <= S_tmax and S_noise >= 0, not {churn.Smallest}, {churn.Largest} and {churn.NoiseScale}");
        }
        double[] grid = TimeGrid.Check(denoiser.Process, times);
        var process = denoiser.Process;
        if (heun)
            ExpectSignal(process, grid[0]);
        for (int i = 0; churn.Amount > 0 && i + 1 < grid.Length; i++)
        {
            double s = process.NoiseToSignal(grid[i]), growth = churn.Growth(s, grid.Length - 1), more = s * (1 + growth), most = process.NoiseToSignal(process.EndTime);
            if (growth > 0 && !(more <= most && double.IsFinite(more)))
                throw new ArgumentException($"churn would bring the noise at time {grid[i]} from sigma / alpha {s} to {more}, and {process.Name} ends at {most}; S_tmax must leave it out");
        }
        return SamplerWalk.Run(x, grid, callback, (i, state, _) =>
        {
            Level from = new(process, grid[i]), to = new(process, grid[i + 1]);
            double time = grid[i], growth = churn.Amount == 0 ? 0 : churn.Growth(from.S, grid.Length - 1);
            if (growth > 0)
            {
                double more = from.S * (1 + growth);
                time = process.TimeOf(more);
                Level higher = new(process, time);
                state = noise.Add(state * (higher.Alpha / from.Alpha), churn.NoiseScale * higher.Alpha * Math.Sqrt(more * more - from.S * from.S));
                from = higher;
            }
            var x0 = denoiser.X0(state, time);
            // Euler's x^ + (s' - s) (x^ - D) / s is the same.
            var next = Exponential(state, x0, from, to);
            if (!heun || to.S == 0)
                return new SamplerStep(next, x0);
            var second = denoiser.X0(next, grid[i + 1]);
            // x^ + (s' - s) / 2 ((x^ - D) / s + (x'^ - D') / s')
            double half = 0.5 * (to.S - from.S);
            next = state * (to.Alpha / from.Alpha * (1 + half / from.S)) - x0 * (to.Alpha * half / from.S)
                + next * (half / to.S) - second * (to.Alpha * half / to.S);
            return new SamplerStep(next, x0);
        });
    }

    /// <summary>
    /// The exact step where the prediction of x_0 stays: x^' = (s' / s) x^ + (1 - s' / s) D. Written for the process's scale it divides by
    /// sigma alone, and so begins where there is no signal left as well.
    /// </summary>
    private static Tensor Exponential(Tensor state, Tensor x0, Level from, Level to)
    {
        double ratio = to.Sigma / from.Sigma;
        return state * ratio + x0 * (to.Alpha - from.Alpha * ratio);
    }

    /// <summary>To how much noise a step goes down, and how much it adds, so that they are those of s' together.</summary>
    private static (double Down, double Up) Ancestral(double s, double next, double eta)
    {
        double up = Math.Min(next, eta * next / s * Math.Sqrt(Math.Max(0, s * s - next * next)));
        return (Math.Sqrt(Math.Max(0, next * next - up * up)), up);
    }

    private static void CheckEta(double eta)
    {
        if (eta is not (>= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(eta), $"eta must be in [0, 1], not {eta}");
    }

    /// <summary>The scales of a process at a time.</summary>
    private readonly record struct Level(double Alpha, double Sigma)
    {
        public Level(ForwardProcess process, double t)
            : this(process.Alpha(t), process.Sigma(t))
        {
        }

        /// <summary>The noise beside unscaled data.</summary>
        public double S => Sigma / Alpha;

        /// <summary>Half the log-SNR: infinite without noise.</summary>
        public double Lambda => -Math.Log(S);
    }
}
