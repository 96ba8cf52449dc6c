using System.Collections.Concurrent;
using System.Numerics;

namespace RawDiffusion.Cuda;

/// <summary>
/// Keeps device memory that was handed back, by size class, for reuse in the order of the main stream; the driver is asked only when
/// nothing fits. Classes are eighths of powers of two, so at most 1/8 of a block is unused.
/// </summary>
/// <remarks>
/// A captured graph writes to its blocks at every launch, so what is taken during a capture stays reserved for the graph
/// (<see cref="GraphMemory"/>) until that is disposed of. Blocks from before the capture that are handed back during it wait for its end.
/// </remarks>
internal sealed class DevicePool(CudaContext context)
{
    private const int SmallestLog2 = 9;

    private readonly Lock _lock = new();
    private readonly Stack<Block>?[] _free = new Stack<Block>?[56 * 8];
    private readonly ConcurrentQueue<Block> _later = new();
    private readonly HashSet<Block> _blocks = [];
    private GraphMemory? _recording;
    private long _held, _freeBytes, _reserved, _allocations;
    private bool _closed;

    internal sealed class Block(DevicePointer pointer, int index, long capacity)
    {
        public DevicePointer Pointer => pointer;

        /// <summary>The size class.</summary>
        public int Index => index;

        public long Capacity => capacity;

        /// <summary>The graph that it is reserved for.</summary>
        public GraphMemory? Graph { get; set; }

        public bool InUse { get; set; }

        public string? Owner { get; set; }
    }

    /// <summary>The blocks reserved for one graph.</summary>
    internal sealed class GraphMemory
    {
        public List<Block> Blocks { get; } = [];

        public Stack<Block>?[] Free { get; } = new Stack<Block>?[56 * 8];
    }

    public CudaContext Context => context;

    public bool IsRecording => _recording is not null;

    public DeviceMemoryStatistics Statistics
    {
        get
        {
            lock (_lock)
                return new DeviceMemoryStatistics(_held, _freeBytes, _reserved, _allocations);
        }
    }

