using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Optim;

/// <summary>What <see cref="Adam"/> and <see cref="AdamW"/> share: running averages of the gradient and of its square.</summary>
public abstract class AdamOptimizer : Optimizer
{
    private readonly Storage _m, _v;
    private readonly bool _decoupled;

    private protected AdamOptimizer(
        IEnumerable<NamedParameter> parameters, double learningRate, double beta1, double beta2, double epsilon, double weightDecay, bool decoupled)
        : base(parameters, learningRate)
    {
        if (beta1 is not (>= 0 and < 1) || beta2 is not (>= 0 and < 1))
            throw new ArgumentOutOfRangeException(nameof(beta1), $"Adam's betas must lie in [0, 1), not {beta1} and {beta2}.");
        (Beta1, Beta2, Epsilon, WeightDecay, _decoupled) = (beta1, beta2, ExpectNotNegative(epsilon, "epsilon"), weightDecay, decoupled);
        _m = Arena.NewStorage();
        _v = Arena.NewStorage();
    }

    public double Beta1 { get; }

    public double Beta2 { get; }

    public double Epsilon { get; }

    public double WeightDecay
    {
        get;
        set => field = ExpectNotNegative(value, "weight decay");
    }

    /// <summary>The running average of the gradient, in the arena's layout.</summary>
    internal Storage FirstMoment => _m;

    /// <summary>That of its square.</summary>
    internal Storage SecondMoment => _v;

    private protected override void Update(Storage? gradientNorm, double maxNorm) =>
        Arena.Device.AdamW(CurrentStep(), Arena.Values, Arena.Gradients, _m, _v, gradientNorm, maxNorm);

    private protected override void Update(Storage? gradientNorm, double maxNorm, Storage average, double decay) =>
        Arena.Device.AdamW(CurrentStep(), Arena.Values, Arena.Gradients, _m, _v, gradientNorm, maxNorm, average, decay);

    private protected override void Describe(StepScalars scalars) => scalars.AdamW = CurrentStep();

    private AdamWStep CurrentStep() => new(
        LearningRate, Beta1, Beta2, Epsilon, WeightDecay, _decoupled,
        BiasCorrection1: 1 - Math.Pow(Beta1, StepCount), BiasCorrection2: 1 - Math.Pow(Beta2, StepCount));

    private protected override IReadOnlyList<(string Name, Storage Storage)> States() => [("exp_avg", _m), ("exp_avg_sq", _v)];
}

/// <summary>
/// Adam (Kingma and Ba 2015) with weight decay taken from the parameters themselves (Loshchilov and Hutter 2019):
/// p -= lr (weightDecay p + m_hat / (sqrt(v_hat) + epsilon)).
/// </summary>
public sealed class AdamW : AdamOptimizer
{
    public AdamW(
        Module module, double learningRate = 1e-3, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8, double weightDecay = 0.01)
        : this(module.NamedParameters(), learningRate, beta1, beta2, epsilon, weightDecay)
    {
    }

    public AdamW(
        IEnumerable<NamedParameter> parameters, double learningRate = 1e-3, double beta1 = 0.9, double beta2 = 0.999,
        double epsilon = 1e-8, double weightDecay = 0.01)
        : base(parameters, learningRate, beta1, beta2, epsilon, weightDecay, decoupled: true)
    {
    }
}

/// <summary>Adam (Kingma and Ba 2015); weight decay, if any, is an L2 penalty that goes through the averages.</summary>
public sealed class Adam : AdamOptimizer
{
    public Adam(
        Module module, double learningRate = 1e-3, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8, double weightDecay = 0)
        : this(module.NamedParameters(), learningRate, beta1, beta2, epsilon, weightDecay)
    {
    }

    public Adam(
        IEnumerable<NamedParameter> parameters, double learningRate = 1e-3, double beta1 = 0.9, double beta2 = 0.999,
        double epsilon = 1e-8, double weightDecay = 0)
        : base(parameters, learningRate, beta1, beta2, epsilon, weightDecay, decoupled: false)
    {
    }
}
