using System.Runtime.InteropServices;

namespace RawDiffusion.Cuda;

/// <summary>
/// The functions of NVRTC that are used, the same from version 11.1 to 13. Source: NVIDIA, NVRTC user guide, chapter 3. A result of
/// 0 is success; text is Latin letters with a zero at the end; sizes include that zero.
/// </summary>
internal static unsafe partial class LibNvrtc
{
    static LibNvrtc() => CudaLibraries.UseResolver();

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial int nvrtcVersion(int* major, int* minor);

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial int nvrtcGetNumSupportedArchs(int* count);

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial int nvrtcGetSupportedArchs(int* architectures);

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial int nvrtcCreateProgram(nint* program, byte* source, byte* name, int headerCount, byte** headers, byte** includeNames);

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial int nvrtcDestroyProgram(nint* program);

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial int nvrtcCompileProgram(nint program, int optionCount, byte** options);

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial int nvrtcGetPTXSize(nint program, nuint* size);

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial int nvrtcGetPTX(nint program, byte* ptx);

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial int nvrtcGetCUBINSize(nint program, nuint* size);

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial int nvrtcGetCUBIN(nint program, byte* cubin);

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial int nvrtcGetProgramLogSize(nint program, nuint* size);

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial int nvrtcGetProgramLog(nint program, byte* log);

    [LibraryImport(CudaLibraries.NvrtcImport)]
    internal static partial byte* nvrtcGetErrorString(int result);
}
