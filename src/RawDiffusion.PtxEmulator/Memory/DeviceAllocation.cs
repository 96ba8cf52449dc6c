using System.Runtime.InteropServices;

namespace RawDiffusion.PtxEmulator.Memory;

/// <summary>What a piece of the global address space is.</summary>
public enum AllocationKind : byte
{
    /// <summary>Memory that the host asked for.</summary>
    Buffer,

    /// <summary>A <c>__device__</c> variable of a module.</summary>
    Variable,

    /// <summary>A <c>__constant__</c> variable of a module: kernels may not write it.</summary>
    Constant,
}

/// <summary>A block that a caching pool keeps inside an allocation, as <c>AnnotateMemory</c> described it last.</summary>
/// <param name="Start">Device address.</param>
/// <param name="Taken">Handed out; else it is back in the pool.</param>
/// <param name="Owner">What it is, or was last, used for.</param>
internal sealed record PoolBlock(ulong Start, long Bytes, bool Taken, string? Owner)
{
    public ulong End => Start + (ulong)Bytes;
}

/// <summary>A contiguous piece of the global address space, backed by native memory of the host.</summary>
public sealed unsafe class DeviceAllocation
{
    /// <summary>Host bytes behind the end that a vector load may read without meaning: they belong to nobody.</summary>
    private const int Slack = 64;

    private List<PoolBlock>? _blocks;

    internal DeviceAllocation(int id, ulong address, long bytes, string name, AllocationKind kind, bool shadowed)
    {
        (Id, Address, Bytes, Name, Kind) = (id, address, bytes, name, kind);
        Memory = (byte*)NativeMemory.AlignedAlloc((nuint)(bytes + Slack), 256);
        // Contents are undefined. Bytes of ones read as NaN, so that using them shows, and always in the same way.
        NativeMemory.Fill(Memory, (nuint)(bytes + Slack), 0xff);
        if (shadowed)
            Shadow = new ShadowMemory(bytes);
    }

    /// <summary>The number of its first slot.</summary>
    internal int Id { get; }

    /// <summary>The device address of the first byte, a multiple of 256.</summary>
    public ulong Address { get; }

    public ulong End => Address + (ulong)Bytes;

    public long Bytes { get; }

    /// <summary>The variable's name, or what the host gave as owner.</summary>
    public string Name { get; }

    public AllocationKind Kind { get; }

    /// <summary>It was given back; only its description is left.</summary>
    public bool Freed => Memory is null;

    /// <summary>Where the first byte is on the host; null after it was freed.</summary>
    internal byte* Memory { get; private set; }

    /// <summary>What is known of each byte; null outside checked mode.</summary>
    internal ShadowMemory? Shadow { get; private set; }

    /// <summary>What a pool said about its parts, by address; null where no pool did. What no block covers may not be used then.</summary>
    internal IReadOnlyList<PoolBlock>? Blocks => _blocks;

    /// <summary>What may be accessed as one around an address: the whole, or a block of a pool.</summary>
    internal bool TryGetRegion(ulong address, out MemoryRegion region)
    {
        region = default;
        if (Freed)
            return false;
        var (start, end) = (Address, End);
        if (_blocks is not null)
        {
            if (_blocks.Find(block => block.Taken && block.Start <= address && address < block.End) is not { } found)
                return false;
            (start, end) = (found.Start, found.End);
        }
        region = new MemoryRegion(start, end, (nint)(Memory + (start - Address)), Kind == AllocationKind.Constant, Id);
        return address >= start && address < end;
    }

    /// <summary>Takes note of what a pool did with a part: its contents are undefined from here on.</summary>
    internal void Annotate(ulong start, long bytes, bool taken, string? owner)
    {
        string? last = null;
        var blocks = new List<PoolBlock>(_blocks ?? []);
        // What was known of the same bytes is replaced; the old owner is kept for messages about a use after the return.
        for (int i = blocks.Count - 1; i >= 0; i--)
        {
            if (blocks[i].Start < start + (ulong)bytes && start < blocks[i].End)
            {
                last ??= blocks[i].Owner;
                blocks.RemoveAt(i);
            }
        }
        blocks.Add(new PoolBlock(start, bytes, taken, owner ?? last));
        blocks.Sort((a, b) => a.Start.CompareTo(b.Start));
        _blocks = blocks;
        Shadow?.Defined.Fill((long)(start - Address), bytes, false);
    }

    internal void Release()
    {
        NativeMemory.AlignedFree(Memory);
        Memory = null;
        Shadow?.Dispose();
        Shadow = null;
    }
}
