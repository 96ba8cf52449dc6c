using static RawDiffusion.Cuda.LibCuda;

namespace RawDiffusion.Cuda;

/// <summary>Streams, events, memory and graphs of a real GPU.</summary>
public sealed unsafe partial class NativeCudaDriver
{
    private const int ThreadLocal = 1; // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL

    // Streams and events ----------------------------------------------------------------------------------------------

    public override CuStream CreateStream()
    {
        nint stream;
        Check(cuStreamCreate(&stream, NonBlocking), nameof(cuStreamCreate));
        return new CuStream(stream);
    }

    public override void DestroyStream(CuStream stream) => Check(cuStreamDestroy_v2(Given(stream)), nameof(cuStreamDestroy_v2));

    public override void SynchronizeStream(CuStream stream) => Check(cuStreamSynchronize(Given(stream)), nameof(cuStreamSynchronize));

    public override bool QueryStream(CuStream stream) => Done(cuStreamQuery(Given(stream)), nameof(cuStreamQuery));

    public override CuEvent CreateEvent(bool timing)
    {
        nint value;
        Check(cuEventCreate(&value, timing ? 0 : WithoutTiming), nameof(cuEventCreate));
        return new CuEvent(value);
    }

    public override void DestroyEvent(CuEvent value) => Check(cuEventDestroy_v2(value.Handle), nameof(cuEventDestroy_v2));

    public override void RecordEvent(CuEvent value, CuStream stream) => Check(cuEventRecord(value.Handle, Given(stream)), nameof(cuEventRecord));

    public override void WaitEvent(CuStream stream, CuEvent value) => Check(cuStreamWaitEvent(Given(stream), value.Handle, 0), nameof(cuStreamWaitEvent));

    public override void SynchronizeEvent(CuEvent value) => Check(cuEventSynchronize(value.Handle), nameof(cuEventSynchronize));

    public override bool QueryEvent(CuEvent value) => Done(cuEventQuery(value.Handle), nameof(cuEventQuery));

    public override float ElapsedMilliseconds(CuEvent start, CuEvent end)
    {
        float milliseconds;
        Check(cuEventElapsedTime(&milliseconds, start.Handle, end.Handle), nameof(cuEventElapsedTime));
        return milliseconds;
    }

    // Memory ----------------------------------------------------------------------------------------------------------

    public override DevicePointer Allocate(long bytes)
    {
        ulong pointer;
        var result = cuMemAlloc_v2(&pointer, (nuint)bytes);
        return result == CudaResult.Success ? new DevicePointer(pointer)
            : throw new CudaException(nameof(cuMemAlloc_v2), result, $"{bytes} bytes: {Explain(result)}");
    }

    public override void Free(DevicePointer pointer)
    {
        if (!pointer.IsNull)
            Check(cuMemFree_v2(pointer.Address), nameof(cuMemFree_v2));
    }

    /// <summary>libcuda has no use for it.</summary>
    public override void AnnotateMemory(DevicePointer start, long bytes, MemoryUse use, string? owner, CuStream stream)
    {
    }

    public override (long Free, long Total) GetMemoryInfo()
    {
        nuint free, total;
        Check(cuMemGetInfo_v2(&free, &total), nameof(cuMemGetInfo_v2));
        return ((long)free, (long)total);
    }

    public override nint AllocateHost(long bytes)
    {
        void* pointer;
        var result = cuMemHostAlloc(&pointer, (nuint)bytes, 0);
        return result == CudaResult.Success ? (nint)pointer
            : throw new CudaException(nameof(cuMemHostAlloc), result, $"{bytes} bytes of pinned memory: {Explain(result)}");
    }

    public override void FreeHost(nint pointer) => Check(cuMemFreeHost((void*)pointer), nameof(cuMemFreeHost));

    public override void CopyToDevice(DevicePointer destination, ReadOnlySpan<byte> source, CuStream stream)
    {
        if (source.IsEmpty)
            return;
        fixed (byte* start = source)
        {
            Check(cuMemcpyHtoDAsync_v2(destination.Address, start, (nuint)source.Length, Given(stream)), nameof(cuMemcpyHtoDAsync_v2));
            Check(cuStreamSynchronize(stream.Handle), nameof(cuStreamSynchronize));
        }
    }

