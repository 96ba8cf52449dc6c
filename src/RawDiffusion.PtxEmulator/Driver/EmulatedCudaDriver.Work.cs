using System.Diagnostics;
using System.Runtime.InteropServices;
using RawDiffusion.Cuda;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>Streams, events and memory.</summary>
public sealed unsafe partial class EmulatedCudaDriver
{
    // Streams and events ----------------------------------------------------------------------------------------------

    public override CuStream CreateStream() => new(Current("cuStreamCreate").Add(new EmulatedStream()));

    public override void DestroyStream(CuStream stream)
    {
        const string Call = "cuStreamDestroy";
        Current(Call).Remove<EmulatedStream>(stream.Handle, Call).Capture?.Invalidate();
    }

    public override void SynchronizeStream(CuStream stream)
    {
        const string Call = "cuStreamSynchronize";
        var context = Current(Call);
        var state = NotCapturing(context.Get<EmulatedStream>(stream.Handle, Call), Call);
        context.Queue.Wait(state.Work);
        context.Queue.Check(Call);
    }

    public override bool QueryStream(CuStream stream)
    {
        const string Call = "cuStreamQuery";
        var context = Current(Call);
        return context.Queue.IsDone(NotCapturing(context.Get<EmulatedStream>(stream.Handle, Call), Call).Work);
    }

    public override CuEvent CreateEvent(bool timing) => new(Current("cuEventCreate").Add(new EmulatedEvent(timing)));

    public override void DestroyEvent(CuEvent value)
    {
        const string Call = "cuEventDestroy";
        Current(Call).Remove<EmulatedEvent>(value.Handle, Call);
    }

    public override void RecordEvent(CuEvent value, CuStream stream)
    {
        const string Call = "cuEventRecord";
        var context = Current(Call);
        var recorded = context.Get<EmulatedEvent>(value.Handle, Call);
        var on = context.Get<EmulatedStream>(stream.Handle, Call);
        if (on.Capture is { } capture)
        {
            (recorded.Record, recorded.Capture, recorded.CapturedTail) = (null, capture, on.Tail);
            return;
        }
        var record = new RecordWork();
        (recorded.Record, recorded.Capture, recorded.CapturedTail) = (record, null, []);
        context.Queue.Add(record, on.Work);
    }

    public override void WaitEvent(CuStream stream, CuEvent value)
    {
        const string Call = "cuStreamWaitEvent";
        var context = Current(Call);
        var on = context.Get<EmulatedStream>(stream.Handle, Call);
        var awaited = context.Get<EmulatedEvent>(value.Handle, Call);
        if (awaited.Capture is { Ended: false } capture)
        {
            if (on.Capture is null)
                capture.Join(on);
            else if (on.Capture != capture)
                throw Invalidating(on.Capture, Call, CudaResult.StreamCaptureMerge, "the event was recorded in another capture");
            on.Tail = [.. on.Tail.Union(awaited.CapturedTail)];
        }
        else if (awaited.Capture is not null)
        {
            throw Invalidating(on.Capture, Call, CudaResult.CapturedEvent, "the event was last recorded in a capture that has ended");
        }
        else if (on.Capture is { } capturing && awaited.Record is not null)
        {
            throw Invalidating(capturing, Call, CudaResult.StreamCaptureIsolation, "the stream is captured, and the event was recorded outside of the capture");
        }
        // Otherwise there is nothing to do: all streams execute in the order in which work was given.
    }

    public override void SynchronizeEvent(CuEvent value)
    {
        const string Call = "cuEventSynchronize";
        var awaited = NotCaptured(Current(Call).Get<EmulatedEvent>(value.Handle, Call), Call);
        var context = Waiting(Call);
        if (awaited.Record is { } record)
            context.Queue.Wait(record);
        context.Queue.Check(Call);
    }

    public override bool QueryEvent(CuEvent value)
    {
        const string Call = "cuEventQuery";
        var asked = NotCaptured(Current(Call).Get<EmulatedEvent>(value.Handle, Call), Call);
        Waiting(Call);
        return asked.Record?.Done ?? true;
    }

    public override float ElapsedMilliseconds(CuEvent start, CuEvent end)
    {
        const string Call = "cuEventElapsedTime";
        var context = Current(Call);
        var (first, last) = (Timed(start), Timed(end));
        if (!first.Done || !last.Done)
            throw new CudaException(Call, CudaResult.NotReady, "the events are not done yet");
        return (float)Stopwatch.GetElapsedTime(first.Timestamp, last.Timestamp).TotalMilliseconds;

        RecordWork Timed(CuEvent value)
        {
            var timed = NotCaptured(context.Get<EmulatedEvent>(value.Handle, Call), Call);
            return timed is { Timing: true, Record: { } record } ? record
                : throw new CudaException(Call, CudaResult.InvalidHandle, timed.Timing ? "the event was not recorded" : "the event was made without timing");
        }
    }

