using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;

namespace RawDiffusion.Diffusion.Markov;

/// <summary>Images in black and white: what is above 0 becomes 1, the rest -1. The samples and their order are those of the other data set.</summary>
public sealed class BinarisedData(ITrainingData data) : ITrainingData
{
    /// <inheritdoc/>
    public string Name => "binarised-" + data.Name;

    /// <inheritdoc/>
    public Shape SampleShape => data.SampleShape;

    /// <inheritdoc/>
    public IReadOnlyList<LabelKind> LabelKinds => data.LabelKinds;

    /// <inheritdoc/>
    public int? Count => data.Count;

    /// <inheritdoc/>
    public ITrainingData HeldOut => data.HeldOut == data ? this : new BinarisedData(data.HeldOut);

    /// <inheritdoc/>
    public void Fill(Batch batch, long first, ulong seed)
    {
        data.Fill(batch, first, seed);
        using var noGrad = new NoGrad();
        using var scope = new MemoryScope();
        batch.X.CopyFrom(batch.X.Gt(0) * 2 - 1);
    }
}
