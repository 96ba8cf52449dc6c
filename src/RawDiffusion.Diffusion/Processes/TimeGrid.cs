namespace RawDiffusion.Diffusion.Processes;

/// <summary>Lists of times that samplers walk, from the end of a process down to 0. A list of n + 1 times makes n steps.</summary>
public static class TimeGrid
{
    /// <summary>
    /// n + 1 equally spaced times from the end of a process to 0: with n = T the steps of a T-step DDPM, with fewer a strided one. Where time is
    /// the noise (<see cref="EdmProcess"/>), equal steps are equal noise, of which nearly all lie where nothing of the data can be seen;
    /// <see cref="Karras"/> is made for it.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one step.</exception>
    public static double[] Uniform(ForwardProcess process, int steps) => Array.ConvertAll(Parts(steps), part => part * process.EndTime);

    /// <summary>
    /// n + 1 times of a process with sigma / alpha^(1/rho) equally spaced between its largest and smallest value, and then 0 where that is
    /// not the smallest (Karras et al. 2022, equation 5): steps become smaller towards the data.
    /// </summary>
    /// <param name="smallest">The last ratio sigma / alpha before 0.</param>
    /// <param name="largest">The first; that of the end of the process when left out.</param>
    /// <exception cref="ArgumentException">Fewer than one step, ratios in the wrong order or that the process does not have, or rho is not positive.</exception>
    public static double[] Karras(ForwardProcess process, int steps, double smallest, double? largest = null, double rho = 7) => rho > 0 && double.IsFinite(rho)
        ? ByRatio(process, steps, smallest, largest, x => Math.Pow(x, 1 / rho), x => Math.Pow(x, rho))
        : throw new ArgumentOutOfRangeException(nameof(rho), $"rho must be positive, not {rho}");

    /// <summary>The same with equally spaced log sigma / alpha, that is, equally spaced log-SNR (Lu et al. 2022, DPM-Solver, section 3.3).</summary>
    /// <inheritdoc cref="Karras"/>
    public static double[] LogSnr(ForwardProcess process, int steps, double smallest, double? largest = null) =>
        ByRatio(process, steps, smallest, largest, Math.Log, Math.Exp);

    /// <summary>n + 1 times from the end of a process to 0 that fall as squares: DDIM's quadratic grid (Song, Meng and Ermon 2021, appendix D.2).</summary>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one step.</exception>
    public static double[] Quadratic(ForwardProcess process, int steps) => Array.ConvertAll(Parts(steps), part => part * part * process.EndTime);

    /// <summary>Equally spaced from 1 to 0.</summary>
    private static double[] Parts(int steps)
    {
        if (steps < 1)
            throw new ArgumentOutOfRangeException(nameof(steps), $"a sampler needs at least 1 step, not {steps}");
        var parts = new double[steps + 1];
        for (int i = 0; i <= steps; i++)
            parts[i] = (double)(steps - i) / steps;
        return parts;
    }

    private static double[] ByRatio(
        ForwardProcess process, int steps, double smallest, double? largest, Func<double, double> to, Func<double, double> from)
    {
        if (steps < 1)
            throw new ArgumentOutOfRangeException(nameof(steps), $"a sampler needs at least 1 step, not {steps}");
        double first = largest ?? process.NoiseToSignal(process.EndTime);
        if (!(smallest > 0 && first >= smallest && double.IsFinite(first)))
            throw new ArgumentException($"a grid of {process.Name} needs 0 < smallest <= largest sigma / alpha, not {smallest} and {first}");
        // A process that begins with noise ends at its smallest ratio, which is that of time 0.
        int last = smallest == process.NoiseToSignal(0) ? steps : steps - 1;
        if (last > 0 && smallest == first)
            throw new ArgumentException($"{steps} steps of {process.Name} need a smallest sigma / alpha below the largest, not {smallest} twice");
        var times = new double[steps + 1];
        for (int i = 0; i < steps; i++)
        {
            // The ends as they are: to and from would round them, which may lead out of the process.
            times[i] = i == 0 ? largest is null ? process.EndTime : process.TimeOf(first)
                : i == last ? process.TimeOf(smallest)
                : process.TimeOf(from(to(first) + (double)i / last * (to(smallest) - to(first))));
        }
        return times;
    }

    /// <returns>The times.</returns>
    /// <exception cref="ArgumentException">The times do not fall strictly within the process, or there are fewer than two.</exception>
    internal static double[] Check(ForwardProcess process, ReadOnlySpan<double> times)
    {
        if (times.Length < 2)
            throw new ArgumentException($"a sampler needs at least 2 times, not {times.Length}");
        if (!(times[0] <= process.EndTime && times[^1] >= 0))
            throw new ArgumentException($"sampling times must lie in [0, {process.EndTime}]; these run from {times[0]} to {times[^1]}");
        for (int i = 1; i < times.Length; i++)
        {
            if (!(times[i] < times[i - 1]))
                throw new ArgumentException($"sampling times must fall; time {i} is {times[i]} after {times[i - 1]}");
        }
        return times.ToArray();
    }
}
