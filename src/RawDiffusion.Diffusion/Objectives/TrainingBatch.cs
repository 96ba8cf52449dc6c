namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// The samples of one step. What comes from outside is in <see cref="Inputs"/>; from there on only tensors that are handed in are read,
/// so that a step can be recorded once (<see cref="Optim.StepGraph"/>) and repeated with the inputs of other batches.
/// </summary>
public abstract class TrainingBatch
{
    /// <summary>The samples and whatever the host has decided about them, each [n, ...].</summary>
    public abstract IReadOnlyList<Tensor> Inputs { get; }

    /// <summary>Draws what else is random about the samples, on their device.</summary>
    /// <param name="inputs">Like <see cref="Inputs"/>.</param>
    /// <returns>All that the loss is computed from, each [n, ...].</returns>
    public virtual IReadOnlyList<Tensor> Draw(IReadOnlyList<Tensor> inputs) => inputs;

    /// <summary>
    /// The mean loss of some of the samples, a scalar. Parts of a batch can go through the network one after the other: their losses are
    /// those that they have in the whole.
    /// </summary>
    /// <param name="drawn">What <see cref="Draw"/> gave, or the same samples of each.</param>
    public abstract Tensor Loss(IReadOnlyList<Tensor> drawn);

    /// <summary>The mean loss of the <paramref name="count"/> samples from <paramref name="start"/> on.</summary>
    public Tensor Loss(IReadOnlyList<Tensor> drawn, int start, int count) => Loss([.. drawn.Select(tensor => tensor.Slice(0, start, count))]);
}

/// <summary>Draws the batch of <paramref name="count"/> samples that begins at sample number <paramref name="first"/>.</summary>
public delegate TrainingBatch BatchSource(long first, int count);
