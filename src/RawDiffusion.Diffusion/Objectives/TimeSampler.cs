using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Objectives;

/// <summary>How the uniform numbers that a batch's times are made of go together. Each on its own is uniform in all of them.</summary>
public enum TimeSpread
{
    /// <summary>(i + u) / n with one u for all (Kingma et al. 2021, appendix I.1): what differs between early and late times no longer scatters.</summary>
    Even,

    /// <summary>Pairs u and 1 - u: what is odd about the middle of the times cancels.</summary>
    Antithetic,

    /// <summary>Every one by itself.</summary>
    Independent,
}

/// <summary>
/// Which times a batch is asked about. Drawing some more often than others changes the scatter of the loss and not what is learned, where
/// the loss is divided by their density.
/// </summary>
public abstract class TimeSampler
{
    private const int Resolution = 1 << 24;

    /// <summary>The time of a uniform number in (0, 1), and the density there.</summary>
    public abstract (double Time, double Density) At(double u);

    /// <summary>n times, each of the density on its own.</summary>
    public (double Time, double Density)[] Draw(int n, Generator generator, TimeSpread spread = TimeSpread.Even)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        var times = new (double, double)[n];
        Draw(times, generator, spread);
        return times;
    }

    /// <summary>Fills memory with times, each of the density on its own.</summary>
    public void Draw(Span<(double Time, double Density)> times, Generator generator, TimeSpread spread = TimeSpread.Even)
    {
        var numbers = new SpreadNumbers(times.Length, generator, spread);
        for (int i = 0; i < times.Length; i++)
            times[i] = At(numbers[i]);
    }

    /// <summary>n numbers, each uniform in (0, 1).</summary>
    /// <exception cref="ArgumentOutOfRangeException">n is less than 1.</exception>
    public static double[] Numbers(int n, Generator generator, TimeSpread spread)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        var numbers = new SpreadNumbers(n, generator, spread);
        return [.. Enumerable.Range(0, n).Select(i => numbers[i])];
    }

    /// <summary>Equally likely times from a first with noise on.</summary>
    /// <exception cref="ArgumentException">The first time has no noise or is not before the end.</exception>
    public static TimeSampler Uniform(ForwardProcess process, double first) => new UniformTimes(first, CheckFirst(process, first));

    /// <summary>Equally likely logarithms of sigma / alpha from <paramref name="smallest"/> on.</summary>
    /// <exception cref="ArgumentException">Unless 0 &lt; smallest &lt; largest, both of the process, and the largest is finite.</exception>
    public static TimeSampler LogSnr(ForwardProcess process, double smallest, double? largest = null)
    {
        double high = largest ?? process.NoiseToSignal(process.EndTime), low = process.NoiseToSignal(0);
        return smallest > 0 && smallest >= low && smallest < high && high <= process.NoiseToSignal(process.EndTime) && double.IsFinite(high)
            ? new LogSnrTimes(process, Math.Log(smallest), Math.Log(high))
            : throw new ArgumentException(
                $"times of {process.Name} need 0 < smallest < largest sigma / alpha, between {low} and {process.NoiseToSignal(process.EndTime)}, not {smallest} and {high}");
    }

    /// <summary>
    /// Times in proportion to a weight, tabulated: with it the weighted loss needs no weights any more, which takes away their scatter
    /// (Song, Durkan, Murray and Ermon 2021, section 5.1).
    /// </summary>
    /// <exception cref="ArgumentException">The first time has no noise or is not before the end, or the weight is negative, infinite or 0 everywhere.</exception>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one cell.</exception>
    public static TimeSampler InProportion(ForwardProcess process, Func<double, double> weight, double first, int cells = 4096) =>
        new TabulatedTimes(weight, first, CheckFirst(process, first), cells);

    /// <summary>Equally likely steps of a discrete process; the density is that of a step beside 1/T, as for equally likely times of [0, 1].</summary>
    public static TimeSampler Steps(DiscreteSchedule schedule) => new StepTimes(schedule);

    private static double CheckFirst(ForwardProcess process, double first) => first < process.EndTime && process.Sigma(first) > 0
        ? process.EndTime
        : throw new ArgumentException($"times of {process.Name} are drawn from one with noise to {process.EndTime}; the first cannot be {first}");

    /// <summary>The uniform numbers of a batch's times.</summary>
    private readonly struct SpreadNumbers
    {
        private readonly int _n;
        private readonly TimeSpread _spread;
        private readonly PhiloxState _drawn;
        private readonly double _first;

        public SpreadNumbers(int n, Generator generator, TimeSpread spread)
        {
            (_n, _spread) = (n, spread);
            _drawn = generator.Next(spread switch
            {
                TimeSpread.Even => 1,
                TimeSpread.Antithetic => (n + 1) / 2,
                TimeSpread.Independent => n,
                _ => throw new ArgumentOutOfRangeException(nameof(spread), $"unknown spread {spread}"),
            });
            _first = Uniform(0);
        }

        public double this[int i] => _spread switch
        {
            TimeSpread.Even => (i + _first) / _n,
            TimeSpread.Antithetic => i % 2 == 0 ? Uniform(i / 2) : 1 - Uniform(i / 2),
            _ => Uniform(i),
        };

        private double Uniform(int i) => (Philox.Integer(_drawn, i, Resolution) + 0.5) / Resolution;
    }

    private sealed class UniformTimes(double first, double last) : TimeSampler
    {
        public override (double Time, double Density) At(double u) => (first + u * (last - first), 1 / (last - first));
    }

    private sealed class StepTimes(DiscreteSchedule schedule) : TimeSampler
    {
        public override (double Time, double Density) At(double u) => (schedule.Time((int)(u * schedule.Steps)), 1);
    }

    private sealed class LogSnrTimes(ForwardProcess process, double low, double high) : TimeSampler
    {
        public override (double Time, double Density) At(double u)
        {
            double t = process.TimeOf(Math.Exp(low + u * (high - low)));
            // d ln s / dt over the length of the interval.
            double slope = process.SigmaDot(t) / process.Sigma(t) - process.AlphaDot(t) / process.Alpha(t);
            return (t, slope / (high - low));
        }
    }

    private sealed class TabulatedTimes : TimeSampler
    {
        private readonly double _first, _width;
        private readonly double[] _cumulative, _weights;

        public TabulatedTimes(Func<double, double> weight, double first, double last, int cells)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(cells, 1);
            (_first, _width, _weights, _cumulative) = (first, (last - first) / cells, new double[cells], new double[cells + 1]);
            for (int i = 0; i < cells; i++)
            {
                double value = weight(first + (i + 0.5) * _width);
                if (!(value >= 0 && double.IsFinite(value)))
                    throw new ArgumentException($"a weight of times must be finite and not negative; at time {first + (i + 0.5) * _width} it is {value}");
                _weights[i] = value;
                _cumulative[i + 1] = _cumulative[i] + value;
            }
            if (!(_cumulative[^1] > 0))
                throw new ArgumentException("the weight of times is 0 everywhere");
        }

        public override (double Time, double Density) At(double u)
        {
            double wanted = u * _cumulative[^1];
            int found = Array.BinarySearch(_cumulative, wanted), cell = Math.Clamp(found >= 0 ? found : ~found - 1, 0, _weights.Length - 1);
            double within = _weights[cell] > 0 ? (wanted - _cumulative[cell]) / _weights[cell] : 0.5;
            return (_first + (cell + within) * _width, _weights[cell] / (_cumulative[^1] * _width));
        }
    }
}
