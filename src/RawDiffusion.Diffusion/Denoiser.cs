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

    /// <summary>d x_t / dt for fixed x_0 and eps, alpha' x_0 + sigma' eps: eps - x_0 for straight lines (Lipman et al. 2023).</summary>
    FlowVelocity,

    /// <summary>
    /// F of Karras et al. 2022, equation 7: x_0 = c_skip x^ + c_out F(c_in x^) with x^ = x_t / alpha, whose coefficients give the network
    /// inputs and targets of unit variance at every noise, for data of the standard deviation <see cref="Denoiser.DataStandardDeviation"/>.
    /// </summary>
    Preconditioned,
}

/// <summary>A network's forward pass: x[n, ...] and times[n] (see <see cref="ForwardProcess.NetworkTime"/>) to a prediction of the shape of x.</summary>
public delegate Tensor DenoisingNetwork(Tensor x, Tensor times);

/// <summary>
/// The same for a network that can be told labels: rows of its table of embeddings, Int32 [n], or [n, k] of which the k of a sample are added
/// up, or null for a network without labels. In a table of classes the number of classes stands for "not told"; see
/// <see cref="Models.LabelTable"/>.
/// </summary>
public delegate Tensor ConditionalNetwork(Tensor x, Tensor times, Tensor? labels);

/// <summary>
/// Joins a network, what its output means and a forward process, and answers in any of x_0, eps, v, score and flow velocity at any time.
/// Samplers speak to this and know nothing of networks.
/// </summary>
/// <remarks>
/// All of these are sums p x_0 + q eps with factors that the time alone decides, and so is x_t = alpha x_0 + sigma eps. From x_t and any
/// one of them any other follows by solving two equations, which is all that <see cref="Answer"/> does.
/// </remarks>
public sealed class Denoiser
{
    private readonly Func<Tensor, double, Tensor> _predict;
    private readonly IReadOnlyList<Denoiser> _parts;

    /// <summary>Of a network, which is told <see cref="ForwardProcess.NetworkTime"/>.</summary>
    /// <param name="dataStandardDeviation">sigma_data of <see cref="Parameterisation.Preconditioned"/>; no other looks at it.</param>
    /// <exception cref="ArgumentOutOfRangeException">The standard deviation is not positive.</exception>
    public Denoiser(
        DenoisingNetwork network, ForwardProcess process, Parameterisation parameterisation = Parameterisation.Epsilon, double dataStandardDeviation = 1)
        : this(process, parameterisation, dataStandardDeviation, (x, t) => network(x, Tensor.Full([x.Shape[0]], process.NetworkTime(t), x.Device)), [])
    {
    }

    private Denoiser(
        ForwardProcess process, Parameterisation parameterisation, double dataStandardDeviation, Func<Tensor, double, Tensor> predict, IReadOnlyList<Denoiser> parts)
    {
        if (!(dataStandardDeviation > 0))
            throw new ArgumentOutOfRangeException(nameof(dataStandardDeviation), $"the data's standard deviation must be positive, not {dataStandardDeviation}");
        (Process, Parameterisation, DataStandardDeviation, _predict, _parts) = (process, parameterisation, dataStandardDeviation, predict, parts);
    }

    /// <summary>Of a function of the state and the time itself: an exact denoiser, or one made of others.</summary>
    /// <param name="parts">The denoisers that it asks; then their evaluations are its evaluations.</param>
    /// <inheritdoc cref="Denoiser(DenoisingNetwork, ForwardProcess, Parameterisation, double)"/>
    public static Denoiser FromFunction(
        Func<Tensor, double, Tensor> predict, ForwardProcess process, Parameterisation parameterisation, double dataStandardDeviation = 1,
        params IReadOnlyList<Denoiser> parts) =>
        new(process, parameterisation, dataStandardDeviation, predict, parts);

    public ForwardProcess Process { get; }

    public Parameterisation Parameterisation { get; }

    /// <summary>sigma_data of <see cref="Parameterisation.Preconditioned"/>.</summary>
    public double DataStandardDeviation { get; }

    /// <summary>How often the network has been run.</summary>
    public int Evaluations { get; private set; }

    /// <summary>The noise in x at time t.</summary>
    public Tensor Epsilon(Tensor x, double t) => Answer(x, t, Parameterisation.Epsilon);

    /// <summary>The clean sample expected from x at time t.</summary>
    public Tensor X0(Tensor x, double t) => Answer(x, t, Parameterisation.X0);

