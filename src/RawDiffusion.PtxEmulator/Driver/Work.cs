using System.Diagnostics;
using System.Runtime.InteropServices;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>Something that a stream does. It keeps its arguments, so that a graph can do it again.</summary>
internal abstract class Work
{
    /// <summary>For messages about a fault.</summary>
    public virtual LaunchDimensions? Dimensions => null;

    /// <summary>Whether a graph counts it as a node.</summary>
    public virtual bool IsNode => true;

    /// <exception cref="EmulationFaultException">The device is lost.</exception>
    public abstract void Execute();

    /// <summary>Whether both do the same but for arguments, addresses and dimensions.</summary>
    public virtual bool IsLike(Work other) => GetType() == other.GetType();

    protected static unsafe byte* Memory(GlobalMemory memory, string operation, string what, ulong address, long bytes)
    {
        byte* start = memory.Translate(address, bytes);
        if (start is not null)
            return start;
        // Of a range that only begins in memory the message tells about its end.
        ulong wrong = memory.TryFind(address, out var region) ? region.End : address;
        throw new EmulationFaultException(new HazardReport
        {
            Kind = memory.Classify(wrong),
            Kernel = operation,
            Parties = [],
            Message = $"{what} {bytes} bytes from 0x{address:x} on",
            Space = StateSpace.Global,
            Address = wrong,
            Allocation = memory.Describe(wrong),
        });
    }
}

internal sealed class KernelWork(KernelLaunch launch) : Work
{
    public override LaunchDimensions Dimensions => new(launch.Grid, launch.Block, launch.DynamicShared);

    public override void Execute() => GridExecutor.Run(launch);

    public override bool IsLike(Work other) => other is KernelWork { Kernel: var kernel } && kernel == Kernel;

    private LinkedKernel Kernel => launch.Kernel;
}

internal sealed unsafe class UploadWork(GlobalMemory memory, ulong destination, nint source, long bytes) : Work
{
    public override void Execute()
    {
        Buffer.MemoryCopy((void*)source, Memory(memory, "copy from the host", "writes", destination, bytes), bytes, bytes);
        memory.Define(destination, bytes);
    }
}

internal sealed unsafe class DownloadWork(GlobalMemory memory, nint destination, ulong source, long bytes) : Work
{
    public override void Execute() =>
        Buffer.MemoryCopy(Memory(memory, "copy to the host", "reads", source, bytes), (void*)destination, bytes, bytes);
}

internal sealed unsafe class CopyWork(GlobalMemory memory, ulong destination, ulong source, long bytes) : Work
{
    public override void Execute()
    {
        byte* from = Memory(memory, "copy within the device", "reads", source, bytes);
        Buffer.MemoryCopy(from, Memory(memory, "copy within the device", "writes", destination, bytes), bytes, bytes);
        memory.CopyDefined(destination, source, bytes);
    }
}

internal sealed unsafe class Fill8Work(GlobalMemory memory, ulong destination, byte value, long count) : Work
{
    public override void Execute()
    {
        NativeMemory.Fill(Memory(memory, "fill", "writes", destination, count), (nuint)count, value);
        memory.Define(destination, count);
    }
}

internal sealed unsafe class Fill16Work(GlobalMemory memory, ulong destination, ushort value, long count) : Work
{
    public override void Execute()
    {
        ushort* start = (ushort*)Memory(memory, "fill", "writes", destination, 2 * count);
        for (long done = 0; done < count; done += int.MaxValue)
            new Span<ushort>(start + done, (int)Math.Min(int.MaxValue, count - done)).Fill(value);
        memory.Define(destination, 2 * count);
    }
}

internal sealed unsafe class Fill32Work(GlobalMemory memory, ulong destination, uint value, long count) : Work
{
    public override void Execute()
    {
        uint* start = (uint*)Memory(memory, "fill", "writes", destination, 4 * count);
        for (long done = 0; done < count; done += int.MaxValue)
            new Span<uint>(start + done, (int)Math.Min(int.MaxValue, count - done)).Fill(value);
        memory.Define(destination, 4 * count);
    }
}

internal sealed class AnnotateWork(GlobalMemory memory, ulong start, long bytes, MemoryUse use, string? owner) : Work
{
    public override bool IsNode => false;

    public override void Execute() => memory.Annotate(start, bytes, use, owner);
}

/// <summary>Marks that a stream has come so far.</summary>
internal sealed class RecordWork : Work
{
    private long _timestamp;

    /// <summary>A reading of <see cref="Stopwatch"/>; 0 until it was executed.</summary>
    public long Timestamp => Volatile.Read(ref _timestamp);

    public bool Done => Timestamp != 0;

    public override void Execute() => Volatile.Write(ref _timestamp, Math.Max(1, Stopwatch.GetTimestamp()));
}

/// <summary>All work of a graph.</summary>
internal sealed class GraphWork(Work[] nodes) : Work
{
    private Work? _current;

    public override LaunchDimensions? Dimensions => _current?.Dimensions;

    public override void Execute()
    {
        foreach (var node in nodes)
        {
            _current = node;
            node.Execute();
        }
        _current = null;
    }
}
