namespace RawDiffusion.Diffusion.Processes;

/// <summary>
/// A process with alpha^2 + sigma^2 = 1: the continuous limit of DDPM. Everything follows from the rate beta(t) and its
/// integral: alpha(t) = exp(-B(t) / 2), B' = beta; f = -beta / 2, g^2 = beta.
/// </summary>
public abstract class VariancePreserving : ForwardProcess
{
    /// <summary>beta(t).</summary>
    /// <exception cref="ArgumentOutOfRangeException">The time is outside of the process.</exception>
    public abstract double Beta(double t);

    /// <summary>B(t) = -ln alpha(t)^2: the integral of beta from 0 to t, where time 0 has no noise.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The time is outside of the process.</exception>
    public abstract double IntegratedBeta(double t);

    /// <summary>alpha(t)^2, the continuous counterpart of DDPM's alpha_bar_t.</summary>
    public double AlphaBar(double t) => Math.Exp(-IntegratedBeta(t));

    public override double Alpha(double t) => Math.Exp(-0.5 * IntegratedBeta(t));

    /// <inheritdoc/>
    /// <remarks>1 - exp(-B) by expm1, so that small times keep their digits.</remarks>
    public override double Sigma(double t) => Math.Sqrt(-ExponentialMinusOne.Expm1(-IntegratedBeta(t)));

    public override double Drift(double t) => -0.5 * Beta(t);

    public override double DiffusionSquared(double t) => Beta(t);

    /// <summary>B where sigma / alpha has a value: ln(1 + (sigma / alpha)^2), as alpha^2 = 1 / (1 + (sigma / alpha)^2).</summary>
    /// <exception cref="ArgumentOutOfRangeException">It never has.</exception>
    protected double IntegratedBetaOf(double noiseToSignal)
    {
        CheckRatio(noiseToSignal);
        return ExponentialMinusOne.Log1p(noiseToSignal * noiseToSignal);
    }

    /// <summary>A time that rounding has moved beyond the ends of the process is the end.</summary>
    protected double Within(double t) => Math.Clamp(t, 0, EndTime);
}

/// <summary>
/// beta(t) rises linearly (Ho et al. 2020; Song et al. 2021, equation 32). The defaults 0.1 and 20 are the continuous
/// counterpart of DDPM's 1e-4 to 0.02 over 1,000 steps.
/// </summary>
public sealed class LinearSchedule : VariancePreserving
{
    /// <exception cref="ArgumentException">Unless 0 &lt;= betaMin &lt;= betaMax and betaMax &gt; 0: alpha would not fall.</exception>
    public LinearSchedule(double betaMin = 0.1, double betaMax = 20)
    {
        if (!(betaMin >= 0 && betaMax >= betaMin && betaMax > 0 && double.IsFinite(betaMax)))
            throw new ArgumentException($"a linear schedule needs 0 <= betaMin <= betaMax and betaMax > 0, not {betaMin} and {betaMax}");
        BetaMin = betaMin;
        BetaMax = betaMax;
    }

    public double BetaMin { get; }

    public double BetaMax { get; }

    public override string Name => "linear";

    public override double Beta(double t) => BetaMin + CheckTime(t) * (BetaMax - BetaMin);

    public override double IntegratedBeta(double t) => BetaMin * CheckTime(t) + 0.5 * t * t * (BetaMax - BetaMin);

    // The quadratic's root in the form that loses no digits where the integral is small.
    public override double TimeOf(double noiseToSignal)
    {
        double integral = IntegratedBetaOf(noiseToSignal);
        return integral == 0 ? 0 : Within(2 * integral / (BetaMin + Math.Sqrt(BetaMin * BetaMin + 2 * (BetaMax - BetaMin) * integral)));
    }
}

/// <summary>
/// alpha_bar falls as a sigmoid: alpha_bar(t) = (sigmoid(-v(t)) - sigmoid(-v(1))) / (sigmoid(-v(0)) - sigmoid(-v(1))) with
/// v(t) = (start + t (end - start)) / tau (Jabri, Fleet and Chen 2023, appendix A; Chen 2023). Like <see cref="CosineSchedule"/> it ends a
/// little before alpha_bar is 0, where alpha is <paramref name="finalAlpha"/>.
/// </summary>
public sealed class SigmoidSchedule : VariancePreserving
{
    private readonly double _first, _slope, _low, _range, _end;

