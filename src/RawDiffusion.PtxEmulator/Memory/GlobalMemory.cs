using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using RawDiffusion.Cuda;

namespace RawDiffusion.PtxEmulator.Memory;

/// <summary>
/// The global memory of the emulated device. Device addresses are a range of our own, not host pointers: the range is cut into slots of
/// 256 MiB and every allocation starts in a slot of its own, 1 MiB behind the slot's beginning. So an address is looked up by one shift and
/// one table entry, allocations are never neighbours, an index that runs off one meets nothing, and an address is used again only after
/// tens of thousands of later allocations.
/// </summary>
/// <remarks>Allocating, freeing and annotating take a lock; lookups take none, and may go on in other threads for what is not being freed.</remarks>
public sealed unsafe class GlobalMemory : MemorySpace, IDisposable
{
    private const int SlotBits = 28;
    private const ulong Guard = 1 << 20;
    private const int SlotCount = 1 << 16;

    /// <summary>The slot of the first address: above 32 bits, so that a pointer cut to an int is caught.</summary>
    private const ulong FirstSlot = 0x20000;

    private readonly Lock _lock = new();
    private readonly DeviceAllocation?[] _bySlot = new DeviceAllocation?[SlotCount];

    // What may be accessed in a slot, where that is one region: the whole allocation or the one block that a pool has in it.
    private readonly Slot* _slots = (Slot*)NativeMemory.AllocZeroed(SlotCount, (nuint)sizeof(Slot));
    private int _nextSlot;
    private bool _disposed;
    private ulong _launches;

    /// <param name="capacity">Bytes that all allocations together may have.</param>
    /// <param name="shadowed">Whether the state of every byte is kept: checked mode.</param>
    public GlobalMemory(long capacity, bool shadowed) => (Capacity, Shadowed) = (capacity, shadowed);

    [StructLayout(LayoutKind.Sequential)]
    private struct Slot
    {
        public ulong Start;
        public ulong Length;
        public byte* Memory;
        public bool ReadOnly;
    }

    public long Capacity { get; }

    public bool Shadowed { get; }

    /// <summary>Bytes allocated.</summary>
    public long Used { get; private set; }

    /// <summary>What is allocated, in the order of addresses.</summary>
    public IReadOnlyList<DeviceAllocation> Live
    {
        get
        {
            lock (_lock)
                return [.. _bySlot.OfType<DeviceAllocation>().Where(allocation => !allocation.Freed).Distinct().OrderBy(allocation => allocation.Address)];
        }
    }

    /// <summary>Where the bytes are on the host; null where they are not all in one region.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte* Translate(ulong address, long bytes)
    {
        ulong index = (address >> SlotBits) - FirstSlot;
        if (index >= SlotCount)
            return null;
        Slot* slot = _slots + index;
        ulong offset = address - slot->Start;
        return offset < slot->Length && (ulong)bytes <= slot->Length - offset ? slot->Memory + offset : TranslateInBlocks(address, bytes);
    }

    public override bool TryFind(ulong address, out MemoryRegion region)
    {
        region = default;
        ulong index = (address >> SlotBits) - FirstSlot;
        if (index >= SlotCount)
            return false;
        Slot* slot = _slots + index;
        if (address - slot->Start < slot->Length)
        {
            region = new MemoryRegion(slot->Start, slot->Start + slot->Length, (nint)slot->Memory, slot->ReadOnly, (int)index);
            return true;
        }
        return _bySlot[index] is { Blocks: not null } allocation && allocation.TryGetRegion(address, out region);
    }

    /// <summary>The live allocation that a region is of.</summary>
    internal DeviceAllocation? AllocationOf(int id) => _bySlot[id];

    /// <summary>The live allocation that the address lies in; null where there is none.</summary>
    public DeviceAllocation? Find(ulong address)
    {
        ulong index = (address >> SlotBits) - FirstSlot;
        return index < SlotCount && _bySlot[index] is { Freed: false } found && address - found.Address < (ulong)found.Bytes ? found : null;
    }

    /// <summary>The allocation, live or freed, that lies nearest to an address, for messages.</summary>
    public DeviceAllocation? FindNearest(ulong address)
    {
        DeviceAllocation? nearest = null;
        ulong best = ulong.MaxValue;
        foreach (var candidate in _bySlot)
        {
            if (candidate is null)
                continue;
            ulong distance = address < candidate.Address ? candidate.Address - address : address >= candidate.End ? address - candidate.End + 1 : 0;
            if (distance < best)
                (nearest, best) = (candidate, distance);
        }
        return nearest;
    }

