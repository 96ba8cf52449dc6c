using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Data;

/// <summary>A distribution over the plane as a data set: fresh points without end, sample n from block n of the seed's random numbers.</summary>
public sealed class PointData : ITrainingData
{
    private const ulong TrainingStream = 0x504F494E5453, HeldOutStream = 0x4A55444745;

    private readonly ulong _stream;

    public PointData(string name, IPointDistribution distribution)
        : this(name, distribution, TrainingStream) =>
        HeldOut = new PointData(name, distribution, HeldOutStream);

    private PointData(string name, IPointDistribution distribution, ulong stream)
    {
        Name = name;
        Distribution = distribution;
        _stream = stream;
        HeldOut = this;
    }

    /// <inheritdoc/>
    public string Name { get; }

    public IPointDistribution Distribution { get; }

    /// <inheritdoc/>
    public Shape SampleShape => [2];

    /// <inheritdoc/>
    public IReadOnlyList<LabelKind> LabelKinds => [];

    /// <inheritdoc/>
    public int? Count => null;

    /// <inheritdoc/>
    public ITrainingData HeldOut { get; }

    /// <inheritdoc/>
    public void Fill(Batch batch, long first, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        Distribution.Fill(batch.X, new PhiloxState(seed, _stream, (ulong)first));
    }

    /// <summary>The random numbers of the samples from <paramref name="first"/> on: a block each.</summary>
    internal Generator Stream(long first, ulong seed) => new(seed, _stream, (ulong)first);
}
