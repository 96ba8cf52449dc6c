namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// The samples of one step. What comes from outside is in <see cref="Inputs"/>; from there on only tensors that are handed in are read,
/// so that a step can be recorded once (<see cref="Optim.StepGraph"/>) and repeated with the inputs of other batches. The next step may use
/// the same batch: its samples are replaced in place (<see cref="Tensor.CopyFrom(Tensor)"/>), and <see cref="Redraw"/> does the rest.
/// </summary>
public abstract class TrainingBatch
{
    /// <summary>The samples and whatever the host has decided about them, each [n, ...].</summary>
    public abstract IReadOnlyList<Tensor> Inputs { get; }

    /// <summary>Has the host decide anew what it decides about the samples, such as their times; the constructor does so for the first step.</summary>
    public virtual void Redraw()
    {
    }

    /// <summary>Takes the inputs out of whatever scope they are in: for a batch that is used in more than one step.</summary>
    /// <returns>This batch.</returns>
    public TrainingBatch KeepForever()
    {
        foreach (var input in Inputs)
            MemoryScope.KeepForever(input);
        return this;
    }

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
