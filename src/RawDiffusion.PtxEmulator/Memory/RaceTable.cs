using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.PtxEmulator.Memory;

/// <summary>
/// Who touched a word last, in 64 bits: a tag that dates the record (records of earlier launches count as none), the block, the thread
/// in it, the time of its warp, and which of the word's four bytes.
/// </summary>
internal readonly record struct AccessRecord(ulong Bits)
{
    public const int TimeBits = 18, BlockBits = 22, TagBits = 8;

    /// <summary>Tags are 1 to this; 0 marks that there is no record.</summary>
    public const uint Tags = (1u << TagBits) - 1;

    public const uint TimeMask = (1u << TimeBits) - 1, BlockMask = (1u << BlockBits) - 1, TagMask = (1u << TagBits) - 1;

    /// <summary>The bits of tag, block and time.</summary>
    public const ulong EpochMask = ~((1ul << 34) - 1) | ((ulong)TimeMask << 6);

    private const ulong StrongBit = 1ul << 4, WriteBit = 1ul << 5;

    // From the lowest bit: bytes 4, strong 1, write 1, time 18, thread 10, block 22, tag 8.
    public int Bytes => (int)(Bits & 15);

    /// <summary>An atomic or volatile access: such do not race with each other.</summary>
    public bool Strong => (Bits & StrongBit) != 0;

    public bool IsWrite => (Bits & WriteBit) != 0;

    public uint Time => (uint)(Bits >> 6) & TimeMask;

    public int Thread => (int)(Bits >> 24) & 1023;

    public uint Block => (uint)(Bits >> 34) & BlockMask;

    public uint Tag => (uint)(Bits >> 56);

    /// <summary>The part that all accesses of one warp at one time share.</summary>
    public static ulong Prefix(uint tag, uint block, uint time) =>
        ((ulong)(tag & TagMask) << 56) | ((ulong)(block & BlockMask) << 34) | ((ulong)(time & TimeMask) << 6);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static AccessRecord Of(ulong prefix, int thread, int bytes, bool write, bool strong) =>
        new(prefix | ((ulong)(uint)thread << 24) | (write ? WriteBit : 0) | (strong ? StrongBit : 0) | (uint)bytes);

    /// <summary>Whether both are of the same thread of the same launch.</summary>
    public bool SameThread(AccessRecord other) => ((Bits ^ other.Bits) & ~((1ul << 24) - 1)) == 0;
}

/// <summary>
/// For every 4-byte word of a piece of memory the last write and two reads by different threads, each with the instruction that did it.
/// Two, so that of any thread that writes later at least one reader differs.
/// </summary>
internal sealed unsafe class RaceTable : IDisposable
{
    private readonly nuint _words;

    public RaceTable(long bytes)
    {
        _words = (nuint)(bytes / 4 + 1);
        // Pages that no kernel touches are never backed by memory.
        Writes = (ulong*)NativeMemory.AllocZeroed(_words, sizeof(ulong));
        Reads = (ulong*)NativeMemory.AllocZeroed(_words, 2 * sizeof(ulong));
        WritePlaces = (ushort*)NativeMemory.AllocZeroed(_words, sizeof(ushort));
        ReadPlaces = (ushort*)NativeMemory.AllocZeroed(_words, 2 * sizeof(ushort));
    }

    ~RaceTable() => Release();

    public ulong* Writes { get; private set; }

    /// <summary>Two for each word.</summary>
    public ulong* Reads { get; private set; }

    /// <summary>The index of the instruction in its kernel; of long kernels the lowest 16 bits.</summary>
    public ushort* WritePlaces { get; private set; }

    public ushort* ReadPlaces { get; private set; }

    /// <summary>Forgets the first so many bytes.</summary>
    public void Clear(long bytes)
    {
        nuint words = Math.Min(_words, (nuint)(bytes / 4 + 1));
        NativeMemory.Clear(Writes, words * sizeof(ulong));
        NativeMemory.Clear(Reads, words * 2 * sizeof(ulong));
    }

    /// <summary>Forgets what a block of the launch with this tag did long before a barrier of all its threads.</summary>
    public void Forget(uint tag, long block, uint allBefore)
    {
        for (nuint i = 0; i < _words; i++)
            Forget(Writes + i);
        for (nuint i = 0; i < 2 * _words; i++)
            Forget(Reads + i);

        void Forget(ulong* slot)
        {
            var record = new AccessRecord(*slot);
            if (record.Tag == tag && record.Block == ((uint)block & AccessRecord.BlockMask) && BlockOrder.IsLongBefore(record.Time, allBefore))
                Interlocked.CompareExchange(ref *slot, 0, record.Bits);
        }
    }

    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    private void Release()
    {
        NativeMemory.Free(Writes);
        NativeMemory.Free(Reads);
        NativeMemory.Free(WritePlaces);
        NativeMemory.Free(ReadPlaces);
        Writes = Reads = null;
        WritePlaces = ReadPlaces = null;
    }
}
