namespace RawDiffusion.Diffusion.Processes;

/// <summary>
/// Noise grows and the signal stays: alpha = 1, sigma(t) = sigmaMin (sigmaMax / sigmaMin)^t, the continuous form of NCSN's geometric noise
/// levels (Song et al. 2021, equation 30). Even time 0 has the noise sigmaMin.
/// </summary>
public sealed class VarianceExploding : ForwardProcess
{
    private readonly double _logRatio;

    /// <exception cref="ArgumentException">Unless 0 &lt; sigmaMin &lt; sigmaMax.</exception>
    public VarianceExploding(double sigmaMin = 0.01, double sigmaMax = 50)
    {
        if (!(sigmaMin > 0 && sigmaMax > sigmaMin && double.IsFinite(sigmaMax)))
            throw new ArgumentException($"a variance-exploding process needs 0 < sigmaMin < sigmaMax, not {sigmaMin} and {sigmaMax}");
        (SigmaMin, SigmaMax) = (sigmaMin, sigmaMax);
        _logRatio = Math.Log(sigmaMax / sigmaMin);
    }

    public double SigmaMin { get; }

    public double SigmaMax { get; }

    public override string Name => "variance-exploding";

    public override double PriorStandardDeviation => SigmaMax;

    public override double Alpha(double t) => CheckTime(t) >= 0 ? 1 : 0;

    public override double Sigma(double t) => SigmaMin * Math.Exp(_logRatio * CheckTime(t));

    public override double Drift(double t) => 0 * CheckTime(t);

    public override double DiffusionSquared(double t) => 2 * _logRatio * Sigma(t) * Sigma(t);

    public override double TimeOf(double noiseToSignal) => CheckTime(Math.Log(noiseToSignal / SigmaMin) / _logRatio);
}

/// <summary>
/// The signal of a linear variance-preserving process with less noise: alpha = exp(-B / 2), sigma = 1 - exp(-B), which gave better
/// likelihoods (Song et al. 2021, equation 29).
/// </summary>
/// <exception cref="ArgumentException">As <see cref="LinearSchedule"/>.</exception>
public sealed class SubVariancePreserving(double betaMin = 0.1, double betaMax = 20) : ForwardProcess
{
    private readonly LinearSchedule _linear = new(betaMin, betaMax);

    public override string Name => "sub-variance-preserving";

    public override double Alpha(double t) => Math.Exp(-0.5 * _linear.IntegratedBeta(CheckTime(t)));

    public override double Sigma(double t) => -ExponentialMinusOne.Expm1(-_linear.IntegratedBeta(CheckTime(t)));

    public override double Drift(double t) => -0.5 * _linear.Beta(CheckTime(t));

    public override double DiffusionSquared(double t) => _linear.Beta(CheckTime(t)) * -ExponentialMinusOne.Expm1(-2 * _linear.IntegratedBeta(t));

    // g^2 / (2 sigma) is 0 / 0 at time 0; d(1 - exp(-B)) / dt is beta exp(-B).
    public override double SigmaDot(double t) => _linear.Beta(CheckTime(t)) * Math.Exp(-_linear.IntegratedBeta(t));
}

/// <summary>
/// Time is the noise: alpha = 1, sigma(t) = t (Karras et al. 2022, table 1, "EDM"). The natural parameter of every other process as well,
/// see <see cref="ForwardProcess.NoiseToSignal"/>.
/// </summary>
public sealed class EdmProcess : ForwardProcess
{
    /// <exception cref="ArgumentException">sigmaMax is not a positive number.</exception>
    public EdmProcess(double sigmaMax = 80)
    {
        if (!(sigmaMax > 0 && double.IsFinite(sigmaMax)))
            throw new ArgumentException($"an EDM process needs a positive sigmaMax, not {sigmaMax}");
        SigmaMax = sigmaMax;
    }

    public double SigmaMax { get; }

    public override string Name => "edm";

    public override double EndTime => SigmaMax;

    public override double PriorStandardDeviation => SigmaMax;

    public override double Alpha(double t) => CheckTime(t) >= 0 ? 1 : 0;

    public override double Sigma(double t) => CheckTime(t);

    public override double Drift(double t) => 0 * CheckTime(t);

    public override double DiffusionSquared(double t) => 2 * CheckTime(t);

    public override double SigmaDot(double t) => CheckTime(t) >= 0 ? 1 : 0;

    public override double TimeOf(double noiseToSignal) => CheckTime(noiseToSignal);

    /// <summary>ln(sigma) / 4 of the paper, on the thousandfold scale of the other networks.</summary>
    public override double NetworkTime(double t) => 250 * Math.Log(t);
}

/// <summary>
/// Straight lines from data to noise: x_t = (1 - t) x_0 + t eps (Lipman et al. 2023; Liu et al. 2023, rectified flow). Its noise-to-signal
/// ratio is infinite at time 1, so what divides by alpha cannot start there.
/// </summary>
public sealed class StraightFlow : ForwardProcess
{
    public override string Name => "flow";

    public override double Alpha(double t) => 1 - CheckTime(t);

    public override double Sigma(double t) => CheckTime(t);

    public override double Drift(double t) => -1 / (1 - CheckTime(t));

    public override double DiffusionSquared(double t) => 2 * CheckTime(t) / (1 - t);

    public override double AlphaDot(double t) => CheckTime(t) >= 0 ? -1 : 0;

    public override double SigmaDot(double t) => CheckTime(t) >= 0 ? 1 : 0;

    public override double TimeOf(double noiseToSignal) => double.IsPositiveInfinity(noiseToSignal) ? 1 : CheckTime(noiseToSignal / (1 + noiseToSignal));
}
