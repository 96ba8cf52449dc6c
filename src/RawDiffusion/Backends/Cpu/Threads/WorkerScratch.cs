using System.Runtime.InteropServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// One growing block of memory per worker, kept from call to call: packing buffers and the like. Each user keeps its own
/// instance in a static field, so that two users inside one loop body cannot meet. The contents are undefined at every call.
/// </summary>
internal sealed unsafe class WorkerScratch
{
    private readonly Slot[] _slots = new Slot[Workers.MaxCount];

    private struct Slot
    {
        public void* Memory;
        public nuint Bytes;
    }

    /// <summary>The block of <paramref name="worker"/>, 64-byte aligned, with room for at least <paramref name="count"/> elements.</summary>
    public T* Get<T>(int worker, nint count) where T : unmanaged
    {
        ref var slot = ref _slots[worker];
        nuint bytes = (nuint)count * (nuint)sizeof(T);
        if (bytes > slot.Bytes)
        {
            NativeMemory.AlignedFree(slot.Memory);
            // Some air, so that shapes that grow bit by bit do not allocate at every call.
            slot.Bytes = bytes + bytes / 4 + 4096;
            slot.Memory = NativeMemory.AlignedAlloc(slot.Bytes, 64);
        }
        return (T*)slot.Memory;
    }
}
