namespace RawDiffusion.Backends.Reference;

/// <summary>Memory of the Reference device: a plain array of float64 or int32.</summary>
internal sealed class ReferenceStorage : Storage
{
    private readonly double[]? _doubles;
    private readonly int[]? _ints;
    private readonly int _offset;

    public ReferenceStorage(Backend backend, DType dtype, int length)
        : base(backend)
    {
        DType = dtype;
        Length = length;
        if (dtype == DType.Int32)
            _ints = new int[length];
        else
            _doubles = new double[length];
    }

    private ReferenceStorage(ReferenceStorage whole, int offset, int length)
        : base(whole.Backend)
    {
        DType = whole.DType;
        Length = length;
        _doubles = whole._doubles;
        _ints = whole._ints;
        _offset = whole._offset + offset;
    }

    public Span<double> Doubles => _doubles.AsSpan(_offset, Length);

    public Span<int> Ints => _ints.AsSpan(_offset, Length);

    public override Storage Slice(int offset, int length) => new ReferenceStorage(this, offset, length);
}
