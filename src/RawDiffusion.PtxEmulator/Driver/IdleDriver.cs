using System.Runtime.InteropServices;
using RawDiffusion.Cuda;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>
/// A driver whose device does nothing: launches, copies and graphs are taken and forgotten, device memory is only numbers, downloads give
/// zeros. What a call through the backend costs on it is the cost of our own code, in time and in managed memory.
/// </summary>
public sealed unsafe class IdleDriver : CudaDriver
{
    private const long Memory = 1L << 40;

    private ulong _nextAddress = 1 << 20;
    private nint _nextHandle = 1;
    private bool _capturing;

    /// <summary>Kernels that were launched, recorded ones included.</summary>
    public long Launches { get; private set; }

    /// <summary>Graphs that were launched.</summary>
    public long GraphLaunches { get; private set; }

    /// <summary>How often the host would have waited for the device.</summary>
    public long Waits { get; private set; }

    public override string Name => "idle";

    public override int Version => 12040;

    public override int DeviceCount => 1;

    public override string GetDeviceName(int device) => "a device that does nothing";

    public override long GetTotalMemory(int device) => Memory;

    public override int GetAttribute(DeviceAttribute attribute, int device) => attribute switch
    {
        DeviceAttribute.ComputeCapabilityMajor => 8,
        DeviceAttribute.MultiprocessorCount => 108,
        DeviceAttribute.MaxSharedMemoryPerBlockOptin => 163 * 1024,
        _ => 0,
    };

    public override KernelTarget GetTarget(int device) => new("sm_80");

    public override CuContext RetainPrimaryContext(int device) => new(Handle());

    public override void ReleasePrimaryContext(int device)
    {
    }

    public override void SetCurrent(CuContext context)
    {
    }

    public override void SynchronizeContext() => Waits++;

    public override CuModule LoadModule(ReadOnlySpan<byte> image, string name) => new(Handle());

    public override void UnloadModule(CuModule module)
    {
    }

    public override CuFunction GetFunction(CuModule module, string name) => new(Handle());

    public override (DevicePointer Address, long Bytes) GetGlobal(CuModule module, string name) => (Allocate(4), 4);

    public override int GetFunctionAttribute(CuFunction function, FunctionAttribute attribute) =>
        attribute == FunctionAttribute.MaxThreadsPerBlock ? 1024 : 0;

    public override void SetFunctionAttribute(CuFunction function, FunctionAttribute attribute, int value)
    {
    }

    public override int GetMaxActiveBlocks(CuFunction function, int threadsPerBlock, int sharedBytes) => 2;

    public override void Launch(CuFunction function, Dim3 grid, Dim3 block, int sharedBytes, CuStream stream, params ReadOnlySpan<KernelArg> args) =>
        Launches++;

    public override CuStream CreateStream() => new(Handle());

    public override void DestroyStream(CuStream stream)
    {
    }

    public override void SynchronizeStream(CuStream stream) => Waits++;

    public override bool QueryStream(CuStream stream) => true;

    public override CuEvent CreateEvent(bool timing) => new(Handle());

    public override void DestroyEvent(CuEvent value)
    {
    }

    public override void RecordEvent(CuEvent value, CuStream stream)
    {
    }

    public override void WaitEvent(CuStream stream, CuEvent value)
    {
    }

    public override void SynchronizeEvent(CuEvent value) => Waits++;

    public override bool QueryEvent(CuEvent value) => true;

    public override float ElapsedMilliseconds(CuEvent start, CuEvent end) => 0;

    public override DevicePointer Allocate(long bytes)
    {
        var pointer = new DevicePointer(_nextAddress);
        _nextAddress += (ulong)(bytes + 0xfff) & ~0xffful;
        return pointer;
    }

    public override void Free(DevicePointer pointer)
    {
    }

    public override void AnnotateMemory(DevicePointer start, long bytes, MemoryUse use, string? owner, CuStream stream)
    {
    }

    public override (long Free, long Total) GetMemoryInfo() => (Memory, Memory);

    public override nint AllocateHost(long bytes) => (nint)NativeMemory.AllocZeroed((nuint)bytes);

    public override void FreeHost(nint pointer) => NativeMemory.Free((void*)pointer);

    public override void CopyToDevice(DevicePointer destination, ReadOnlySpan<byte> source, CuStream stream) => Waits++;

    public override void CopyToHost(Span<byte> destination, DevicePointer source, CuStream stream)
    {
        Waits++;
        destination.Clear();
    }

    public override void CopyToDeviceAsync(DevicePointer destination, nint source, long bytes, CuStream stream)
    {
    }

    public override void CopyToHostAsync(nint destination, DevicePointer source, long bytes, CuStream stream)
    {
    }

    public override void CopyDeviceAsync(DevicePointer destination, DevicePointer source, long bytes, CuStream stream)
    {
    }

    public override void Fill8Async(DevicePointer destination, byte value, long count, CuStream stream)
    {
    }

    public override void Fill16Async(DevicePointer destination, ushort value, long count, CuStream stream)
    {
    }

    public override void Fill32Async(DevicePointer destination, uint value, long count, CuStream stream)
    {
    }

    public override void BeginCapture(CuStream stream) => _capturing = true;

    public override CuGraph EndCapture(CuStream stream)
    {
        _capturing = false;
        return new CuGraph(Handle());
    }

    public override bool IsCapturing(CuStream stream) => _capturing;

    public override int GetNodeCount(CuGraph graph) => 0;

    public override CuGraphExec Instantiate(CuGraph graph) => new(Handle());

    public override void LaunchGraph(CuGraphExec exec, CuStream stream) => GraphLaunches++;

    public override bool Update(CuGraphExec exec, CuGraph graph) => true;

    public override void DestroyGraph(CuGraph graph)
    {
    }

    public override void DestroyGraphExec(CuGraphExec exec)
    {
    }

    private nint Handle() => _nextHandle++;
}
