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

/// <summary>What a denoiser says of a state.</summary>
/// <param name="Answer">In the parameterisation that was asked for, of the shape of the state.</param>
/// <param name="Spread">
/// Where between its two bounds the logarithm of the reverse step's variance lies, -1 for the lower and 1 for the upper, of the same shape
/// (see <see cref="Samplers.ReverseVariance.Learned"/>); null for a network that has not learned it.
/// </param>
public readonly record struct Prediction(Tensor Answer, Tensor? Spread);

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

    // The denoisers at the bottom of those it is made of, each once however many ways lead to it; itself where it is made of none.
    private readonly IReadOnlyList<Denoiser> _networks;

    /// <summary>Of a network, which is told <see cref="ForwardProcess.NetworkTime"/>.</summary>
    /// <param name="dataStandardDeviation">sigma_data of <see cref="Parameterisation.Preconditioned"/>; no other looks at it.</param>
    /// <param name="learnsVariance">
    /// Whether the network answers with twice the channels (the last axis): first the prediction, then <see cref="Prediction.Spread"/>
    /// (Nichol and Dhariwal 2021).
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The standard deviation is not positive.</exception>
    public Denoiser(
        DenoisingNetwork network, ForwardProcess process, Parameterisation parameterisation = Parameterisation.Epsilon, double dataStandardDeviation = 1,
        bool learnsVariance = false)
        : this(
            process, parameterisation, dataStandardDeviation, learnsVariance,
            (x, t) => network(x, Tensor.Full([x.Shape[0]], process.NetworkTime(t), x.Device)), [])
    {
    }

    private Denoiser(
        ForwardProcess process, Parameterisation parameterisation, double dataStandardDeviation, bool learnsVariance, Func<Tensor, double, Tensor> predict,
        IReadOnlyList<Denoiser> parts)
    {
        if (!(dataStandardDeviation > 0))
            throw new ArgumentOutOfRangeException(nameof(dataStandardDeviation), $"the data's standard deviation must be positive, not {dataStandardDeviation}");
        (Process, Parameterisation, DataStandardDeviation, LearnsVariance) = (process, parameterisation, dataStandardDeviation, learnsVariance);
        _predict = predict;
        _networks = parts.Count == 0 ? [this] : [.. parts.SelectMany(part => part._networks).Distinct()];
    }

    /// <summary>Of a function of the state and the time itself: an exact denoiser, or one made of others.</summary>
    /// <param name="parts">The denoisers that it asks; then their evaluations are its evaluations.</param>
    /// <inheritdoc cref="Denoiser(DenoisingNetwork, ForwardProcess, Parameterisation, double, bool)"/>
    public static Denoiser FromFunction(
        Func<Tensor, double, Tensor> predict, ForwardProcess process, Parameterisation parameterisation, double dataStandardDeviation = 1,
        bool learnsVariance = false, params IReadOnlyList<Denoiser> parts) =>
        new(process, parameterisation, dataStandardDeviation, learnsVariance, predict, parts);

    /// <summary>
    /// The same denoiser for another process: of x_t / alpha and sigma / alpha it is the same question (<see cref="ForwardProcess"/>), so x is
    /// brought to the scale, and the time to that, at which this process has as much noise, and the noise in x is the same.
    /// </summary>
    /// <remarks>It can be asked at the times of the other process whose sigma / alpha this one has too. What is said of the variance is left out.</remarks>
    public Denoiser On(ForwardProcess process) => FromFunction(
        (x, t) =>
        {
            double own = Process.TimeOf(process.NoiseToSignal(t));
            return Epsilon(x * (Process.Sigma(own) / process.Sigma(t)), own);
        },
        process, Parameterisation.Epsilon, parts: this);

    public ForwardProcess Process { get; }

    public Parameterisation Parameterisation { get; }

    /// <summary>sigma_data of <see cref="Parameterisation.Preconditioned"/>.</summary>
    public double DataStandardDeviation { get; }

    /// <summary>Whether the network says something of the variance too.</summary>
    public bool LearnsVariance { get; }

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
    /// <exception cref="ArgumentOutOfRangeException">
    /// The time is outside of the process, or there is no noise, or no signal that what the network says of the noise could be told from.
    /// </exception>
    /// <exception cref="InvalidOperationException">The network answered with another shape.</exception>
    public Tensor Answer(Tensor x, double t, Parameterisation wanted) => Predict(x, t, wanted).Answer;

    /// <summary><see cref="Answer"/> with what the network says of the variance, in one evaluation.</summary>
    /// <inheritdoc cref="Answer"/>
    public Prediction Predict(Tensor x, double t, Parameterisation wanted)
    {
        double alpha = Process.Alpha(t), sigma = Process.Sigma(t);
        if (sigma == 0)
            throw new ArgumentOutOfRangeException(nameof(t), $"a denoiser cannot be asked at time {t}: there is no noise");
        double ofX = 0, ofOutput = 1;
        if (wanted != Parameterisation)
        {
            // output = p x0 + q eps and x = alpha x0 + sigma eps give x0 and eps; the answer is a x0 + b eps.
            var (p, q) = Factors(Parameterisation, t);
            var (a, b) = Factors(wanted, t);
            double determinant = alpha * q - sigma * p;
            if (determinant == 0 || !double.IsFinite(determinant))
                throw new ArgumentOutOfRangeException(nameof(t), $"from {Parameterisation} there is no {wanted} at time {t} of {Process.Name}: no signal is left");
            (ofX, ofOutput) = ((a * q - b * p) / determinant, (alpha * b - sigma * a) / determinant);
        }
        var (output, spread) = Ask(x, t, alpha, sigma);
        var scaled = ofOutput == 1 ? output : output * ofOutput;
        return new Prediction(ofX == 0 ? scaled : (ofX == 1 ? x : x * ofX) + scaled, spread);
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

    private int Asked() => _networks.Sum(network => network.Evaluations);

    private Prediction Ask(Tensor x, double t, double alpha, double sigma)
    {
        int before = Asked();
        var input = Parameterisation == Parameterisation.Preconditioned ? x * (InputScale(t) / alpha) : x;
        var output = _predict(input, t);
        Evaluations += _networks is [var only] && only == this ? 1 : Asked() - before;
        // Without this, the derivative of the answer would silently be that of its other terms.
        if (GradMode.IsEnabled && input.RequiresGrad && !output.RequiresGrad)
            throw new InvalidOperationException($"the denoiser is asked for derivatives at time {t}, and its answer has none: it is not made of tensor operations");
        if (!LearnsVariance && output.Shape == x.Shape)
            return new Prediction(output, null);
        int last = x.Rank - 1;
        if (LearnsVariance && output.Rank == x.Rank && output.Count == 2 * x.Count && output.Shape[last] == 2 * x.Shape[last])
        {
            var halves = output.Chunk(2, last);
            return new Prediction(halves[0], halves[1]);
        }
        throw new InvalidOperationException(
            $"the network answered with shape {output.Shape} to an input of shape {x.Shape} at time {t} (sigma {sigma}){(LearnsVariance ? "; one that learns the variance answers with twice the channels" : "")}");
    }
}
