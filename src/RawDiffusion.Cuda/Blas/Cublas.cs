using System.Runtime.InteropServices;
using static RawDiffusion.Cuda.LibCublas;

namespace RawDiffusion.Cuda;

/// <summary>How float32 products are made (cublasMath_t).</summary>
public enum CublasMath
{
    /// <summary>float32, in any way that keeps its accuracy.</summary>
    Default = 0,

    /// <summary>float32 without shortcuts.</summary>
    Pedantic = 2,

    /// <summary>Tensor cores, with factors rounded to 10 bits of fraction.</summary>
    Tf32 = 3,
}

/// <summary>What the elements of a matrix are (cudaDataType).</summary>
public enum CublasType
{
    Float32 = 0,
    Float16 = 2,
    BFloat16 = 14,
}

/// <summary>A call to cuBLAS failed.</summary>
public sealed class CublasException(string call, int status, string explanation) : Exception($"{call}: {explanation} ({status}).")
{
    public int Status { get; } = status;
}

/// <summary>
/// NVIDIA's matrix products on a real GPU: what the benchmarks compare our kernels with. Matrices here are row-major and contiguous, as
/// everywhere in this project; a row-major matrix is the column-major one of its transpose, so C^T = op(B)^T op(A)^T is what is asked for.
/// </summary>
public sealed unsafe class Cublas : IDisposable
{
    private const int Compute32F = 68;  // CUBLAS_COMPUTE_32F
    private const int GemmDefault = -1; // CUBLAS_GEMM_DEFAULT

    private readonly CudaContext _context;
    private nint _handle;

    /// <summary>Loads cuBLAS and prepares it for the context's main stream.</summary>
    /// <exception cref="CudaLibraryNotFoundException">It is not installed.</exception>
    /// <exception cref="NotSupportedException">The context's device is emulated.</exception>
    public Cublas(CudaContext context)
    {
        if (context.Driver is not NativeCudaDriver)
            throw new NotSupportedException($"cuBLAS runs on a real GPU only; this device is {context.Driver.Name}.");
        CudaLibraries.Cublas.Load();
        _context = context;
        context.Bind();
        fixed (nint* handle = &_handle)
            Check(cublasCreate_v2(handle), nameof(cublasCreate_v2));
        int version;
        Check(cublasGetVersion_v2(_handle, &version), nameof(cublasGetVersion_v2));
        Version = version;
        Check(cublasSetStream_v2(_handle, context.Stream.Handle.Handle), nameof(cublasSetStream_v2));
    }

    /// <summary>The version of the library on this machine; needs no GPU.</summary>
    /// <exception cref="CudaLibraryNotFoundException">It is not installed.</exception>
    public static Version LibraryVersion
    {
        get
        {
            CudaLibraries.Cublas.Load();
            int major, minor, patch;
            Check(cublasGetProperty(0, &major), nameof(cublasGetProperty));
            Check(cublasGetProperty(1, &minor), nameof(cublasGetProperty));
            Check(cublasGetProperty(2, &patch), nameof(cublasGetProperty));
            return new Version(major, minor, patch);
        }
    }

    /// <summary>10000 * major + 100 * minor + patch: 120405.</summary>
    public int Version { get; }

    /// <summary>How float32 products are made from here on.</summary>
    public CublasMath Math
    {
        set => Check(cublasSetMathMode(_handle, value), nameof(cublasSetMathMode));
    }

    /// <summary>Queues c[m, n] = alpha op(a) op(b) + beta c in float32. a is [m, k], or [k, m] when transposed; b is [k, n], or [n, k].</summary>
    public void Sgemm(bool transposeA, bool transposeB, int m, int n, int k, float alpha, DevicePointer a, DevicePointer b, float beta, DevicePointer c)
    {
        _context.Bind();
        Check(cublasSgemm_v2(_handle, Operation(transposeB), Operation(transposeA), n, m, k,
            &alpha, b.Address, transposeB ? k : n, a.Address, transposeA ? m : k, &beta, c.Address, n), nameof(cublasSgemm_v2));
    }

    /// <summary>The same for factors of another type; sums are made in float32.</summary>
    public void GemmEx(
        bool transposeA, bool transposeB, int m, int n, int k, float alpha, DevicePointer a, DevicePointer b, CublasType factors,
        float beta, DevicePointer c, CublasType result)
    {
        _context.Bind();
        Check(cublasGemmEx(_handle, Operation(transposeB), Operation(transposeA), n, m, k, &alpha, b.Address, factors, transposeB ? k : n,
            a.Address, factors, transposeA ? m : k, &beta, c.Address, result, n, Compute32F, GemmDefault), nameof(cublasGemmEx));
    }

    public void Dispose()
    {
        if (_handle != 0 && _context.BindToRelease())
            Check(cublasDestroy_v2(_handle), nameof(cublasDestroy_v2));
        _handle = 0;
    }

    private static int Operation(bool transpose) => transpose ? 1 : 0;

    private static void Check(int status, string call)
    {
        if (status != 0)
            throw new CublasException(call, status, Marshal.PtrToStringUTF8((nint)cublasGetStatusString(status)) ?? "an unknown status");
    }
}