    // Memory ----------------------------------------------------------------------------------------------------------

    public override DevicePointer Allocate(long bytes)
    {
        const string Call = "cuMemAlloc";
        var context = Waiting(Call);
        if (bytes <= 0)
            throw new CudaException(Call, CudaResult.InvalidValue, $"{bytes} bytes");
        int number = Interlocked.Increment(ref context.Allocations);
        return context.Memory.TryAllocate(bytes, $"allocation {number}") is { } allocation ? new DevicePointer(allocation.Address)
            : throw new CudaException(Call, CudaResult.OutOfMemory, $"{bytes} bytes: {context.Memory.Capacity - context.Memory.Used} of {context.Memory.Capacity} bytes of the emulated device are free");
    }

    public override void Free(DevicePointer pointer)
    {
        const string Call = "cuMemFree";
        var context = Waiting(Call);
        if (pointer.IsNull)
            return;
        context.Queue.WaitForAll();
        context.Queue.Check(Call);
        if (context.Memory.Find(pointer.Address) is { Kind: not Memory.AllocationKind.Buffer } || !context.Memory.Free(pointer.Address))
            throw new CudaException(Call, CudaResult.InvalidValue, $"{pointer} is not the start of an allocation: {context.Memory.Describe(pointer.Address)}");
    }

    public override void AnnotateMemory(DevicePointer start, long bytes, MemoryUse use, string? owner, CuStream stream)
    {
        const string Call = "AnnotateMemory";
        var context = Current(Call);
        if (bytes == 0)
            return;
        CheckRange(context, Call, start, bytes);
        if (context.Memory.Shadowed)
            Give(context, new AnnotateWork(context.Memory, start.Address, bytes, use, owner), stream, Call);
    }

    public override (long Free, long Total) GetMemoryInfo()
    {
        var memory = Current("cuMemGetInfo").Memory;
        return (memory.Capacity - memory.Used, memory.Capacity);
    }

    public override nint AllocateHost(long bytes)
    {
        const string Call = "cuMemHostAlloc";
        var context = Waiting(Call);
        if (bytes <= 0)
            throw new CudaException(Call, CudaResult.InvalidValue, $"{bytes} bytes");
        void* pointer;
        try
        {
            pointer = NativeMemory.AlignedAlloc((nuint)bytes, 256);
        }
        catch (OutOfMemoryException)
        {
            throw new CudaException(Call, CudaResult.OutOfMemory, $"{bytes} bytes of pinned memory");
        }
        NativeMemory.Clear(pointer, (nuint)bytes);
        lock (context.HostMemory)
            context.HostMemory[(nint)pointer] = bytes;
        return (nint)pointer;
    }

    public override void FreeHost(nint pointer)
    {
        const string Call = "cuMemFreeHost";
        var context = Waiting(Call);
        // The caller says that no copy uses it; work queued behind a fault never does.
        context.Queue.WaitForAll();
        lock (context.HostMemory)
        {
            if (!context.HostMemory.Remove(pointer))
                throw new CudaException(Call, CudaResult.InvalidValue, $"0x{pointer:x} is not the start of pinned memory");
        }
        NativeMemory.AlignedFree((void*)pointer);
    }

    public override void CopyToDevice(DevicePointer destination, ReadOnlySpan<byte> source, CuStream stream)
    {
        const string Call = "cuMemcpyHtoD";
        var context = Waiting(Call);
        if (source.IsEmpty)
            return;
        CheckRange(context, Call, destination, source.Length);
        fixed (byte* start = source)
            GiveAndWait(context, new UploadWork(context.Memory, destination.Address, (nint)start, source.Length), stream, Call);
    }

    public override void CopyToHost(Span<byte> destination, DevicePointer source, CuStream stream)
    {
        const string Call = "cuMemcpyDtoH";
        var context = Waiting(Call);
        if (destination.IsEmpty)
            return;
        CheckRange(context, Call, source, destination.Length);
        fixed (byte* start = destination)
            GiveAndWait(context, new DownloadWork(context.Memory, (nint)start, source.Address, destination.Length), stream, Call);
    }