    /// <summary>Memory with undefined contents; null where the device has not that much left.</summary>
    /// <param name="name">For messages.</param>
    public DeviceAllocation? TryAllocate(long bytes, string name, AllocationKind kind = AllocationKind.Buffer)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (bytes > Capacity - Used)
                return null;
            int count = (int)(((ulong)bytes + 2 * Guard + (1ul << SlotBits) - 1) >> SlotBits);
            int first = FindSlots(count);
            if (first < 0)
                return null;
            DeviceAllocation allocation;
            try
            {
                allocation = new DeviceAllocation(first, ((FirstSlot + (ulong)first) << SlotBits) + Guard, bytes, name, kind, Shadowed);
            }
            catch (OutOfMemoryException)
            {
                return null;
            }
            for (int i = first; i < first + count; i++)
                _bySlot[i] = allocation;
            SetSlots(allocation);
            Used += bytes;
            return allocation;
        }
    }

    /// <summary>Gives an allocation back by its first address. False: there is none that starts there.</summary>
    public bool Free(ulong address)
    {
        lock (_lock)
        {
            // The description stays, for a message about a use after this, until the slots are needed again.
            if (Find(address) is not { } allocation || allocation.Address != address)
                return false;
            allocation.Release();
            SetSlots(allocation);
            Used -= allocation.Bytes;
            return true;
        }
    }

    /// <summary>
    /// Takes note of a block that a pool keeps inside an allocation: taken, it has undefined contents and bounds of its own; returned, nothing
    /// may touch it. Only in checked mode, else nothing happens. No kernel may be running.
    /// </summary>
    /// <exception cref="CudaException">The range is not in one allocation.</exception>
    public void Annotate(ulong start, long bytes, MemoryUse use, string? owner)
    {
        lock (_lock)
        {
            if (Find(start) is not { } allocation || bytes > (long)(allocation.End - start))
                throw new CudaException("AnnotateMemory", CudaResult.InvalidValue, $"the {bytes} bytes at 0x{start:x} are not in one allocation: {Describe(start)}");
            if (!Shadowed || bytes == 0)
                return;
            allocation.Annotate(start, bytes, use == MemoryUse.Taken, owner);
            SetSlots(allocation);
        }
    }

    /// <summary>Bytes that the host wrote are defined.</summary>
    public void Define(ulong start, long bytes)
    {
        if (Shadowed && Find(start) is { Shadow: { } shadow } allocation)
            shadow.Defined.Fill((long)(start - allocation.Address), bytes, true);
    }

    /// <summary>A copy within the device makes defined what was so in the source.</summary>
    public void CopyDefined(ulong destination, ulong source, long bytes)
    {
        if (Shadowed && Find(destination) is { Shadow: { } to } target && Find(source) is { Shadow: { } from } origin)
            to.Defined.CopyFrom(from.Defined, (long)(source - origin.Address), (long)(destination - target.Address), bytes);
    }

    public override Checks.HazardKind Classify(ulong address) =>
        MemoryDescription.IsFreed(this, address) ? Checks.HazardKind.UseAfterFree : Checks.HazardKind.OutOfBounds;

    public override LaunchChecks? BeginChecks(Execution.KernelLaunch launch) =>
        Shadowed ? new LaunchChecks(launch, this, Interlocked.Increment(ref _launches)) : null;

    public override string Describe(ulong address) => MemoryDescription.Of(this, address);

    public void Dispose()
    {
        lock (_lock)
            Release();
        GC.SuppressFinalize(this);
    }

    ~GlobalMemory() => Release();

    private void Release()
    {
        if (_disposed)
            return;
        _disposed = true;
        foreach (var allocation in _bySlot)
        {
            if (allocation is { Freed: false })
                allocation.Release();
        }
        Array.Clear(_bySlot);
        NativeMemory.Clear(_slots, (nuint)(SlotCount * sizeof(Slot)));
        NativeMemory.Free(_slots);
        Used = 0;
    }

    private byte* TranslateInBlocks(ulong address, long bytes) =>
        TryFind(address, out var region) && (ulong)bytes <= region.End - address ? region.At(address) : null;

    private void SetSlots(DeviceAllocation allocation)
    {
        var slot = default(Slot);
        if (allocation.Blocks is not { } blocks)
        {
            if (!allocation.Freed)
                slot = new Slot { Start = allocation.Address, Length = (ulong)allocation.Bytes, Memory = allocation.Memory, ReadOnly = allocation.Kind == AllocationKind.Constant };
        }
        else if (!allocation.Freed && blocks is [{ Taken: true } only])
        {
            slot = new Slot { Start = only.Start, Length = (ulong)only.Bytes, Memory = allocation.Memory + (only.Start - allocation.Address) };
        }
        for (int i = allocation.Id; i < SlotCount && _bySlot[i] == allocation; i++)
            _slots[i] = slot;
    }

    /// <summary>So many free slots in a row, those freed longest ago first; -1: there are none.</summary>
    private int FindSlots(int count)
    {
        int run = 0;
        for (int tried = 0; tried < 2 * SlotCount; tried++)
        {
            int slot = (_nextSlot + tried) % SlotCount;
            if (slot == 0)
                run = 0;
            run = _bySlot[slot] is { Freed: false } ? 0 : run + 1;
            if (run == count)
            {
                _nextSlot = (slot + 1) % SlotCount;
                return slot + 1 - count;
            }
        }
        return -1;
    }
}
