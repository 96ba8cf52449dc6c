using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Processes;

/// <summary>
/// The T-step discretisation of a process (DDPM): step i in 0..T-1 stands for the time t_i = (i + 1) / T, so that
/// alpha_bar_i = alpha(t_i)^2 and beta_i = 1 - alpha_bar_i / alpha_bar_(i-1) with alpha_bar_(-1) = 1. Training draws steps from
/// it: the steps are drawn on the host, the scales are looked up in tables on the device.
/// </summary>
public sealed class DiscreteSchedule
{
    /// <summary>The number of steps of Ho et al. 2020.</summary>
    public const int DefaultSteps = 1000;

    private readonly Tensor _alpha;
    private readonly Tensor _sigma;
    private readonly Tensor _networkTime;
    private int[] _drawn = [];

    /// <exception cref="ArgumentException">Fewer than one step, alpha does not fall from step to step, or the process does not end at 1.</exception>
    public DiscreteSchedule(ForwardProcess process, int steps = DefaultSteps, Backend? device = null)
    {
        if (steps < 1)
            throw new ArgumentException($"a schedule needs at least 1 step, not {steps}");
        if (process.EndTime != 1)
            throw new ArgumentException($"the steps of a schedule are times from 0 to 1, and {process.Name} ends at {process.EndTime}");
        Process = process;
        AlphaBar = new double[steps];
        Beta = new double[steps];
        double[] alpha = new double[steps], sigma = new double[steps], networkTime = new double[steps];
        for (int i = 0; i < steps; i++)
        {
            double t = Time(i, steps);
            alpha[i] = process.Alpha(t);
            sigma[i] = process.Sigma(t);
            networkTime[i] = process.NetworkTime(t);
            AlphaBar[i] = alpha[i] * alpha[i];
            double previous = i == 0 ? 1 : AlphaBar[i - 1];
            Beta[i] = 1 - AlphaBar[i] / previous;
            if (!(AlphaBar[i] < previous))
                throw new ArgumentException($"schedule {process.Name} is not monotone: alpha_bar is {previous} before step {i} and {AlphaBar[i]} after");
        }
        _alpha = Tensor.From(alpha, [steps, 1], device);
        _sigma = Tensor.From(sigma, [steps, 1], device);
        _networkTime = Tensor.From(networkTime, [steps, 1], device);
    }

    public ForwardProcess Process { get; }

    /// <summary>Number of steps T.</summary>
    public int Steps => Beta.Length;

    /// <summary>alpha_bar_i = product of (1 - beta_j) for j up to i.</summary>
    public double[] AlphaBar { get; }

    public double[] Beta { get; }

    /// <summary>The time of step i: (i + 1) / T.</summary>
    public double Time(int step) => Time(step, Steps);

    /// <summary>
    /// Draws n steps, each uniform on its own but together spread evenly: step i = floor(T (i + u) / n) with one u in [0, 1) for
    /// all (Kingma et al. 2021, appendix I.1). The loss differs much between early and late steps, and this takes that part of
    /// its variance away.
    /// </summary>
    /// <returns>The steps, in memory that the next call uses again.</returns>
    /// <exception cref="ArgumentOutOfRangeException">n is less than 1.</exception>
    public ReadOnlySpan<int> DrawSteps(int n, Generator generator)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        if (_drawn.Length != n)
            _drawn = new int[n];
        SpreadSteps(Steps, _drawn, generator);
        return _drawn;
    }

    /// <summary>Draws steps of 0 to <paramref name="steps"/> - 1 as <see cref="DrawSteps"/> does.</summary>
    internal static void SpreadSteps(int steps, Span<int> drawn, Generator generator)
    {
        const int Resolution = 1 << 24;
        double u = Philox.Integer(generator.Next(1), 0, Resolution) / (double)Resolution;
        for (int i = 0; i < drawn.Length; i++)
            drawn[i] = (int)(steps * (i + u) / drawn.Length);
    }

    /// <summary>Looks steps up in the tables of the device.</summary>
    /// <param name="steps">Int32 [n].</param>
    /// <returns>alpha, sigma and the network's time argument, each [n].</returns>
    public (Tensor Alpha, Tensor Sigma, Tensor NetworkTime) At(Tensor steps)
    {
        int n = steps.Count;
        return (F.Embedding(steps, _alpha).Reshape(n), F.Embedding(steps, _sigma).Reshape(n), F.Embedding(steps, _networkTime).Reshape(n));
    }

    /// <summary><see cref="At"/> of <see cref="DrawSteps"/>.</summary>
    public (Tensor Alpha, Tensor Sigma, Tensor NetworkTime) Draw(int n, Generator generator) =>
        At(Tensor.From(DrawSteps(n, generator), [n], _alpha.Device));

    private static double Time(int step, int steps) => (step + 1.0) / steps;
}