    public override void CopyToDeviceAsync(DevicePointer destination, nint source, long bytes, CuStream stream)
    {
        const string Call = "cuMemcpyHtoDAsync";
        var context = Current(Call);
        if (bytes == 0)
            return;
        CheckRange(context, Call, destination, bytes);
        CheckPinned(context, Call, source, bytes);
        Give(context, new UploadWork(context.Memory, destination.Address, source, bytes), stream, Call);
    }

    public override void CopyToHostAsync(nint destination, DevicePointer source, long bytes, CuStream stream)
    {
        const string Call = "cuMemcpyDtoHAsync";
        var context = Current(Call);
        if (bytes == 0)
            return;
        CheckRange(context, Call, source, bytes);
        CheckPinned(context, Call, destination, bytes);
        Give(context, new DownloadWork(context.Memory, destination, source.Address, bytes), stream, Call);
    }

    public override void CopyDeviceAsync(DevicePointer destination, DevicePointer source, long bytes, CuStream stream)
    {
        const string Call = "cuMemcpyDtoDAsync";
        var context = Current(Call);
        if (bytes == 0)
            return;
        CheckRange(context, Call, destination, bytes);
        CheckRange(context, Call, source, bytes);
        if (destination.Address < source.Address + (ulong)bytes && source.Address < destination.Address + (ulong)bytes)
            throw new CudaException(Call, CudaResult.InvalidValue, $"source {source} and destination {destination} overlap in {bytes} bytes");
        Give(context, new CopyWork(context.Memory, destination.Address, source.Address, bytes), stream, Call);
    }

    public override void Fill8Async(DevicePointer destination, byte value, long count, CuStream stream)
    {
        const string Call = "cuMemsetD8Async";
        var context = Current(Call);
        if (count == 0)
            return;
        CheckRange(context, Call, destination, count);
        Give(context, new Fill8Work(context.Memory, destination.Address, value, count), stream, Call);
    }

    public override void Fill16Async(DevicePointer destination, ushort value, long count, CuStream stream)
    {
        const string Call = "cuMemsetD16Async";
        var context = Current(Call);
        if (destination.Address % 2 != 0)
            throw new CudaException(Call, CudaResult.InvalidValue, $"{destination} is not a multiple of 2");
        if (count == 0)
            return;
        CheckRange(context, Call, destination, 2 * count);
        Give(context, new Fill16Work(context.Memory, destination.Address, value, count), stream, Call);
    }

    public override void Fill32Async(DevicePointer destination, uint value, long count, CuStream stream)
    {
        const string Call = "cuMemsetD32Async";
        var context = Current(Call);
        if (destination.Address % 4 != 0)
            throw new CudaException(Call, CudaResult.InvalidValue, $"{destination} is not a multiple of 4");
        if (count == 0)
            return;
        CheckRange(context, Call, destination, 4 * count);
        Give(context, new Fill32Work(context.Memory, destination.Address, value, count), stream, Call);
    }

    private static void Give(EmulatedContext context, Work work, CuStream stream, string call)
    {
        var on = context.Get<EmulatedStream>(stream.Handle, call);
        if (on.Capture is { } capture)
            capture.Add(work, on);
        else
            context.Queue.Add(work, on.Work);
    }

    private static void GiveAndWait(EmulatedContext context, Work work, CuStream stream, string call)
    {
        var on = NotCapturing(context.Get<EmulatedStream>(stream.Handle, call), call);
        context.Queue.Add(work, on.Work);
        context.Queue.Wait(on.Work);
        context.Queue.Check(call);
    }

    /// <summary>What lies in no allocation is refused at once, as libcuda does; blocks of a pool are looked at when it is done.</summary>
    private static void CheckRange(EmulatedContext context, string call, DevicePointer start, long bytes)
    {
        if (bytes < 0 || context.Memory.Find(start.Address) is not { } allocation || (ulong)bytes > allocation.End - start.Address)
            throw new CudaException(call, CudaResult.InvalidValue, $"the {bytes} bytes at {start} are not in one allocation: it is {context.Memory.Describe(start.Address)}");
    }

    private static void CheckPinned(EmulatedContext context, string call, nint start, long bytes)
    {
        lock (context.HostMemory)
        {
            foreach (var (pointer, size) in context.HostMemory)
            {
                if (start >= pointer && start - pointer <= size - bytes)
                    return;
            }
        }
        throw new CudaException(call, CudaResult.InvalidValue, $"the {bytes} bytes at 0x{start:x} of the host are not in pinned memory");
    }
}
