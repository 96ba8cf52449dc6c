using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// Draws steps of a discrete process in proportion to sqrt(E[L_t^2]) of the last losses that were seen at each, which makes the scatter of
/// their sum the least (Nichol and Dhariwal 2021, equation 18). Until there are enough losses of every step, all are equally likely. The
/// terms of the variational bound differ by orders of magnitude between steps, and this is for them.
/// </summary>
public sealed class LossAwareTimes : TimeSampler
{
    // A step whose losses were all 0 must be seen again: so much of the probability is for all steps alike, as in the paper's code.
    private const double UniformShare = 0.001;

    private readonly DiscreteSchedule _schedule;
    private readonly double[][] _losses;
    private readonly int[] _seen;
    private readonly double[] _cumulative;
    private int _incomplete;

    /// <param name="history">Losses of each step that are remembered, and needed.</param>
    public LossAwareTimes(DiscreteSchedule schedule, int history = 10)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(history, 1);
        _schedule = schedule;
        _losses = [.. Enumerable.Range(0, schedule.Steps).Select(_ => new double[history])];
        _seen = new int[schedule.Steps];
        _incomplete = schedule.Steps;
        _cumulative = [.. Enumerable.Range(0, schedule.Steps + 1).Select(i => (double)i / schedule.Steps)];
    }

    /// <summary>Whether enough losses of every step were seen, and steps are no longer equally likely.</summary>
    public bool IsFull => _incomplete == 0;

    /// <summary>How likely a step is drawn, from 0.</summary>
    public double Probability(int step) => _cumulative[step + 1] - _cumulative[step];

    /// <returns>The time of a step, and how much likelier it is than if all were equally likely.</returns>
    /// <inheritdoc/>
    public override (double Time, double Density) At(double u)
    {
        int found = Array.BinarySearch(_cumulative, u), step = Math.Clamp(found >= 0 ? found : ~found - 1, 0, _schedule.Steps - 1);
        return (_schedule.Time(step), Probability(step) * _schedule.Steps);
    }

    /// <summary>Tells of losses: not divided by the density of their times.</summary>
    /// <param name="times">As drawn.</param>
    /// <param name="losses">One for each.</param>
    /// <exception cref="ArgumentException">A time is none of a step's, a loss is not a number, or there are not as many.</exception>
    public void Observe(IReadOnlyList<double> times, IReadOnlyList<double> losses)
    {
        if (times.Count != losses.Count)
            throw new ArgumentException($"{times.Count} times have not {losses.Count} losses");
        for (int i = 0; i < times.Count; i++)
        {
            int step = (int)Math.Round(times[i] * _schedule.Steps) - 1;
            if (step < 0 || step >= _schedule.Steps || Math.Abs(_schedule.Time(step) - times[i]) > 1e-9)
                throw new ArgumentException($"time {times[i]} is none of the {_schedule.Steps} steps'");
            if (!double.IsFinite(losses[i]))
                throw new ArgumentException($"the loss at time {times[i]} is {losses[i]}");
            double[] history = _losses[step];
            history[_seen[step]++ % history.Length] = losses[i];
            if (_seen[step] == history.Length)
                _incomplete--;
        }
        if (IsFull)
            Update();
    }

    private void Update()
    {
        double[] roots = [.. _losses.Select(history => Math.Sqrt(history.Average(loss => loss * loss)))];
        double sum = roots.Sum(), all = 0;
        for (int i = 0; i < roots.Length; i++)
        {
            all += (1 - UniformShare) * (sum > 0 ? roots[i] / sum : 1.0 / roots.Length) + UniformShare / roots.Length;
            _cumulative[i + 1] = all;
        }
        _cumulative[^1] = 1;
    }
}
