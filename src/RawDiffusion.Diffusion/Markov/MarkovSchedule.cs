using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Markov;

/// <summary>
/// How much each of the T steps of a Markov diffusion erases: step t of 1..T replaces the share beta_t of what is there by pure chance, so
/// that kept_t = prod (1 - beta_s) over s up to t is left of the data. The same two rows of numbers serve a Gaussian kernel, where kept_t is
/// alpha_bar_t, and a binomial one (Sohl-Dickstein et al. 2015, table C.1).
/// </summary>
/// <remarks>Steps count from 1 as in the paper, and 0 is the data: step t is step t - 1 of a <see cref="DiscreteSchedule"/>.</remarks>
public sealed class MarkovSchedule
{
    private readonly double[] _beta, _kept;

    /// <param name="beta">beta_1 to beta_T.</param>
    /// <exception cref="ArgumentException">There is no step, a beta is not in (0, 1], or so small that nothing is erased in float64.</exception>
    public MarkovSchedule(ReadOnlySpan<double> beta)
    {
        CheckSteps(beta.Length);
        (_beta, _kept) = (new double[beta.Length + 1], new double[beta.Length + 1]);
        _kept[0] = 1;
        for (int t = 1; t <= beta.Length; t++)
        {
            if (!(beta[t - 1] > 0 && beta[t - 1] <= 1))
                throw new ArgumentException($"a step erases more than nothing and at most all: beta_{t} must be in (0, 1], not {beta[t - 1]}");
            _beta[t] = beta[t - 1];
            _kept[t] = _kept[t - 1] * (1 - _beta[t]);
            if (_kept[t] == 1)
                throw new ArgumentException($"beta_{t} of {beta[t - 1]} is too small for float64: all of the data would be kept");
        }
    }

    /// <summary>beta_t = 1 / (T - t + 1): every step erases the same share of the data, and the last leaves nothing (section 2.4.1 of the paper).</summary>
    /// <exception cref="ArgumentException">Fewer than one step.</exception>
    public static MarkovSchedule EqualShares(int steps)
    {
        var beta = new double[CheckSteps(steps)];
        for (int t = 1; t <= steps; t++)
            beta[t - 1] = 1.0 / (steps - t + 1);
        return new MarkovSchedule(beta);
    }

    /// <summary>The same beta in every step.</summary>
    /// <exception cref="ArgumentException">Fewer than one step, or a beta that is not in (0, 1].</exception>
    public static MarkovSchedule Constant(int steps, double beta)
    {
        var all = new double[CheckSteps(steps)];
        Array.Fill(all, beta);
        return new MarkovSchedule(all);
    }

    /// <summary>The betas of a DDPM.</summary>
    public static MarkovSchedule Of(DiscreteSchedule schedule) => new(schedule.Beta);

    /// <summary>T.</summary>
    public int Steps => _beta.Length - 1;

    /// <summary>The share that step t of 1..T erases.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such step.</exception>
    public double Beta(int t) => t >= 1 && t <= Steps ? _beta[t] : throw OutOfRange(t, 1);

    /// <summary>The share of the data that is left after step t; after step 0 it is all.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such step.</exception>
    public double Kept(int t) => t >= 0 && t <= Steps ? _kept[t] : throw OutOfRange(t, 0);

    internal ArgumentOutOfRangeException OutOfRange(int t, int first) =>
        new(nameof(t), $"the chain has the steps {first} to {Steps}; there is no step {t}");

    private static int CheckSteps(int steps) => steps >= 1 ? steps : throw new ArgumentException($"a Markov chain needs at least 1 step, not {steps}");
}
