namespace RawDiffusion.Diffusion.Processes;

/// <summary>Lists of times that samplers walk, from 1 down to 0. A list of n + 1 times makes n steps.</summary>
public static class TimeGrid
{
    /// <summary>n + 1 equally spaced times from 1 to 0: with n = T the steps of a T-step DDPM, with fewer a strided one.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one step.</exception>
    public static double[] Uniform(int steps)
    {
        if (steps < 1)
            throw new ArgumentOutOfRangeException(nameof(steps), $"a sampler needs at least 1 step, not {steps}");
        var times = new double[steps + 1];
        for (int i = 0; i <= steps; i++)
            times[i] = (double)(steps - i) / steps;
        return times;
    }

    /// <exception cref="ArgumentException">The times do not fall strictly within [0, 1], or there are fewer than two.</exception>
    internal static void Check(ReadOnlySpan<double> times)
    {
        if (times.Length < 2)
            throw new ArgumentException($"a sampler needs at least 2 times, not {times.Length}");
        if (!(times[0] <= 1 && times[^1] >= 0))
            throw new ArgumentException($"sampling times must lie in [0, 1]; these run from {times[0]} to {times[^1]}");
        for (int i = 1; i < times.Length; i++)
        {
            if (!(times[i] < times[i - 1]))
                throw new ArgumentException($"sampling times must fall; time {i} is {times[i]} after {times[i - 1]}");
        }
    }
}
