namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// The samples of one step with everything random about them drawn. Its parts can go through the network one after the other: their
/// losses are those that they have in the whole.
/// </summary>
public abstract class TrainingBatch
{
    /// <summary>The mean loss of the <paramref name="count"/> samples from <paramref name="start"/> on, a scalar.</summary>
    public abstract Tensor Loss(int start, int count);
}

/// <summary>Draws the batch of <paramref name="count"/> samples that begins at sample number <paramref name="first"/>.</summary>
public delegate TrainingBatch BatchSource(long first, int count);
