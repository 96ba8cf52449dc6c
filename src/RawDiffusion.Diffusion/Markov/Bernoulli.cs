using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Markov;

/// <summary>
/// Independent bits, which are -1 and 1: what networks like to be given, and what black and white pixels are here. The papers' bits of 0 and
/// 1 are (x + 1) / 2. Both probabilities are kept, since 1 minus one of them would lose the digits of the other where it is small.
/// </summary>
/// <param name="Up">The probability of 1, [n, ...].</param>
/// <param name="Down">The probability of -1, of the same shape.</param>
public sealed record Bernoulli(Tensor Up, Tensor Down) : IFactorised<Bernoulli>
{
    // The logarithm of an impossible bit stays finite, so that 0 ln 0 is 0 and a gradient is a number.
    private const double LeastProbability = 1e-30;

    /// <summary>Of log-odds ln(p(1) / p(-1)).</summary>
    public static Bernoulli OfLogOdds(Tensor logOdds) => new(logOdds.Sigmoid(), (-logOdds).Sigmoid());

    /// <summary>All bits are known.</summary>
    /// <param name="x">-1 and 1, [n, ...].</param>
    public static Bernoulli Certain(Tensor x) => new(x.Gt(0), x.Lt(0));

    /// <summary>Bits that equal those of x with the probability <paramref name="keep"/> and differ with the other.</summary>
    /// <param name="x">-1 and 1, [n, ...].</param>
    /// <param name="keep">Broadcasts against x.</param>
    /// <param name="flip">1 - keep, with all of its own digits.</param>
    public static Bernoulli Around(Tensor x, Tensor keep, Tensor flip)
    {
        var up = x.Gt(0);
        return new Bernoulli(F.Where(up, keep, flip), F.Where(up, flip, keep));
    }

    /// <summary>Each bit 1 or -1 with the same probability.</summary>
    public static Bernoulli Uniform(Shape shape, Backend? device = null) => new(Tensor.Full(shape, 0.5, device), Tensor.Full(shape, 0.5, device));

    /// <inheritdoc/>
    public Tensor Mean => Up - Down;

    /// <inheritdoc/>
    public Tensor Sample(Generator generator) => Tensor.Rand(generator, Up.Shape, device: Up.Device).Lt(Up) * 2 - 1;

    /// <inheritdoc/>
    public Tensor LogProbability(Tensor x) => Log(F.Where(x.Gt(0), Up, Down)).SumPerSample();

    /// <inheritdoc/>
    public Tensor Entropy() => -(Up * Log(Up) + Down * Log(Down)).SumPerSample();

    /// <inheritdoc/>
    public static Tensor Divergence(Bernoulli q, Bernoulli p) =>
        (q.Up * (Log(q.Up) - Log(p.Up)) + q.Down * (Log(q.Down) - Log(p.Down))).SumPerSample();

    /// <exception cref="ArgumentException">A value is neither -1 nor 1.</exception>
    internal static void CheckBits(Tensor x)
    {
        float[] values = x.ToArray();
        int wrong = Array.FindIndex(values, value => value is not (-1 or 1));
        if (wrong >= 0)
            throw new ArgumentException($"bits are -1 or 1; element {wrong} of data of shape {x.Shape} is {values[wrong]}");
    }

    private static Tensor Log(Tensor probability) => probability.Clamp(LeastProbability, 2).Log();
}