    /// <exception cref="ArgumentException">Unless start &lt; end, tau &gt; 0 and 0 &lt; finalAlpha &lt; 1.</exception>
    public SigmoidSchedule(double start = -3, double end = 3, double tau = 1, double finalAlpha = 0.004)
    {
        if (!(start < end && double.IsFinite(end - start) && tau > 0 && double.IsFinite(tau) && finalAlpha is > 0 and < 1))
            throw new ArgumentException($"a sigmoid schedule needs start < end, tau > 0 and 0 < finalAlpha < 1, not {start}, {end}, {tau} and {finalAlpha}");
        (_first, _slope) = (start / tau, (end - start) / tau);
        _low = Sigmoid(-end / tau);
        _range = Sigmoid(-_first) - _low;
        // v where alpha_bar is finalAlpha^2, by the inverse of the sigmoid.
        double last = _low + finalAlpha * finalAlpha * _range;
        _end = (-Math.Log(last / (1 - last)) - _first) / _slope;
    }

    public override string Name => "sigmoid";

    private double V(double t) => _first + _slope * _end * CheckTime(t);

    public override double IntegratedBeta(double t) => t == 0 ? 0 : -Math.Log((Sigmoid(-V(t)) - _low) / _range);

    public override double TimeOf(double noiseToSignal)
    {
        double s = _low + Math.Exp(-IntegratedBetaOf(noiseToSignal)) * _range;
        return Within((-Math.Log(s / (1 - s)) - _first) / (_slope * _end));
    }

    public override double Beta(double t)
    {
        double s = Sigmoid(-V(t));
        return _slope * _end * s * (1 - s) / (s - _low);
    }

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
}

/// <summary>
/// alpha(t) = cos(pi/2 (t' + s) / (1 + s)) / cos(pi/2 s / (1 + s)) (Nichol and Dhariwal 2021, equation 17). Their discrete
/// form clips beta at 0.999 because alpha would be 0 at the end; here t' = t * End with End chosen so that alpha(1) equals
/// <see cref="FinalAlpha"/>, which keeps the process smooth.
/// </summary>
public sealed class CosineSchedule : VariancePreserving
{
    private readonly double _end;
    private readonly double _logCosStart;

    /// <param name="s">Offset that keeps beta from vanishing at time 0.</param>
    /// <param name="finalAlpha">alpha at time 1; about what the linear schedule ends with.</param>
    /// <exception cref="ArgumentException">Unless s &gt;= 0 and 0 &lt; finalAlpha &lt; 1.</exception>
    public CosineSchedule(double s = 0.008, double finalAlpha = 0.004)
    {
        if (!(s >= 0 && double.IsFinite(s) && finalAlpha is > 0 and < 1))
            throw new ArgumentException($"a cosine schedule needs s >= 0 and 0 < finalAlpha < 1, not {s} and {finalAlpha}");
        Offset = s;
        FinalAlpha = finalAlpha;
        double start = Math.PI / 2 * s / (1 + s);
        _logCosStart = Math.Log(Math.Cos(start));
        _end = Math.Acos(finalAlpha * Math.Cos(start)) / (Math.PI / 2) * (1 + s) - s;
    }

    public double Offset { get; }

    public double FinalAlpha { get; }

    public override string Name => "cosine";

    private double Angle(double t) => Math.PI / 2 * (CheckTime(t) * _end + Offset) / (1 + Offset);

    // beta = -2 d log alpha / dt = 2 tan(angle) d angle / dt.
    public override double Beta(double t) => Math.PI * _end / (1 + Offset) * Math.Tan(Angle(t));

    public override double IntegratedBeta(double t) => t == 0 ? 0 : -2 * (Math.Log(Math.Cos(Angle(t))) - _logCosStart);

    public override double TimeOf(double noiseToSignal) =>
        Within((Math.Acos(Math.Exp(_logCosStart - 0.5 * IntegratedBetaOf(noiseToSignal))) * (1 + Offset) / (Math.PI / 2) - Offset) / _end);
}
