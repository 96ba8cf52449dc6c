using System.Numerics;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Keeps released storages by size class for reuse. Classes are eighths of powers of two, so at most 1/8 of a block is unused.
/// </summary>
internal sealed class CpuPool(Backend backend)
{
    private const int SmallestClass = 64;

    private readonly Lock _lock = new();
    private readonly Stack<CpuStorage>?[] _free = new Stack<CpuStorage>?[32 * 8];
    private long _held, _freeBytes, _allocations;

    public MemoryStatistics Statistics
    {
        get
        {
            lock (_lock)
                return new MemoryStatistics(_held, _freeBytes, _allocations);
        }
    }

    /// <exception cref="NotSupportedException">More elements than an array of bytes has room for.</exception>
    public CpuStorage Take(int length)
    {
        if (length > CpuStorage.MaxLength)
            throw new NotSupportedException($"A tensor on the cpu device has at most {CpuStorage.MaxLength:N0} elements, not {length:N0}: work in parts.");
        var (index, capacity) = SizeClass(length);
        capacity = Math.Min(capacity, CpuStorage.MaxLength);
        lock (_lock)
        {
            if (_free[index] is { Count: > 0 } stack)
            {
                _freeBytes -= (long)capacity * sizeof(float);
                return stack.Pop();
            }
            _held += (long)capacity * sizeof(float);
            _allocations++;
        }
        return new CpuStorage(backend, capacity);
    }

    public void Return(CpuStorage storage)
    {
        if (storage.Capacity == 0)
            return;
        lock (_lock)
        {
            (_free[SizeClass(storage.Capacity).Index] ??= new()).Push(storage);
            _freeBytes += (long)storage.Capacity * sizeof(float);
        }
    }

    /// <summary>The class of a length: its index, and the capacity that all blocks of the class have.</summary>
    internal static (int Index, int Capacity) SizeClass(int length)
    {
        if (length <= SmallestClass)
            return (0, SmallestClass);
        // length in (2^p, 2^(p+1)], rounded up to a multiple of 2^p / 8.
        int p = BitOperations.Log2((uint)length - 1);
        int step = 1 << (p - 3);
        int eighths = (length - (1 << p) + step - 1) / step;
        return (p * 8 + eighths - 1, checked((1 << p) + eighths * step));
    }
}
