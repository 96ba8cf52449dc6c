namespace RawDiffusion.Diffusion.Processes;

/// <summary>
/// A variance-preserving process given by its log-SNR -gamma(t): alpha^2 = sigmoid(-gamma), sigma^2 = sigmoid(gamma) (Kingma et al. 2021,
/// section 3.1). A snapshot of a <see cref="MonotoneLogSnr"/>. Even time 0 has a little noise.
/// </summary>
public sealed class LearnedSchedule : VariancePreserving
{
    private readonly double _first, _last, _slope, _start, _scale;
    private readonly double[] _heights, _rates, _offsets;

    internal LearnedSchedule(double first, double last, double slope, double[] heights, double[] rates, double[] offsets)
    {
        (_first, _last, _slope, _heights, _rates, _offsets) = (first, last, slope, heights, rates, offsets);
        _start = Raw(0).Value;
        _scale = (first - last) / (Raw(1).Value - _start);
        if (!double.IsFinite(_scale))
            throw new ArgumentException($"the learned log-SNR is not a number: its weights have diverged (slope {slope})");
    }

    public override string Name => "learned";

    public override double LogSnr(double t) => _first - _scale * (Raw(CheckTime(t)).Value - _start);

    /// <summary>d gamma / dt, how fast the log-SNR falls.</summary>
    public double GammaDot(double t) => _scale * Raw(CheckTime(t)).Slope;

    /// <summary>The second derivative of gamma.</summary>
    public double GammaDotDot(double t) => _scale * Raw(CheckTime(t)).Curvature;

    public override double NoiseToSignal(double t) => Math.Exp(-0.5 * LogSnr(t));

    public override double Alpha(double t) => Math.Sqrt(1 / (1 + Math.Exp(-LogSnr(t))));

    public override double Sigma(double t) => Math.Sqrt(1 / (1 + Math.Exp(LogSnr(t))));

    /// <inheritdoc/>
    /// <remarks>ln(1 + e^gamma), which is not 0 at time 0; ln(1 + x) = 2 artanh(x / (2 + x)) keeps the digits of small x.</remarks>
    public override double IntegratedBeta(double t)
    {
        double gamma = -LogSnr(t), small = Math.Exp(-Math.Abs(gamma));
        return Math.Max(gamma, 0) + 2 * Math.Atanh(small / (2 + small));
    }

    /// <inheritdoc/>
    /// <remarks>The derivative of ln(1 + e^gamma).</remarks>
    public override double Beta(double t) => GammaDot(t) / (1 + Math.Exp(LogSnr(t)));

    /// <summary>
    /// The log-SNR itself, on the scale from 0 at time 0 to 999 at time 1: so a network goes on knowing the noise while the schedule changes.
    /// </summary>
    public override double NetworkTime(double t) => 999 * (_first - LogSnr(t)) / (_first - _last);

    private (double Value, double Slope, double Curvature) Raw(double t)
    {
        double value = _slope * t, slope = _slope, curvature = 0;
        for (int k = 0; k < _heights.Length; k++)
        {
            double rate = _rates[k], s = 1 / (1 + Math.Exp(-(rate * t + _offsets[k]))), steep = s * (1 - s) * _heights[k] * rate;
            value += _heights[k] * s;
            slope += steep;
            curvature += steep * rate * (1 - 2 * s);
        }
        return (value, slope, curvature);
    }
}
