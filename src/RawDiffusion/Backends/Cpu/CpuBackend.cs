using System.Runtime.Intrinsics;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// SIMD on all cores in float32, with no native dependency. One file per family of operations. Work is cut into pieces whose
/// size does not depend on the number of threads, so neither do the results.
/// </summary>
public sealed unsafe partial class CpuBackend : Backend
{
    private readonly CpuPool _pool;

    public CpuBackend() => _pool = new CpuPool(this);

    public override string Name => "cpu";

    public override DType FloatType => DType.Float32;

    public override IReadOnlyList<Precision> Precisions { get; } = [Precision.Float32];

    /// <summary>
    /// Bits of the vectors in use: the widest that is hardware, or what the environment variable RAWDIFFUSION_SIMD says
    /// (512, 256 or 128; wider than the hardware works and is slow).
    /// </summary>
    public static int VectorBits { get; } = ChooseVectorBits();

    public override Storage Allocate(DType dtype, int length)
    {
        if (dtype is DType.Float64 or DType.BFloat16)
            throw new NotSupportedException($"The cpu device computes in float32; {(dtype == DType.Float64 ? "use the reference device for float64" : "bfloat16 needs a cuda or emulated device")}.");
        var storage = _pool.Take(length);
        storage.Use(dtype, length);
        return storage;
    }

    public override void Release(Storage storage)
    {
        storage.Generation++;
        _pool.Return((CpuStorage)storage);
    }

    public override MemoryStatistics Statistics => _pool.Statistics;

    public override void Upload(ReadOnlySpan<float> source, Storage destination) => source.CopyTo(Cpu(destination).FloatSpan);

    public override void Upload(ReadOnlySpan<double> source, Storage destination)
    {
        var to = Cpu(destination).FloatSpan;
        for (int i = 0; i < source.Length; i++)
            to[i] = (float)source[i];
    }

    public override void Upload(ReadOnlySpan<int> source, Storage destination) => source.CopyTo(Cpu(destination).IntSpan);

    public override void Download(Storage source, Span<float> destination) => Cpu(source).FloatSpan.CopyTo(destination);

    public override void Download(Storage source, Span<double> destination)
    {
        var from = Cpu(source).FloatSpan;
        for (int i = 0; i < from.Length; i++)
            destination[i] = from[i];
    }

    public override void Download(Storage source, Span<int> destination) => Cpu(source).IntSpan.CopyTo(destination);

    public override void Copy(Storage x, Storage y)
    {
        Shape whole = [x.Length];
        CopyKernels.Region(whole, [0], I(x), whole, [0], I(y), whole);
    }

    public override void Cast(Storage x, Storage y)
    {
        if (x.DType == y.DType)
        {
            Copy(x, y);
            return;
        }
        CpuStorage from = Cpu(x), to = Cpu(y);
        for (int i = 0; i < to.Length; i++)
        {
            if (to.DType == DType.Int32)
                to.Ints[i] = (int)MathF.Round(from.Floats[i]);
            else
                to.Floats[i] = from.Ints[i];
        }
    }

    public override void Fill(Storage y, double value)
    {
        if (y.DType == DType.Int32)
            Cpu(y).IntSpan.Fill((int)value);
        else
            Cpu(y).FloatSpan.Fill((float)value);
    }

    public override void Synchronize()
    {
    }

    public override RecordedWork? Record(Action work) => null;

    public override bool CanRecord => false;

    public override bool IsRecording => false;

    private static CpuStorage Cpu(Storage storage) => (CpuStorage)storage;

    /// <summary>The elements of a floating storage.</summary>
    private static float* F(Storage storage) => ((CpuStorage)storage).Floats;

    /// <summary>The elements of an Int32 storage.</summary>
    private static int* I(Storage storage) => ((CpuStorage)storage).Ints;

    private static int ChooseVectorBits()
    {
        string? asked = Environment.GetEnvironmentVariable("RAWDIFFUSION_SIMD");
        if (!string.IsNullOrEmpty(asked))
        {
            return asked is "512" or "256" or "128"
                ? int.Parse(asked)
                : throw new ArgumentException($"RAWDIFFUSION_SIMD is '{asked}'; it can be 512, 256 or 128.");
        }
        return Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;
    }
}
