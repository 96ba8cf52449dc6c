namespace RawDiffusion.Diffusion.Processes;

/// <summary>
/// A Gaussian forward process in continuous time t in [0, 1]: q(x_t | x_0) = N(alpha(t) x_0, sigma(t)^2 I), the solution of
/// dx = f(t) x dt + g(t) dw (Song et al. 2021, equation 5). Time 0 is data, time 1 is nearly pure noise.
/// </summary>
public abstract class ForwardProcess
{
    /// <summary>The name in configuration files and messages.</summary>
    public abstract string Name { get; }

    /// <summary>Signal scale at time t.</summary>
    public abstract double Alpha(double t);

    /// <summary>Noise scale at time t.</summary>
    public abstract double Sigma(double t);

    /// <summary>Drift coefficient f(t) = d log alpha / dt.</summary>
    public abstract double Drift(double t);

    /// <summary>Squared diffusion coefficient g(t)^2 = d sigma^2 / dt - 2 f(t) sigma^2.</summary>
    public abstract double DiffusionSquared(double t);

    /// <summary>log(alpha^2 / sigma^2): falls from infinity at time 0 (Kingma et al. 2021).</summary>
    public virtual double LogSnr(double t) => 2 * Math.Log(Alpha(t) / Sigma(t));

    /// <summary>Standard deviation of the distribution that sampling starts from at time 1.</summary>
    public virtual double PriorStandardDeviation => 1;

    /// <exception cref="ArgumentOutOfRangeException">t is outside [0, 1] or not a number.</exception>
    protected static double CheckTime(double t) =>
        t is >= 0 and <= 1 ? t : throw new ArgumentOutOfRangeException(nameof(t), $"time {t} is outside the process, which runs from 0 to 1");
}
