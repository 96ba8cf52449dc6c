using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Memory of the Cpu device: 64-byte aligned elements inside a pinned managed array, so that kernels use pointers, nothing has
/// to be disposed and a storage that is forgotten is simply collected.
/// </summary>
internal sealed unsafe class CpuStorage : Storage
{
    private const int Alignment = 64;

    /// <summary>Elements of the largest block: what an array of bytes has room for.</summary>
    public static int MaxLength { get; } = (Array.MaxLength - Alignment) / sizeof(float);

    private readonly byte[] _memory;
    private readonly byte* _data;

    public CpuStorage(Backend backend, int capacity)
        : base(backend)
    {
        Capacity = capacity;
        _memory = GC.AllocateUninitializedArray<byte>(checked(capacity * sizeof(float) + Alignment), pinned: true);
        var start = (nuint)Unsafe.AsPointer(ref _memory[0]);
        _data = (byte*)((start + Alignment - 1) & ~(nuint)(Alignment - 1));
    }

    private CpuStorage(CpuStorage whole, int offset, int length)
        : base(whole.Backend)
    {
        _memory = whole._memory;
        _data = whole._data + (long)offset * sizeof(float);
        DType = whole.DType;
        Length = length;
    }

    /// <summary>Number of 4-byte elements the block can hold; 0 for a window on another storage, which is never pooled.</summary>
    public int Capacity { get; }

    public float* Floats => (float*)_data;

    public int* Ints => (int*)_data;

    public Span<float> FloatSpan => new(_data, Length);

    public Span<int> IntSpan => new(_data, Length);

    internal void Use(DType dtype, int length)
    {
        DType = dtype;
        Length = length;
    }

    public override Storage Slice(int offset, int length)
    {
        if (offset < 0 || length < 0 || (long)offset + length > Length)
            throw new ArgumentOutOfRangeException(nameof(offset), $"[{offset}, {offset + length}) is outside a storage of {Length} elements.");
        return new CpuStorage(this, offset, length);
    }
}
