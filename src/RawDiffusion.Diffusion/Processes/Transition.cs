namespace RawDiffusion.Diffusion.Processes;

/// <summary>
/// What lies between two times s &lt; t of a process: q(x_t | x_s) = N(Ratio x_s, Variance I), and the posterior
/// q(x_s | x_t, x_0) = N(PosteriorXt x_t + PosteriorX0 x_0, PosteriorVariance I). For neighbouring steps of DDPM these are
/// sqrt(alpha_t), beta_t and equations 6 and 7 of Ho et al. 2020.
/// </summary>
public readonly struct Transition
{
    /// <param name="t">The later time.</param>
    /// <param name="s">The earlier time.</param>
    /// <exception cref="ArgumentException">It is not.</exception>
    public Transition(ForwardProcess process, double t, double s)
    {
        if (!(s < t))
            throw new ArgumentException($"a transition leads from an earlier time to a later one, not from {s} to {t}");
        (AlphaT, SigmaT) = (process.Alpha(t), process.Sigma(t));
        (AlphaS, SigmaS) = (process.Alpha(s), process.Sigma(s));
    }

    public double AlphaT { get; }

    public double SigmaT { get; }

    public double AlphaS { get; }

    public double SigmaS { get; }

    /// <summary>alpha_t / alpha_s.</summary>
    public double Ratio => AlphaT / AlphaS;

    /// <summary>sigma_t^2 - Ratio^2 sigma_s^2, which is called beta where the two are neighbours.</summary>
    public double Variance => Math.Max(0, SigmaT * SigmaT - Ratio * Ratio * SigmaS * SigmaS);

    public double PosteriorXt => Ratio * SigmaS * SigmaS / (SigmaT * SigmaT);

    public double PosteriorX0 => AlphaS * Variance / (SigmaT * SigmaT);

    public double PosteriorVariance => Variance * SigmaS * SigmaS / (SigmaT * SigmaT);
}
