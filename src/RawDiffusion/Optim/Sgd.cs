using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Optim;

/// <summary>
/// Gradient descent with momentum, as torch.optim.SGD without dampening: buffer = momentum buffer + g; p -= lr buffer, or with
/// nesterov p -= lr (g + momentum buffer) (Sutskever et al. 2013).
/// </summary>
public sealed class Sgd : Optimizer
{
    private readonly Storage? _buffer;

    public Sgd(Module module, double learningRate, double momentum = 0, double weightDecay = 0, bool nesterov = false)
        : this(module.NamedParameters(), learningRate, momentum, weightDecay, nesterov)
    {
    }

    /// <exception cref="ArgumentException">Nesterov's method is asked for without momentum.</exception>
    public Sgd(IEnumerable<NamedParameter> parameters, double learningRate, double momentum = 0, double weightDecay = 0, bool nesterov = false)
        : base(parameters, learningRate)
    {
        if (momentum is not (>= 0 and < 1))
            throw new ArgumentOutOfRangeException(nameof(momentum), $"Momentum must lie in [0, 1), not {momentum}.");
        if (nesterov && momentum == 0)
            throw new ArgumentException("Nesterov's method needs momentum.", nameof(nesterov));
        (Momentum, WeightDecay, Nesterov) = (momentum, weightDecay, nesterov);
        if (momentum != 0)
            _buffer = Arena.NewStorage();
    }

    public double Momentum { get; }

    public double WeightDecay
    {
        get;
        set => field = ExpectNotNegative(value, "weight decay");
    }

    public bool Nesterov { get; }

    private protected override void Update(Storage? gradientNorm, double maxNorm)
    {
        // Without momentum the buffer is neither read nor written; the gradients stand in for it.
        Arena.Device.Sgd(CurrentStep(), Arena.Values, Arena.Gradients, _buffer ?? Arena.Gradients, gradientNorm, maxNorm);
    }

    private protected override void Describe(StepScalars scalars) => scalars.Sgd = CurrentStep();

    private SgdStep CurrentStep() => new(LearningRate, Momentum, WeightDecay, Nesterov, FirstStep: StepCount == 1);

    private protected override IReadOnlyList<(string Name, Storage Storage)> States() =>
        _buffer is null ? [] : [("momentum_buffer", _buffer)];
}
