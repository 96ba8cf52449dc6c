using System.Runtime.InteropServices;

namespace RawDiffusion.Cuda;

/// <summary>
/// The functions of cuBLAS that are used, the same in versions 12 and 13. Source: NVIDIA, cuBLAS library, chapters 2.4 and 2.7 (the
/// <c>_v2</c> entry points that the header renames to). A status of 0 is success. Matrices are column-major.
/// </summary>
internal static unsafe partial class LibCublas
{
    static LibCublas() => CudaLibraries.UseResolver();

    [LibraryImport(CudaLibraries.CublasImport)]
    internal static partial int cublasCreate_v2(nint* handle);

    [LibraryImport(CudaLibraries.CublasImport)]
    internal static partial int cublasDestroy_v2(nint handle);

    [LibraryImport(CudaLibraries.CublasImport)]
    internal static partial int cublasGetVersion_v2(nint handle, int* version);

    [LibraryImport(CudaLibraries.CublasImport)]
    internal static partial int cublasGetProperty(int type, int* value);

    [LibraryImport(CudaLibraries.CublasImport)]
    internal static partial int cublasSetStream_v2(nint handle, nint stream);

    [LibraryImport(CudaLibraries.CublasImport)]
    internal static partial int cublasSetMathMode(nint handle, CublasMath mode);

    [LibraryImport(CudaLibraries.CublasImport)]
    internal static partial int cublasSgemm_v2(
        nint handle, int transposeA, int transposeB, int m, int n, int k, float* alpha, ulong a, int lda, ulong b, int ldb, float* beta, ulong c, int ldc);

    [LibraryImport(CudaLibraries.CublasImport)]
    internal static partial int cublasGemmEx(
        nint handle, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, CublasType aType, int lda,
        ulong b, CublasType bType, int ldb, void* beta, ulong c, CublasType cType, int ldc, int computeType, int algorithm);

    [LibraryImport(CudaLibraries.CublasImport)]
    internal static partial byte* cublasGetStatusString(int status);
}
