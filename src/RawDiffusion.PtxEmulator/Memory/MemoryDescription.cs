using RawDiffusion.PtxEmulator.Checks;

namespace RawDiffusion.PtxEmulator.Memory;

/// <summary>Says where an address is: in which allocation, how far from which, or in what was given back.</summary>
internal static class MemoryDescription
{
    public static string Of(GlobalMemory memory, ulong address)
    {
        if (address < 1 << 16)
            return address == 0 ? "the null pointer" : $"{address} bytes from the null pointer";
        if (memory.FindNearest(address) is not { } nearest)
            return "no memory is allocated";
        if (nearest.Blocks is not { Count: > 0 } blocks || nearest.Freed)
            return Place(Name(nearest), nearest.Address, nearest.Bytes, address) + (nearest.Freed ? ", which was freed" : "");
        var block = blocks.LastOrDefault(candidate => candidate.Start <= address) ?? blocks[0];
        string name = block.Owner is null ? "a block of the pool" : $"'{block.Owner}'";
        return Place(name, block.Start, block.Bytes, address) + (block.Taken ? "" : ", which was returned to the pool");
    }

    private static string Name(DeviceAllocation allocation) => allocation.Kind switch
    {
        AllocationKind.Variable => $"__device__ {SourceNames.Of(allocation.Name)}",
        AllocationKind.Constant => $"__constant__ {SourceNames.Of(allocation.Name)}",
        _ => allocation.Name,
    };

    private static string Place(string name, ulong start, long bytes, ulong address)
    {
        string what = $"{name}, {bytes} bytes at 0x{start:x}";
        ulong end = start + (ulong)bytes;
        return address < start ? $"{start - address} bytes before {what}"
            : address >= end ? $"{address - end} bytes behind the end of {what}"
            : $"byte {address - start} of {what}";
    }

    /// <summary>Whether an address lies in memory that was given back: to the driver, or to a pool.</summary>
    public static bool IsFreed(GlobalMemory memory, ulong address)
    {
        if (memory.FindNearest(address) is not { } nearest || address < nearest.Address || address >= nearest.End)
            return false;
        return nearest.Freed || (nearest.Blocks is { } blocks && blocks.Any(block => !block.Taken && block.Start <= address && address < block.End));
    }
}
