namespace RawDiffusion.Cuda;

/// <summary>A device has too little memory, after everything unused was given back. The message says how much was asked for, what is held and by whom.</summary>
public sealed class DeviceOutOfMemoryException(
    string device, long requested, DeviceMemoryStatistics held, (long Free, long Total) memory, IReadOnlyList<(string Owner, int Count, long Bytes)> holders)
    : Exception($"{device} is out of memory: {Size(requested)} were asked for; {Size(held.HeldBytes)} are held here, {Size(memory.Free)} of "
        + $"{Size(memory.Total)} are free on the device.{Largest(holders)} A smaller batch or model needs less.")
{
    /// <summary>Bytes asked for.</summary>
    public long Requested { get; } = requested;

    /// <summary>Who held how much in how many buffers, the largest first.</summary>
    public IReadOnlyList<(string Owner, int Count, long Bytes)> Holders { get; } = holders;

    private static string Largest(IReadOnlyList<(string Owner, int Count, long Bytes)> holders) => holders.Count == 0 ? ""
        : " The largest holders: " + string.Join(", ", holders.Take(5).Select(h => $"{h.Owner} ({h.Count} x, {Size(h.Bytes)})")) + ".";

    private static string Size(long bytes) => bytes switch
    {
        >= 1L << 30 => $"{bytes / (double)(1L << 30):0.00} GiB",
        >= 1L << 20 => $"{bytes / (double)(1L << 20):0.0} MiB",
        >= 1L << 10 => $"{bytes / (double)(1L << 10):0.0} KiB",
        _ => $"{bytes} bytes",
    };
}
