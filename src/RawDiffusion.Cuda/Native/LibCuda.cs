using System.Runtime.InteropServices;

namespace RawDiffusion.Cuda;

/// <summary>
/// The functions of libcuda that are used. Source: NVIDIA, CUDA Driver API (the chapters on initialization, devices, primary contexts,
/// modules, memory, streams, events, execution, graphs, occupancy). The entry points are those that CUDA 11.8 to 13 all export; where
/// the header of a release renames a function to a later version (<c>cuMemAlloc</c> to <c>cuMemAlloc_v2</c>) the version is written out.
/// <c>cuGraphExecUpdate</c> and <c>cuEventElapsedTime</c> are the first versions, which stay exported beside their successors.
/// </summary>
/// <remarks>CUdevice is an int, CUdeviceptr 8 bytes, size_t <c>nuint</c>, every other handle a pointer.</remarks>
internal static unsafe partial class LibCuda
{
    static LibCuda() => CudaLibraries.UseResolver();

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuInit(uint flags);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuDriverGetVersion(int* version);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuGetErrorString(CudaResult error, byte** text);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuDeviceGetCount(int* count);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuDeviceGet(int* device, int ordinal);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuDeviceGetName(byte* name, int length, int device);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuDeviceTotalMem_v2(nuint* bytes, int device);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuDeviceGetAttribute(int* value, DeviceAttribute attribute, int device);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuDevicePrimaryCtxRetain(nint* context, int device);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuDevicePrimaryCtxRelease_v2(int device);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuCtxSetCurrent(nint context);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuCtxSynchronize();

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuModuleLoadDataEx(nint* module, void* image, uint optionCount, int* options, void** values);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuModuleUnload(nint module);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuModuleGetFunction(nint* function, nint module, byte* name);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuModuleGetGlobal_v2(ulong* pointer, nuint* bytes, nint module, byte* name);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuFuncGetAttribute(int* value, FunctionAttribute attribute, nint function);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuFuncSetAttribute(nint function, FunctionAttribute attribute, int value);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, nint function, int blockSize, nuint sharedBytes);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuLaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedBytes, nint stream,
        void** parameters, void** extra);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuStreamCreate(nint* stream, uint flags);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuStreamDestroy_v2(nint stream);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuStreamSynchronize(nint stream);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuStreamQuery(nint stream);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuStreamWaitEvent(nint stream, nint value, uint flags);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuStreamBeginCapture_v2(nint stream, int mode);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuStreamEndCapture(nint stream, nint* graph);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuStreamIsCapturing(nint stream, int* status);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuThreadExchangeStreamCaptureMode(int* mode);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuEventCreate(nint* value, uint flags);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuEventDestroy_v2(nint value);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuEventRecord(nint value, nint stream);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuEventSynchronize(nint value);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuEventQuery(nint value);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuEventElapsedTime(float* milliseconds, nint start, nint end);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuMemAlloc_v2(ulong* pointer, nuint bytes);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuMemFree_v2(ulong pointer);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuMemGetInfo_v2(nuint* free, nuint* total);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuMemHostAlloc(void** pointer, nuint bytes, uint flags);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuMemFreeHost(void* pointer);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuMemcpyHtoDAsync_v2(ulong destination, void* source, nuint bytes, nint stream);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuMemcpyDtoHAsync_v2(void* destination, ulong source, nuint bytes, nint stream);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuMemcpyDtoDAsync_v2(ulong destination, ulong source, nuint bytes, nint stream);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuMemsetD8Async(ulong destination, byte value, nuint count, nint stream);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuMemsetD16Async(ulong destination, ushort value, nuint count, nint stream);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuMemsetD32Async(ulong destination, uint value, nuint count, nint stream);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuGraphGetNodes(nint graph, nint* nodes, nuint* count);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuGraphInstantiateWithFlags(nint* exec, nint graph, ulong flags);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuGraphLaunch(nint exec, nint stream);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuGraphExecUpdate(nint exec, nint graph, nint* errorNode, int* updateResult);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuGraphDestroy(nint graph);

    [LibraryImport(CudaLibraries.DriverImport)]
    internal static partial CudaResult cuGraphExecDestroy(nint exec);
}
