using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda.Measuring;

/// <summary>NVIDIA's matrix product on the storages of a backend: what benchmarks put beside our own. Nothing else here uses it.</summary>
public sealed class CublasProduct : IDisposable
{
    private readonly Cublas _library;

    private CublasProduct(Cublas library) => _library = library;

    /// <summary>10000 * major + 100 * minor + patch.</summary>
    public int Version => _library.Version;

    /// <summary>Loads cuBLAS.</summary>
    /// <param name="problem">Why it cannot be used, where the result is null.</param>
    public static CublasProduct? TryCreate(CudaBackend backend, out string? problem)
    {
        try
        {
            problem = null;
            return new CublasProduct(new Cublas(backend.Context));
        }
        catch (Exception e) when (e is CudaLibraryNotFoundException or NotSupportedException or CublasException)
        {
            problem = e.Message;
            return null;
        }
    }

    /// <summary>Queues c = op(a) op(b); bfloat16 factors and results where the storages are, sums in float32 always.</summary>
    /// <exception cref="ArgumentException">More than one matrix, or types that do not agree.</exception>
    public void MatMul(in MatMulGeometry g, Storage a, Storage b, Storage c, Precision precision)
    {
        if (g.Batch != 1 || a.DType != b.DType)
            throw new ArgumentException($"cuBLAS is asked for one product of factors of one type, not {g.Batch} of {a.DType.Name()} and {b.DType.Name()}.");
        _library.Math = precision == Precision.Tf32 ? CublasMath.Tf32 : CublasMath.Default;
        _library.GemmEx(g.TransposeA, g.TransposeB, g.M, g.N, g.K, 1, Pointer(a), Pointer(b), TypeOf(a), 0, Pointer(c), TypeOf(c));
    }

    public void Dispose() => _library.Dispose();

    private static DevicePointer Pointer(Storage storage) => ((CudaStorage)storage).Pointer;

    private static CublasType TypeOf(Storage storage) => storage.DType == DType.BFloat16 ? CublasType.BFloat16 : CublasType.Float32;
}
