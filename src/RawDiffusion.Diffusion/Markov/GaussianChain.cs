using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Markov;

/// <summary>
/// Gaussian diffusion as a Markov chain: q(x_t | x_(t-1)) = N(sqrt(1 - beta_t) x_(t-1), beta_t I) (Sohl-Dickstein et al. 2015, table C.1), which
/// is DDPM. The same numbers come out as of a <see cref="DiscreteSchedule"/> with its <see cref="Transition"/>s and of
/// <see cref="Likelihood.VariationalBound"/>, by another way.
/// </summary>
public sealed class GaussianChain : MarkovChain<Normal>
{
    private readonly StepTable _stepScale, _stepVariance, _scale, _variance, _ofXt, _ofX0, _ofX0Squared, _posteriorVariance, _smallSpread;

    /// <param name="device">Where states are.</param>
    public GaussianChain(MarkovSchedule schedule, Backend? device = null)
        : base(schedule, device)
    {
        _stepScale = Table(1, t => Math.Sqrt(1 - schedule.Beta(t)));
        _stepVariance = Table(1, schedule.Beta);
        _scale = Table(0, t => Math.Sqrt(schedule.Kept(t)));
        _variance = Table(0, t => 1 - schedule.Kept(t));
        _ofXt = Table(1, t => Math.Sqrt(1 - schedule.Beta(t)) * (1 - schedule.Kept(t - 1)) / (1 - schedule.Kept(t)));
        _ofX0 = Table(1, OfX0);
        _ofX0Squared = Table(1, t => OfX0(t) * OfX0(t));
        _posteriorVariance = Table(1, t => schedule.Beta(t) * (1 - schedule.Kept(t - 1)) / (1 - schedule.Kept(t)));
        _smallSpread = Table(1, t => t == 1 ? 1 - schedule.Kept(1) : 0);
        double OfX0(int t) => Math.Sqrt(schedule.Kept(t - 1)) * schedule.Beta(t) / (1 - schedule.Kept(t));
    }

    /// <inheritdoc/>
    public override Normal Forward(Tensor previous, Tensor t) =>
        new(previous * _stepScale.At(t, previous.Rank), _stepVariance.At(t, previous.Rank));

    /// <inheritdoc/>
    public override Normal Marginal(Tensor x0, Tensor t) => new(x0 * _scale.At(t, x0.Rank), _variance.At(t, x0.Rank));

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public override Normal Posterior(Tensor xt, Normal x0, Tensor t)
    {
        Factorised.ExpectShape("what is said of x_0", x0.Mean, xt.Shape);
        return new Normal(
            xt * _ofXt.At(t, xt.Rank) + x0.Mean * _ofX0.At(t, xt.Rank),
            _posteriorVariance.At(t, xt.Rank) + x0.Variance * _ofX0Squared.At(t, xt.Rank));
    }

    /// <inheritdoc/>
    public override Normal Known(Tensor x0) => new(x0, Tensor.Zeros([1], x0.Device));

    /// <inheritdoc/>
    public override Normal Stationary(Shape shape) => new(Tensor.Zeros(shape, Device), Tensor.Ones([1], Device));

    /// <inheritdoc/>
    public override void Check(Tensor x0)
    {
        float[] values = x0.ToArray();
        int wrong = Array.FindIndex(values, value => !float.IsFinite(value));
        if (wrong >= 0)
            throw new ArgumentException($"data are finite numbers; element {wrong} of data of shape {x0.Shape} is {values[wrong]}");
    }

    /// <summary>
    /// A model of x_0 by a network that says its mean. The two variances of DDPM are two beliefs about what is left to know of x_0: with
    /// <see cref="ReverseVariance.FixedSmall"/> nothing, variance 0, with <see cref="ReverseVariance.FixedLarge"/> all that the noise hides of
    /// standard normal data, variance 1 - kept_t. At step 1 it is the latter always, since data that are believed to be known have no density.
    /// </summary>
    /// <param name="network">States and times to x_0.</param>
    /// <param name="variance">One of the two; <see cref="ReverseVariance.FixedSmall"/> when null.</param>
    /// <exception cref="ArgumentException">The variance is another.</exception>
    public StepModel<Normal> X0Model(DenoisingNetwork network, ReverseVariance? variance = null)
    {
        var spread = Spread(variance);
        return (xt, t) => Believe(Ask(network, xt, t), t, spread);
    }

    /// <summary>The same by a denoiser of the process that the chain is a discretisation of.</summary>
    /// <exception cref="ArgumentException">The process has other noise than the chain at some step, or the variance is none of the two.</exception>
    public StepModel<Normal> X0Model(Denoiser denoiser, ReverseVariance? variance = null)
    {
        var spread = Spread(variance);
        for (int t = 1; t <= Steps; t++)
        {
            double alpha = denoiser.Process.Alpha(Time(t)), sigma = denoiser.Process.Sigma(Time(t));
            if (Math.Abs(alpha * alpha - Schedule.Kept(t)) + Math.Abs(sigma * sigma - 1 + Schedule.Kept(t)) > 1e-6)
                throw new ArgumentException(
                    $"{denoiser.Process.Name} keeps {alpha * alpha} of the data at time {Time(t)}, the chain {Schedule.Kept(t)} at step {t} of {Steps}");
        }
        return (xt, t) => t.Count == 1
            ? Believe(denoiser.X0(xt, Time(t.ToInt32Array()[0])), t, spread)
            : throw new ArgumentException($"a denoiser is asked about one time, not about the {t.Count} steps of a batch");
    }

    private static Normal Believe(Tensor mean, Tensor t, StepTable spread) => new(mean, spread.At(t, mean.Rank));

    /// <summary>What a variance says is left to know of x_0.</summary>
    private StepTable Spread(ReverseVariance? variance) =>
        variance is null || variance == ReverseVariance.FixedSmall ? _smallSpread
        : variance == ReverseVariance.FixedLarge ? _variance
        : throw new ArgumentException("a chain's model of x_0 has the fixed small or the fixed large variance");

    private double Time(int t) => (double)t / Steps;
}
