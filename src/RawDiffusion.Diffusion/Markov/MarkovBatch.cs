using RawDiffusion.Diffusion.Objectives;

namespace RawDiffusion.Diffusion.Markov;

/// <summary>
/// Training by the variational bound itself: each sample at a step of its own, drawn at random, the loss T times that step's term, so that its
/// expectation is the bound less L_T, which nothing can be learned about. In nats per element of a sample.
/// </summary>
public sealed class MarkovBatch<TDistribution> : TrainingBatch
    where TDistribution : IFactorised<TDistribution>
{
    private readonly MarkovChain<TDistribution> _chain;
    private readonly StepModel<TDistribution> _reverse;
    private readonly Generator _generator;
    private readonly int[] _steps;

    /// <param name="reverse">p(x_(t-1) | x_t), to be trained.</param>
    /// <param name="x0">Data, [n, ...].</param>
    /// <param name="generator">Draws the steps, at once, and the states.</param>
    public MarkovBatch(MarkovChain<TDistribution> chain, StepModel<TDistribution> reverse, Tensor x0, Generator generator)
    {
        (_chain, _reverse, _generator) = (chain, reverse, generator);
        _steps = new int[x0.Shape[0]];
        Inputs = [x0, Tensor.EmptyInt32([_steps.Length], x0.Device)];
        Redraw();
    }

    /// <summary>x_0 and the steps.</summary>
    public override IReadOnlyList<Tensor> Inputs { get; }

    /// <inheritdoc/>
    public override void Redraw()
    {
        _chain.DrawSteps(_steps, _generator);
        Inputs[1].CopyFrom(_steps);
    }

    /// <returns>x_0, the steps and x_t.</returns>
    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The data cannot be states of the chain.</exception>
    public override IReadOnlyList<Tensor> Draw(IReadOnlyList<Tensor> inputs)
    {
        Tensor x0 = inputs[0], t = inputs[1];
        // It reads the data back, which a recording cannot: the same work has run before.
        if (!x0.Device.IsRecording)
            _chain.Check(x0);
        return [x0, t, _chain.Marginal(x0, t).Sample(_generator)];
    }

    /// <inheritdoc/>
    public override Tensor Loss(IReadOnlyList<Tensor> drawn)
    {
        Tensor x0 = drawn[0], t = drawn[1], xt = drawn[2];
        return _chain.Term(x0, xt, t, _reverse(xt, t)).Sum() * ((double)_chain.Steps / x0.Count);
    }
}
