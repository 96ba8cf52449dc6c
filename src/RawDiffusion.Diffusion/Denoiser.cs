using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion;

/// <summary>What a network's output means.</summary>
public enum Parameterisation
{
    /// <summary>The noise: x_t = alpha x_0 + sigma eps (Ho et al. 2020).</summary>
    Epsilon,

    /// <summary>The clean sample.</summary>
    X0,

    /// <summary>v = alpha eps - sigma x_0 (Salimans and Ho 2022).</summary>
    Velocity,

    /// <summary>The score, grad log q(x_t) = -eps / sigma.</summary>
    Score,
}

/// <summary>A network's forward pass: x[n, ...] and times[n] (see <see cref="Denoiser.NetworkTime"/>) to a prediction of the shape of x.</summary>
public delegate Tensor DenoisingNetwork(Tensor x, Tensor times);

/// <summary>
/// The same for a network that can be told classes: labels is Int32 [n], where the number of classes stands for "not told", or null for
/// a network without classes.
/// </summary>
public delegate Tensor ConditionalNetwork(Tensor x, Tensor times, Tensor? labels);

/// <summary>
/// Joins a network, what its output means and a forward process, and answers in any of x_0, eps, v and score at any time.
/// Samplers speak to this and know nothing of networks.
/// </summary>
public sealed class Denoiser(DenoisingNetwork network, ForwardProcess process, Parameterisation parameterisation = Parameterisation.Epsilon)
{
    public ForwardProcess Process { get; } = process;

    public Parameterisation Parameterisation { get; } = parameterisation;

    /// <summary>How often the network has been run.</summary>
    public int Evaluations { get; private set; }

    /// <summary>
    /// The time as networks see it: 1000 t - 1, which is the step index 0..999 of a 1,000-step DDPM. Networks keep this scale
    /// whatever grid they are trained or sampled on.
    /// </summary>
    public static double NetworkTime(double t) => 1000 * t - 1;

    /// <summary>The noise in x at time t.</summary>
    public Tensor Epsilon(Tensor x, double t)
    {
        var (output, alpha, sigma) = Run(x, t);
        return Parameterisation switch
        {
            Parameterisation.Epsilon => output,
            Parameterisation.X0 => (x - output * alpha) * (1 / sigma),
            Parameterisation.Velocity => output * (alpha / Norm(alpha, sigma)) + x * (sigma / Norm(alpha, sigma)),
            _ => output * -sigma,
        };
    }

    /// <summary>The clean sample expected from x at time t.</summary>
    public Tensor X0(Tensor x, double t)
    {
        var (output, alpha, sigma) = Run(x, t);
        return Parameterisation switch
        {
            Parameterisation.Epsilon => (x - output * sigma) * (1 / alpha),
            Parameterisation.X0 => output,
            Parameterisation.Velocity => x * (alpha / Norm(alpha, sigma)) - output * (sigma / Norm(alpha, sigma)),
            _ => (x + output * (sigma * sigma)) * (1 / alpha),
        };
    }

    /// <summary>The score of the noised distribution at x and time t.</summary>
    public Tensor Score(Tensor x, double t)
    {
        var (output, alpha, sigma) = Run(x, t);
        return Parameterisation switch
        {
            Parameterisation.Epsilon => output * (-1 / sigma),
            Parameterisation.X0 => (output * alpha - x) * (1 / (sigma * sigma)),
            Parameterisation.Velocity => (output * alpha + x * sigma) * (-1 / (sigma * Norm(alpha, sigma))),
            _ => output,
        };
    }

    /// <summary>v = alpha eps - sigma x_0 at x and time t.</summary>
    public Tensor Velocity(Tensor x, double t)
    {
        var (output, alpha, sigma) = Run(x, t);
        return Parameterisation switch
        {
            // With x = alpha x0 + sigma eps: v = (alpha^2 + sigma^2) eps / alpha - sigma x / alpha, and so on.
            Parameterisation.Epsilon => output * (Norm(alpha, sigma) / alpha) - x * (sigma / alpha),
            Parameterisation.X0 => x * (alpha / sigma) - output * (Norm(alpha, sigma) / sigma),
            Parameterisation.Velocity => output,
            _ => output * (-sigma * Norm(alpha, sigma) / alpha) - x * (sigma / alpha),
        };
    }

    private static double Norm(double alpha, double sigma) => alpha * alpha + sigma * sigma;

    private (Tensor Output, double Alpha, double Sigma) Run(Tensor x, double t)
    {
        double alpha = Process.Alpha(t), sigma = Process.Sigma(t);
        if (sigma == 0)
            throw new ArgumentOutOfRangeException(nameof(t), $"a denoiser cannot be asked at time {t}: there is no noise");
        Evaluations++;
        var output = network(x, Tensor.Full([x.Shape[0]], NetworkTime(t), x.Device));
        if (output.Shape != x.Shape)
            throw new InvalidOperationException($"the network answered with shape {output.Shape} to an input of shape {x.Shape}");
        return (output, alpha, sigma);
    }
}
