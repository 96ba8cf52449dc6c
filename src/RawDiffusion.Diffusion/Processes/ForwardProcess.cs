namespace RawDiffusion.Diffusion.Processes;

/// <summary>
/// A Gaussian forward process in continuous time: q(x_t | x_0) = N(alpha(t) x_0, sigma(t)^2 I), the solution of
/// dx = f(t) x dt + g(t) dw (Song et al. 2021, equation 5). Time 0 is data, <see cref="EndTime"/> is nearly pure noise.
/// </summary>
/// <remarks>
/// All of them are one process seen at different speeds and scales: x_t / alpha(t) = x_0 + (sigma / alpha) eps depends on the ratio
/// <see cref="NoiseToSignal"/> alone, so a denoiser of one is a denoiser of all (Karras et al. 2022, section 2).
/// </remarks>
public abstract class ForwardProcess
{
    /// <summary>The name in configuration files and messages.</summary>
    public abstract string Name { get; }

    /// <summary>Signal scale at time t.</summary>
    public abstract double Alpha(double t);

    /// <summary>Noise scale at time t.</summary>
    public abstract double Sigma(double t);

    /// <summary>The time at which sampling starts.</summary>
    public virtual double EndTime => 1;

    /// <summary>Drift coefficient f(t) = d log alpha / dt.</summary>
    public abstract double Drift(double t);

    /// <summary>Squared diffusion coefficient g(t)^2 = d sigma^2 / dt - 2 f(t) sigma^2.</summary>
    public abstract double DiffusionSquared(double t);

    /// <summary>log(alpha^2 / sigma^2): falls from infinity at time 0 (Kingma et al. 2021).</summary>
    public virtual double LogSnr(double t) => -2 * Math.Log(NoiseToSignal(t));

    /// <summary>sigma / alpha: the noise beside unscaled data, which other texts call sigma.</summary>
    public virtual double NoiseToSignal(double t) => Sigma(t) / Alpha(t);

    /// <summary>d alpha / dt = f alpha.</summary>
    public virtual double AlphaDot(double t) => Drift(t) * Alpha(t);

    /// <summary>d sigma / dt = (g^2 + 2 f sigma^2) / (2 sigma).</summary>
    public virtual double SigmaDot(double t)
    {
        double sigma = Sigma(t);
        return DiffusionSquared(t) / (2 * sigma) + Drift(t) * sigma;
    }

    /// <summary>Standard deviation of the distribution that sampling starts from at <see cref="EndTime"/>.</summary>
    public virtual double PriorStandardDeviation => 1;

    /// <summary>
    /// What networks are told instead of t: 1000 t - 1, the step index 0..999 of a 1,000-step DDPM. Networks keep this scale whatever grid
    /// they are trained or sampled on.
    /// </summary>
    public virtual double NetworkTime(double t) => 1000 * t - 1;

    /// <summary>The time at which <see cref="NoiseToSignal"/> has a value.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It never does.</exception>
    public virtual double TimeOf(double noiseToSignal)
    {
        CheckRatio(noiseToSignal);
        double low = 0, high = EndTime;
        // The ratio rises with time: halve until neighbouring numbers are left.
        while (true)
        {
            double middle = 0.5 * (low + high);
            if (middle <= low || middle >= high)
                return middle;
            if (NoiseToSignal(middle) < noiseToSignal)
                low = middle;
            else
                high = middle;
        }
    }

    /// <exception cref="ArgumentOutOfRangeException">The process never has the ratio sigma / alpha.</exception>
    protected void CheckRatio(double noiseToSignal)
    {
        double least = NoiseToSignal(0), most = NoiseToSignal(EndTime);
        if (!(noiseToSignal >= least && noiseToSignal <= most))
            throw new ArgumentOutOfRangeException(nameof(noiseToSignal), $"{Name} has sigma / alpha between {least} and {most}, never {noiseToSignal}");
    }

    /// <exception cref="ArgumentOutOfRangeException">t is outside the process or not a number.</exception>
    protected double CheckTime(double t) => t >= 0 && t <= EndTime
        ? t
        : throw new ArgumentOutOfRangeException(nameof(t), $"time {t} is outside the process {Name}, which runs from 0 to {EndTime}");
}
