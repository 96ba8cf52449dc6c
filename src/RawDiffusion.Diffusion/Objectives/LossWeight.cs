using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// How much an error counts at a time. Every objective of one denoiser is E[w(t) |x_0 - D(x_t, t)|^2], whatever the network predicts
/// (Kingma and Gao 2023, section 2): the factors here are those w for which it is the objective named.
/// </summary>
/// <param name="process">The process.</param>
/// <param name="t">The time.</param>
/// <returns>The factor of |x_0 - D|^2.</returns>
public delegate double LossWeight(ForwardProcess process, double t);

/// <summary>The weights in use.</summary>
public static class LossWeights
{
    private static double Snr(ForwardProcess process, double t) => 1 / Math.Pow(process.NoiseToSignal(t), 2);

    /// <summary>|x_0 - D|^2 itself.</summary>
    public static LossWeight CleanSample { get; } = (_, _) => 1;

    /// <summary>L_simple, |eps - eps(x_t)|^2 (Ho et al. 2020, equation 14): the signal-to-noise ratio.</summary>
    public static LossWeight Simple { get; } = Snr;

    /// <summary>|v - v(x_t)|^2: SNR + 1 for a variance-preserving process (Salimans and Ho 2022, appendix D).</summary>
    public static LossWeight Velocity { get; } = (process, t) =>
        Math.Pow(process.Alpha(t) * process.Alpha(t) / process.Sigma(t) + process.Sigma(t), 2);

    /// <summary>min(SNR, gamma) (Hang et al. 2023): L_simple without its stress on what is nearly clean.</summary>
    /// <exception cref="ArgumentOutOfRangeException">gamma is not positive.</exception>
    public static LossWeight MinSnr(double gamma = 5) => gamma > 0
        ? (process, t) => Math.Min(Snr(process, t), gamma)
        : throw new ArgumentOutOfRangeException(nameof(gamma), $"gamma must be positive, not {gamma}");

    /// <summary>SNR / (k + SNR)^gamma (Choi et al. 2022, P2, equation 8): less for the times at which imperceptible detail is decided.</summary>
    /// <exception cref="ArgumentOutOfRangeException">k is not positive, or gamma not finite.</exception>
    public static LossWeight P2(double k = 1, double gamma = 1) => k > 0 && double.IsFinite(gamma)
        ? (process, t) => Snr(process, t) / Math.Pow(k + Snr(process, t), gamma)
        : throw new ArgumentOutOfRangeException(nameof(k), $"k must be positive and gamma finite, not {k} and {gamma}");

    /// <summary>(s^2 + d^2) / (s d)^2 with s = sigma / alpha (Karras et al. 2022, table 1): 1 for the network's own output at every noise.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The deviation is not positive.</exception>
    public static LossWeight Edm(double dataStandardDeviation = 1) => dataStandardDeviation > 0
        ? (process, t) => Snr(process, t) + 1 / (dataStandardDeviation * dataStandardDeviation)
        : throw new ArgumentOutOfRangeException(nameof(dataStandardDeviation), $"the data's standard deviation must be positive, not {dataStandardDeviation}");

    /// <summary>
    /// g^2 / 2 of the score's error (Song, Durkan, Murray and Ermon 2021, theorem 1), which is -dSNR/dt / 2 of the sample's (Kingma et al.
    /// 2021, equation 17): the objective is then a bound on -ln p(x_0), up to a constant.
    /// </summary>
    public static LossWeight Likelihood { get; } = (process, t) =>
    {
        double sigma = process.Sigma(t), alpha = process.Alpha(t);
        // score error = (alpha / sigma^2) x_0 error
        return 0.5 * process.DiffusionSquared(t) * alpha * alpha / (sigma * sigma * sigma * sigma);
    };
}