    /// <summary>The score of the noised distribution at x and time t.</summary>
    public Tensor Score(Tensor x, double t) => Answer(x, t, Parameterisation.Score);

    /// <summary>v = alpha eps - sigma x_0 at x and time t.</summary>
    public Tensor Velocity(Tensor x, double t) => Answer(x, t, Parameterisation.Velocity);

    /// <summary>
    /// The derivative of the probability flow, dx/dt = f x - g^2 score / 2 = alpha' x_0 + sigma' eps (Song et al. 2021, equation 13), at x
    /// and time t.
    /// </summary>
    public Tensor FlowVelocity(Tensor x, double t) => Answer(x, t, Parameterisation.FlowVelocity);

    /// <summary>What the network says, in another parameterisation.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The time is outside of the process, or there is no noise.</exception>
    /// <exception cref="InvalidOperationException">The network answered with another shape.</exception>
    public Tensor Answer(Tensor x, double t, Parameterisation wanted)
    {
        double alpha = Process.Alpha(t), sigma = Process.Sigma(t);
        if (sigma == 0)
            throw new ArgumentOutOfRangeException(nameof(t), $"a denoiser cannot be asked at time {t}: there is no noise");
        var output = Predict(x, t, alpha, sigma);
        if (wanted == Parameterisation)
            return output;
        // output = p x0 + q eps and x = alpha x0 + sigma eps give x0 and eps; the answer is a x0 + b eps.
        var (p, q) = Factors(Parameterisation, t);
        var (a, b) = Factors(wanted, t);
        double determinant = alpha * q - sigma * p;
        double ofX = (a * q - b * p) / determinant, ofOutput = (alpha * b - sigma * a) / determinant;
        if (ofX == 0)
            return ofOutput == 1 ? output : output * ofOutput;
        return (ofX == 1 ? x : x * ofX) + (ofOutput == 1 ? output : output * ofOutput);
    }

    /// <summary>The factors (p, q) for which a parameterisation is p x_0 + q eps at time t: what a network is trained to say.</summary>
    public (double OfX0, double OfEpsilon) Factors(Parameterisation parameterisation, double t) => parameterisation switch
    {
        Parameterisation.Epsilon => (0, 1),
        Parameterisation.X0 => (1, 0),
        Parameterisation.Velocity => (-Process.Sigma(t), Process.Alpha(t)),
        Parameterisation.Score => (0, -1 / Process.Sigma(t)),
        Parameterisation.FlowVelocity => (Process.AlphaDot(t), Process.SigmaDot(t)),
        Parameterisation.Preconditioned => PreconditionedFactors(Process.NoiseToSignal(t)),
        _ => throw new ArgumentOutOfRangeException(nameof(parameterisation), $"unknown parameterisation {parameterisation}"),
    };

    /// <summary>c_in of Karras et al. 2022, table 1: what a preconditioned network's input x_t / alpha is multiplied with.</summary>
    public double InputScale(double t)
    {
        double ratio = Process.NoiseToSignal(t);
        return 1 / Math.Sqrt(ratio * ratio + DataStandardDeviation * DataStandardDeviation);
    }

    // F = (x0 - c_skip (x0 + s eps)) / c_out with c_skip = d^2 / (s^2 + d^2), c_out = s d / sqrt(s^2 + d^2).
    private (double OfX0, double OfEpsilon) PreconditionedFactors(double s)
    {
        double d = DataStandardDeviation, both = Math.Sqrt(s * s + d * d);
        return (s / (d * both), -d / both);
    }

    private Tensor Predict(Tensor x, double t, double alpha, double sigma)
    {
        int before = _parts.Sum(part => part.Evaluations);
        var input = Parameterisation == Parameterisation.Preconditioned ? x * (InputScale(t) / alpha) : x;
        var output = _predict(input, t);
        Evaluations += _parts.Count == 0 ? 1 : _parts.Sum(part => part.Evaluations) - before;
        // Without this, the derivative of the answer would silently be that of its other terms.
        if (GradMode.IsEnabled && input.RequiresGrad && !output.RequiresGrad)
            throw new InvalidOperationException($"the denoiser is asked for derivatives at time {t}, and its answer has none: it is not made of tensor operations");
        return output.Shape == x.Shape
            ? output
            : throw new InvalidOperationException($"the network answered with shape {output.Shape} to an input of shape {x.Shape} at time {t} (sigma {sigma})");
    }
}
