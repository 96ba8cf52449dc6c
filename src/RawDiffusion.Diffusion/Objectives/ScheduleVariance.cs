using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// What a schedule between fixed ends can be trained for: the scatter of the bound's estimate (Kingma et al. 2021, section 4.2 and appendix
/// I.2). With uniform t the estimates e = gamma'(t) l, where l depends on the log-SNR alone, have the same mean for every schedule; E[e^2]
/// is the integral of q(gamma) gamma'(t(gamma)) with q = E[l^2]. A schedule is a density of log-SNR, 1 / gamma', and training it is
/// learning to sample by importance (Kingma and Gao 2023, section 3.2).
/// </summary>
public static class ScheduleVariance
{
    /// <summary>
    /// A scalar whose gradient with respect to the schedule's weights is that of ln E[e^2]. The network is not differentiated: at a fixed
    /// log-SNR, e^2 changes only by its factor gamma', d ln gamma'(t(gamma)) = d_w ln gamma'(t) - gamma''(t) / gamma'(t)^2 d_w gamma(t).
    /// </summary>
    /// <param name="now">The snapshot with which the estimates were made.</param>
    /// <param name="times">Drawn uniformly, [n].</param>
    /// <param name="estimates">e at each of them, up to a common factor.</param>
    /// <exception cref="ArgumentException">The numbers of times and estimates differ, or the estimates are all 0 or not finite.</exception>
    public static Tensor Objective(MonotoneLogSnr schedule, LearnedSchedule now, ReadOnlySpan<double> times, ReadOnlySpan<double> estimates)
    {
        int n = times.Length;
        if (estimates.Length != n)
            throw new ArgumentException($"{n} times and {estimates.Length} estimates do not belong together");
        double[] squares = new double[n], turns = new double[n];
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += squares[i] = estimates[i] * estimates[i];
        if (!(sum > 0 && double.IsFinite(sum)))
            throw new ArgumentException($"a schedule is learned from estimates that scatter; the sum of the squares of these is {sum}");
        for (int i = 0; i < n; i++)
        {
            squares[i] /= sum;
            turns[i] = now.GammaDotDot(times[i]) / Math.Pow(now.GammaDot(times[i]), 2);
        }
        var (gamma, slope) = schedule.At(times);
        Tensor Put(double[] values) => Tensor.From(values, [n], gamma.Device);
        return (Put(squares) * (slope.Log() - Put(turns) * gamma)).Sum();
    }
}
