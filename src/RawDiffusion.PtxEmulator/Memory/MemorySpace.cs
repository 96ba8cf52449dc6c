namespace RawDiffusion.PtxEmulator.Memory;

/// <summary>
/// A piece of device memory [Start, End) that may be accessed as one: an allocation, a block that a pool annotated inside one, or a module
/// variable. The byte at device address a is at <c>Native + (a - Start)</c>.
/// </summary>
/// <param name="Start">Device address.</param>
/// <param name="End">Device address behind the last byte.</param>
/// <param name="Native">Where it is in this process; memory that does not move.</param>
/// <param name="IsReadOnly">Constant memory.</param>
/// <param name="Id">Meaningful to the <see cref="MemorySpace"/> alone: which allocation it is, for reports and shadow state.</param>
public readonly unsafe record struct MemoryRegion(ulong Start, ulong End, nint Native, bool IsReadOnly, int Id)
{
    /// <summary>Whether the whole range lies inside. An empty region (default) contains nothing.</summary>
    public bool Contains(ulong address, int bytes) => address >= Start && address < End && (ulong)bytes <= End - address;

    public byte* At(ulong address) => (byte*)Native + (address - Start);
}

/// <summary>
/// Device memory as the executor sees it. Global and constant memory have the same addresses in their own space and in the generic one;
/// shared, local and parameter memory belong to the executor and appear in the generic space at <see cref="AddressWindows"/>, which no
/// allocation may touch.
/// </summary>
/// <remarks>
/// The executor asks for a region only when the last one that this instruction used does not contain the address; so regions must stay
/// valid as long as a kernel runs. All methods may be called by several threads at once.
/// </remarks>
public abstract class MemorySpace
{
    /// <summary>The region that contains the address; false: nothing accessible is there.</summary>
    public abstract bool TryFind(ulong address, out MemoryRegion region);

    /// <summary>What to say about an address in a report: the allocation and the place in it, or the nearest ones where there is none, or that it was freed.</summary>
    public abstract string Describe(ulong address);

    /// <summary>What kind of hazard an access is that lies in no region: memory that was given back, or none.</summary>
    public virtual Checks.HazardKind Classify(ulong address) => Checks.HazardKind.OutOfBounds;

    /// <summary>
    /// The checks of one launch in checked mode: undefined reads and races, in global memory and in that of blocks. Called once per launch;
    /// null where the space keeps no such state.
    /// </summary>
    public abstract LaunchChecks? BeginChecks(Execution.KernelLaunch launch);
}

public enum AccessKind : byte { Read, Write, Atomic }

/// <summary>One access of a warp: lane i, if its bit in Mask is set, touches [Addresses[i], Addresses[i] + Bytes).</summary>
public readonly unsafe ref struct WarpAccess
{
    public required AccessKind Kind { get; init; }

    /// <summary>32 device addresses.</summary>
    public required ulong* Addresses { get; init; }

    public required uint Mask { get; init; }

    /// <summary>Bytes per lane: 1 to 16.</summary>
    public required int Bytes { get; init; }

    /// <summary>The region of the first active lane, mostly that of all.</summary>
    public required MemoryRegion Region { get; init; }

    /// <summary>Volatile, or ordered by acquire, release and the like: such accesses do not race with each other or with atomics.</summary>
    public required bool IsSynchronizing { get; init; }

    /// <summary>Index of the instruction in the kernel's code.</summary>
    public required int Pc { get; init; }

    /// <summary>Linear index of the block in the grid.</summary>
    public required long Block { get; init; }

    /// <summary>Linear index in the block of the thread in lane 0.</summary>
    public required int FirstThread { get; init; }

    /// <summary>The stamp to keep with this access: see <see cref="Execution.BlockOrder"/>.</summary>
    public required uint Time { get; init; }

    /// <summary>Tells which earlier accesses are ordered before this one.</summary>
    public required Execution.BlockOrder Order { get; init; }

    /// <summary>Plain writes: what lane i writes, at Values + i * Bytes. Threads that write the same value do not race. Null: not known.</summary>
    public byte* Values { get; init; }
}

/// <summary>Where the memory of a block appears in the generic address space; each window is 4 GiB.</summary>
public static class AddressWindows
{
    public const ulong Shared = 0x4000_0000_0000_0000;
    public const ulong Local = 0x5000_0000_0000_0000;
    public const ulong Parameter = 0x6000_0000_0000_0000;

    /// <summary>The bits of a generic address that say which window it is in.</summary>
    public const ulong Mask = 0xFFFF_FFFF_0000_0000;
}