    /// <param name="isNew">Whether what waits in the pool is left there for others.</param>
    public DeviceBuffer Take(long bytes, string? owner, bool isNew = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        context.Bind();
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closed, context);
            CollectLocked();
            var (index, capacity) = SizeClass(bytes);
            var block = (isNew ? null : Find(index)) ?? Make(index, capacity, bytes);
            block.InUse = true;
            block.Owner = owner;
            // What the block has beyond the bytes asked for stays out of bounds.
            context.Driver.AnnotateMemory(block.Pointer, bytes, MemoryUse.Taken, owner, context.Stream.Handle);
            return new DeviceBuffer(this, block, bytes);
        }
    }

    public void Return(Block block)
    {
        lock (_lock)
        {
            if (_closed)
                return;
            if (_recording is not null && block.Graph != _recording)
            {
                _later.Enqueue(block);
                return;
            }
            ReturnLocked(block);
        }
    }

    /// <summary>For finalizers: the block is returned by whoever uses the pool next. Takes no lock and calls no driver.</summary>
    public void ReturnLater(Block block) => _later.Enqueue(block);

    /// <summary>Takes in what finalizers and captures have left.</summary>
    public void Collect()
    {
        lock (_lock)
            CollectLocked();
    }

    /// <summary>Gives everything that waits in the pool back to the driver; what is reserved for graphs stays.</summary>
    public void ReleaseCached()
    {
        lock (_lock)
        {
            if (_recording is not null)
                throw new InvalidOperationException("Memory cannot be given back while a graph is captured.");
            CollectLocked();
            ReleaseCachedLocked();
        }
    }

    /// <summary>Ends the pool: unused memory goes back to the driver; buffers still in use do nothing when they are disposed of.</summary>
    public void Close()
    {
        lock (_lock)
        {
            CollectLocked();
            foreach (var block in _blocks)
            {
                if (!block.InUse)
                    context.Driver.Free(block.Pointer);
            }
            _closed = true;
        }
    }

    /// <summary>From here on what is taken is reserved for the graph.</summary>
    public void BeginRecording(GraphMemory memory)
    {
        lock (_lock)
        {
            if (_recording is not null)
                throw new InvalidOperationException("A graph is being captured already.");
            CollectLocked();
            _recording = memory;
        }
    }

    public void EndRecording()
    {
        lock (_lock)
            _recording = null;
    }

    /// <summary>A graph that is gone: its blocks are as any other.</summary>
    public void Unreserve(GraphMemory memory)
    {
        lock (_lock)
        {
            foreach (var block in memory.Blocks)
            {
                block.Graph = null;
                _reserved -= block.Capacity;
                if (!block.InUse)
                    Push(_free, block);
            }
            memory.Blocks.Clear();
        }
    }

    /// <summary>The class of a size: its index, and the capacity that all blocks of the class have.</summary>
    internal static (int Index, long Capacity) SizeClass(long bytes)
    {
        if (bytes <= 1 << SmallestLog2)
            return (0, 1 << SmallestLog2);
        // bytes in (2^p, 2^(p+1)], rounded up to a multiple of 2^p / 8.
        int p = BitOperations.Log2((ulong)bytes - 1);
        long step = 1L << (p - 3);
        long eighths = (bytes - (1L << p) + step - 1) / step;
        return ((p - SmallestLog2) * 8 + (int)eighths, checked((1L << p) + eighths * step));
    }

    private void CollectLocked()
    {
        if (_recording is not null || _closed)
            return;
        while (_later.TryDequeue(out var block))
            ReturnLocked(block);
    }

    private void ReturnLocked(Block block)
    {
        try
        {
            context.Bind();
            context.Driver.AnnotateMemory(block.Pointer, block.Capacity, MemoryUse.Returned, block.Owner, context.Stream.Handle);
        }
        catch (CudaException e) when (e.Sticky)
        {
            // The device is lost, and every call that has a result to give says so; handing memory back has none.
        }
        block.InUse = false;
        block.Owner = null;
        Push(block.Graph?.Free ?? _free, block);
    }

    private void Push(Stack<Block>?[] lists, Block block)
    {
        (lists[block.Index] ??= new()).Push(block);
        if (lists == _free)
            _freeBytes += block.Capacity;
    }

    /// <summary>A block that waits; in a capture first one of the graph's own, then one of the pool that becomes the graph's.</summary>
    private Block? Find(int index)
    {
        if (_recording is not null && _recording.Free[index] is { Count: > 0 } own)
            return own.Pop();
        if (_free[index] is not { Count: > 0 } stack)
            return null;
        var block = stack.Pop();
        _freeBytes -= block.Capacity;
        if (_recording is not null)
        {
            block.Graph = _recording;
            _recording.Blocks.Add(block);
            _reserved += block.Capacity;
        }
        return block;
    }

    /// <summary>Asks the driver; when that has no more: garbage, then the cache, then once more.</summary>
    private Block Make(int index, long capacity, long bytes)
    {
        if (_recording is not null)
        {
            throw new GraphMemoryException($"While a graph is captured memory can only come from the pool, and it has no block for {bytes} bytes. "
                + "Run the step once before it is captured: that leaves in the pool what the step needs.");
        }
        if (Ask(index, capacity) is { } block)
            return block;

        GC.Collect();
        GC.WaitForPendingFinalizers();
        CollectLocked();
        if (Find(index) is { } found)
            return found;

        ReleaseCachedLocked();
        return Ask(index, capacity) ?? throw new DeviceOutOfMemoryException(context.Name, bytes,
            new DeviceMemoryStatistics(_held, _freeBytes, _reserved, _allocations), context.Driver.GetMemoryInfo(), Holders());
    }

    private Block? Ask(int index, long capacity)
    {
        try
        {
            var block = new Block(context.Driver.Allocate(capacity), index, capacity);
            context.Driver.AnnotateMemory(block.Pointer, capacity, MemoryUse.Returned, null, context.Stream.Handle);
            _blocks.Add(block);
            _held += capacity;
            _allocations++;
            return block;
        }
        catch (CudaException e) when (e.Result == CudaResult.OutOfMemory)
        {
            return null;
        }
    }

    private void ReleaseCachedLocked()
    {
        context.Bind();
        foreach (var stack in _free)
        {
            while (stack is not null && stack.TryPop(out var block))
            {
                context.Driver.Free(block.Pointer);
                _blocks.Remove(block);
                _held -= block.Capacity;
                _freeBytes -= block.Capacity;
            }
        }
    }

    private List<(string Owner, int Count, long Bytes)> Holders() => [.. _blocks
        .Where(block => block.InUse || block.Graph is not null)
        .GroupBy(block => block.InUse ? block.Owner ?? "not named" : "reserved for graphs")
        .Select(group => (group.Key, group.Count(), group.Sum(block => block.Capacity)))
        .OrderByDescending(holder => holder.Item3).ThenBy(holder => holder.Key, StringComparer.Ordinal)];
}