    public override void CopyToHost(Span<byte> destination, DevicePointer source, CuStream stream)
    {
        if (destination.IsEmpty)
            return;
        fixed (byte* start = destination)
        {
            Check(cuMemcpyDtoHAsync_v2(start, source.Address, (nuint)destination.Length, Given(stream)), nameof(cuMemcpyDtoHAsync_v2));
            Check(cuStreamSynchronize(stream.Handle), nameof(cuStreamSynchronize));
        }
    }

    public override void CopyToDeviceAsync(DevicePointer destination, nint source, long bytes, CuStream stream)
    {
        if (bytes != 0)
            Check(cuMemcpyHtoDAsync_v2(destination.Address, (void*)source, (nuint)bytes, Given(stream)), nameof(cuMemcpyHtoDAsync_v2));
    }

    public override void CopyToHostAsync(nint destination, DevicePointer source, long bytes, CuStream stream)
    {
        if (bytes != 0)
            Check(cuMemcpyDtoHAsync_v2((void*)destination, source.Address, (nuint)bytes, Given(stream)), nameof(cuMemcpyDtoHAsync_v2));
    }

    public override void CopyDeviceAsync(DevicePointer destination, DevicePointer source, long bytes, CuStream stream)
    {
        if (bytes != 0)
            Check(cuMemcpyDtoDAsync_v2(destination.Address, source.Address, (nuint)bytes, Given(stream)), nameof(cuMemcpyDtoDAsync_v2));
    }

    public override void Fill8Async(DevicePointer destination, byte value, long count, CuStream stream)
    {
        if (count != 0)
            Check(cuMemsetD8Async(destination.Address, value, (nuint)count, Given(stream)), nameof(cuMemsetD8Async));
    }

    public override void Fill16Async(DevicePointer destination, ushort value, long count, CuStream stream)
    {
        if (count != 0)
            Check(cuMemsetD16Async(destination.Address, value, (nuint)count, Given(stream)), nameof(cuMemsetD16Async));
    }

    public override void Fill32Async(DevicePointer destination, uint value, long count, CuStream stream)
    {
        if (count != 0)
            Check(cuMemsetD32Async(destination.Address, value, (nuint)count, Given(stream)), nameof(cuMemsetD32Async));
    }

    // Graphs ----------------------------------------------------------------------------------------------------------

    public override void BeginCapture(CuStream stream) => Check(cuStreamBeginCapture_v2(Given(stream), ThreadLocal), nameof(cuStreamBeginCapture_v2));

    public override CuGraph EndCapture(CuStream stream)
    {
        nint graph;
        Check(cuStreamEndCapture(Given(stream), &graph), nameof(cuStreamEndCapture));
        return new CuGraph(graph);
    }

    public override bool IsCapturing(CuStream stream)
    {
        int status;
        Check(cuStreamIsCapturing(Given(stream), &status), nameof(cuStreamIsCapturing));
        return status != 0;
    }

    public override int GetNodeCount(CuGraph graph)
    {
        nuint count = 0;
        Check(cuGraphGetNodes(graph.Handle, null, &count), nameof(cuGraphGetNodes));
        return (int)count;
    }

    public override CuGraphExec Instantiate(CuGraph graph)
    {
        nint exec;
        Check(cuGraphInstantiateWithFlags(&exec, graph.Handle, 0), nameof(cuGraphInstantiateWithFlags));
        return new CuGraphExec(exec);
    }

    public override void LaunchGraph(CuGraphExec exec, CuStream stream) => Check(cuGraphLaunch(exec.Handle, Given(stream)), nameof(cuGraphLaunch));

    public override bool Update(CuGraphExec exec, CuGraph graph)
    {
        nint errorNode;
        int reason;
        var result = cuGraphExecUpdate(exec.Handle, graph.Handle, &errorNode, &reason);
        if (result == CudaResult.GraphExecUpdateFailure)
            return false;
        Check(result, nameof(cuGraphExecUpdate));
        return true;
    }

    public override void DestroyGraph(CuGraph graph) => Check(cuGraphDestroy(graph.Handle), nameof(cuGraphDestroy));

    public override void DestroyGraphExec(CuGraphExec exec) => Check(cuGraphExecDestroy(exec.Handle), nameof(cuGraphExecDestroy));

    private static bool Done(CudaResult result, string call)
    {
        if (result == CudaResult.NotReady)
            return false;
        Check(result, call);
        return true;
    }
}
