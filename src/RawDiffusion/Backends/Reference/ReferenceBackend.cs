namespace RawDiffusion.Backends.Reference;

/// <summary>
/// The definition of every operation: naive loops in float64, written to be read, one file per family. It is the oracle that
/// the other devices are compared with, so nothing here is clever and nothing is shared with them.
/// </summary>
public sealed partial class ReferenceBackend : Backend
{
    private long _allocations;

    public override string Name => "reference";

    public override DType FloatType => DType.Float64;

    public override IReadOnlyList<Precision> Precisions { get; } = [Precision.Float32];

    /// <summary>Every storage is a new array of zeros; the garbage collector is the pool.</summary>
    public override Storage Allocate(DType dtype, int length)
    {
        if (dtype == DType.BFloat16)
            throw new NotSupportedException("The reference device computes in float64; bfloat16 needs a cuda or emulated device.");
        Interlocked.Increment(ref _allocations);
        return new ReferenceStorage(this, dtype, length);
    }

    public override void Release(Storage storage) => storage.Generation++;

    public override MemoryStatistics Statistics => new(0, 0, Interlocked.Read(ref _allocations));

    public override void Upload(ReadOnlySpan<float> source, Storage destination)
    {
        var to = D(destination);
        for (int i = 0; i < source.Length; i++)
            to[i] = source[i];
    }

    public override void Upload(ReadOnlySpan<double> source, Storage destination) => source.CopyTo(D(destination));

    public override void Upload(ReadOnlySpan<int> source, Storage destination) => source.CopyTo(I(destination));

    public override void Download(Storage source, Span<float> destination)
    {
        var from = D(source);
        for (int i = 0; i < from.Length; i++)
            destination[i] = (float)from[i];
    }

    public override void Download(Storage source, Span<double> destination) => D(source).CopyTo(destination);

    public override void Download(Storage source, Span<int> destination) => I(source).CopyTo(destination);

    public override void Copy(Storage x, Storage y)
    {
        if (x.DType == DType.Int32)
            I(x).CopyTo(I(y));
        else
            D(x).CopyTo(D(y));
    }

    public override void Cast(Storage x, Storage y)
    {
        if (x.DType == y.DType)
        {
            Copy(x, y);
            return;
        }
        for (int i = 0; i < y.Length; i++)
        {
            if (y.DType == DType.Int32)
                I(y)[i] = (int)Math.Round(D(x)[i]);
            else
                D(y)[i] = I(x)[i];
        }
    }

    public override void Fill(Storage y, double value)
    {
        if (y.DType == DType.Int32)
            I(y).Fill((int)value);
        else
            D(y).Fill(value);
    }

    public override void Synchronize()
    {
    }

    public override RecordedWork? Record(Action work) => null;

    public override bool CanRecord => false;

    public override bool IsRecording => false;

    /// <summary>The elements of a floating storage.</summary>
    private static Span<double> D(Storage storage) => ((ReferenceStorage)storage).Doubles;

    /// <summary>The elements of an Int32 storage.</summary>
    private static Span<int> I(Storage storage) => ((ReferenceStorage)storage).Ints;
}
