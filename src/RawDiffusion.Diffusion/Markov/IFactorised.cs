namespace RawDiffusion.Diffusion.Markov;

/// <summary>
/// A distribution of a batch of states all of whose elements are independent, each with parameters of its own. A kernel of a Markov
/// diffusion has one of these for every state it starts from; what the bound needs of them is known in closed form.
/// </summary>
/// <typeparam name="TSelf">The family.</typeparam>
public interface IFactorised<TSelf>
    where TSelf : IFactorised<TSelf>
{
    /// <summary>The expected state, [n, ...].</summary>
    Tensor Mean { get; }

    /// <summary>Draws a state, [n, ...].</summary>
    Tensor Sample(Generator generator);

    /// <summary>ln p(x) for every sample, [n], nats.</summary>
    /// <param name="x">[n, ...].</param>
    Tensor LogProbability(Tensor x);

    /// <summary>The entropy for every sample, [n], nats: differential for real numbers.</summary>
    Tensor Entropy();

    /// <summary>KL(q || p) for every sample, [n], nats.</summary>
    static abstract Tensor Divergence(TSelf q, TSelf p);
}

/// <summary>What the families share.</summary>
internal static class Factorised
{
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static void ExpectShape(string what, Tensor x, Shape shape)
    {
        if (x.Shape != shape)
            throw new ArgumentException($"{what} has shape {x.Shape} where the states have {shape}");
    }
}
