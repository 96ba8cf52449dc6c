using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Markov;

/// <summary>
/// Bit-flip diffusion: q(x_t | x_(t-1)) leaves every bit with probability 1 - beta_t and otherwise tosses it anew,
/// B(x_t; x_(t-1) (1 - beta_t) + beta_t / 2) for bits of 0 and 1 (Sohl-Dickstein et al. 2015, table C.1); D3PM with two states and a uniform
/// kernel. Fair coins are left. Bits are -1 and 1, and <c>kept_t x_0</c> is then the mean of x_t, as sqrt(kept_t) x_0 is with Gaussian noise.
/// </summary>
/// <param name="device">Where states are.</param>
public sealed class BinomialChain : MarkovChain<Bernoulli>
{
    private readonly StepTable _stepKeep, _stepFlip, _keep, _flip, _keepSame, _flipSame, _keepOther, _flipOther, _evidence, _flipLogOdds;

    /// <inheritdoc cref="BinomialChain"/>
    public BinomialChain(MarkovSchedule schedule, Backend? device = null)
        : base(schedule, device)
    {
        _stepFlip = Table(1, t => schedule.Beta(t) / 2);
        _stepKeep = Table(1, t => 1 - schedule.Beta(t) / 2);
        _flip = Table(0, t => (1 - schedule.Kept(t)) / 2);
        _keep = Table(0, t => (1 + schedule.Kept(t)) / 2);
        // q(x_(t-1) | x_t, x_0) is proportional to q(x_t | x_(t-1)) q(x_(t-1) | x_0): two coins that x_(t-1) may agree with. It is written as
        // what becomes of x_t where x_0 is the same and where it is the other, each probability as a product of its own.
        _keepSame = Table(1, t => 0.5 * (2 - schedule.Beta(t)) * (1 + schedule.Kept(t - 1)) / (1 + schedule.Kept(t)));
        _flipSame = Table(1, t => 0.5 * schedule.Beta(t) * (1 - schedule.Kept(t - 1)) / (1 + schedule.Kept(t)));
        _keepOther = Table(1, t => 0.5 * (2 - schedule.Beta(t)) * (1 - schedule.Kept(t - 1)) / (1 - schedule.Kept(t)));
        _flipOther = Table(1, t => 0.5 * schedule.Beta(t) * (1 + schedule.Kept(t - 1)) / (1 - schedule.Kept(t)));
        _evidence = Table(1, t => 2 * Math.Atanh(schedule.Kept(t)));
        _flipLogOdds = Table(1, t => Math.Log(schedule.Beta(t) / (2 - schedule.Beta(t))));
    }

    /// <inheritdoc/>
    public override Bernoulli Forward(Tensor previous, Tensor t) => Bernoulli.Around(previous, _stepKeep.At(t, previous.Rank), _stepFlip.At(t, previous.Rank));

    /// <inheritdoc/>
    public override Bernoulli Marginal(Tensor x0, Tensor t) => Bernoulli.Around(x0, _keep.At(t, x0.Rank), _flip.At(t, x0.Rank));

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public override Bernoulli Posterior(Tensor xt, Bernoulli x0, Tensor t)
    {
        Factorised.ExpectShape("what is said of x_0", x0.Up, xt.Shape);
        var up = xt.Gt(0);
        Tensor same = F.Where(up, x0.Up, x0.Down), other = F.Where(up, x0.Down, x0.Up);
        return Bernoulli.Around(
            xt,
            same * _keepSame.At(t, xt.Rank) + other * _keepOther.At(t, xt.Rank),
            same * _flipSame.At(t, xt.Rank) + other * _flipOther.At(t, xt.Rank));
    }

    /// <inheritdoc/>
    public override Bernoulli Known(Tensor x0) => Bernoulli.Certain(x0);

    /// <inheritdoc/>
    public override Bernoulli Stationary(Shape shape) => Bernoulli.Uniform(shape, Device);

    /// <inheritdoc/>
    public override void Check(Tensor x0) => Bernoulli.CheckBits(x0);

    /// <summary>
    /// A model of x_0 by a network, for <see cref="MarkovChain{TDistribution}.Reverse"/>. What the bit itself has to say of x_0 is known, log-odds of
    /// 2 atanh(kept_t) x_t; the network says what all other bits add. With 0 from the network, bits are independent fair coins.
    /// </summary>
    /// <param name="network">States and times to log-odds of the states' shape.</param>
    public StepModel<Bernoulli> X0Model(DenoisingNetwork network) => (xt, t) =>
        Bernoulli.OfLogOdds(Ask(network, xt, t) + xt * _evidence.At(t, xt.Rank));

    /// <summary>
    /// The reverse kernel by a network that says it outright, as in the paper: how likely each bit is to flip, as what is added to the log-odds
    /// of the forward kernel. By detailed balance this is 0 for the stationary chain, and as steps become small
    /// ln q(x_t with the bit flipped) - ln q(x_t), which is for bits what a score is for real numbers (Lou et al. 2024).
    /// </summary>
    /// <param name="network">States and times to what is added, of the states' shape.</param>
    public StepModel<Bernoulli> FlipModel(DenoisingNetwork network) => (xt, t) =>
    {
        var logOdds = Ask(network, xt, t) + _flipLogOdds.At(t, xt.Rank);
        return Bernoulli.Around(xt, (-logOdds).Sigmoid(), logOdds.Sigmoid());
    };
}
