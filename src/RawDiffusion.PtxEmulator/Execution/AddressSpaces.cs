using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>A piece of memory that all lanes see alike: the address Start + n is at Native + n, for n below Length.</summary>
internal unsafe ref struct MemoryWindow
{
    public ulong Start, Length;
    public byte* Native;
}

/// <summary>How addresses of a state space become pointers into this process.</summary>
internal unsafe interface IAddressSpace
{
    /// <summary>The piece of memory that an address lies in, as far as it may be accessed; false: none that all lanes share.</summary>
    static abstract bool TryWindow(Warp w, Instruction* i, ulong address, bool write, ref MemoryWindow window);

    /// <summary>Replaces the addresses of the lanes of the mask in <see cref="Warp.Addresses"/> by pointers, or throws.</summary>
    static abstract void Each(Warp w, Instruction* i, uint mask, int bytes, bool write);
}

internal enum AddressPattern
{
    /// <summary>Not all lanes take part, or they access different pieces of memory.</summary>
    Scattered,

    /// <summary>All lanes take part, in one piece of memory.</summary>
    Mixed,

    /// <summary>All lanes access the same place.</summary>
    Uniform,

    /// <summary>Each lane accesses what follows that of the lane before.</summary>
    Consecutive,
}

internal static unsafe class AddressSpaces
{
    /// <summary>
    /// Puts each lane's address A + Offset into <see cref="Warp.Addresses"/> and says how they lie. Tests alignment and bounds: adding
    /// <paramref name="delta"/> to a lane's number there gives its pointer.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static AddressPattern Resolve<TSpace>(Warp w, Instruction* i, uint mask, int bytes, bool write, out ulong delta)
        where TSpace : struct, IAddressSpace
    {
        Addresses(w, i, out Vector512<ulong> a0, out Vector512<ulong> a1, out Vector512<ulong> a2, out Vector512<ulong> a3);
        ulong* addresses = w.Addresses;
        a0.Store(addresses);
        a1.Store(addresses + 8);
        a2.Store(addresses + 16);
        a3.Store(addresses + 24);
        bool all = mask == Lanes.All;
        if (((a0 | a1 | a2 | a3) & Vector512.Create((ulong)(bytes - 1))) != Vector512<ulong>.Zero)
            CheckAlignment(w, i, mask, bytes);
        MemoryWindow window = default;
        ulong first = addresses[BitOperations.TrailingZeroCount(mask)];
        if (!TSpace.TryWindow(w, i, first, write, ref window) || window.Length < (ulong)bytes)
        {
            TSpace.Each(w, i, mask, bytes, write);
            delta = 0;
            return AddressPattern.Scattered;
        }
        Vector512<ulong> start = Vector512.Create(window.Start), last = Vector512.Create(window.Length - (ulong)bytes);
        Vector512<ulong> o0 = Vector512.GreaterThan(a0 - start, last), o1 = Vector512.GreaterThan(a1 - start, last),
            o2 = Vector512.GreaterThan(a2 - start, last), o3 = Vector512.GreaterThan(a3 - start, last);
        if ((o0 | o1 | o2 | o3) != Vector512<ulong>.Zero && (all || (Outside(o0, o1, o2, o3) & mask) != 0))
        {
            // Lanes may well lie in different pieces of memory.
            TSpace.Each(w, i, mask, bytes, write);
            delta = 0;
            return AddressPattern.Scattered;
        }
        delta = (ulong)window.Native - window.Start;
        if (!all)
            return AddressPattern.Scattered;
        var step = Vector512.Create(0ul, 1, 2, 3, 4, 5, 6, 7) * (ulong)bytes;
        Vector512<ulong> same = Vector512.Create(first), next = same + step;
        ulong stride = 8 * (ulong)bytes;
        if (((a0 ^ next) | (a1 ^ (next + Vector512.Create(stride))) | (a2 ^ (next + Vector512.Create(2 * stride))) | (a3 ^ (next + Vector512.Create(3 * stride))))
            == Vector512<ulong>.Zero)
        {
            return AddressPattern.Consecutive;
        }
        return ((a0 ^ same) | (a1 ^ same) | (a2 ^ same) | (a3 ^ same)) == Vector512<ulong>.Zero ? AddressPattern.Uniform : AddressPattern.Mixed;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static uint Outside(Vector512<ulong> o0, Vector512<ulong> o1, Vector512<ulong> o2, Vector512<ulong> o3) =>
        (uint)(Vector512.ExtractMostSignificantBits(o0) | Vector512.ExtractMostSignificantBits(o1) << 8
            | Vector512.ExtractMostSignificantBits(o2) << 16 | Vector512.ExtractMostSignificantBits(o3) << 24);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Addresses(Warp w, Instruction* i, out Vector512<ulong> a0, out Vector512<ulong> a1, out Vector512<ulong> a2, out Vector512<ulong> a3)
    {
        byte* source = w.R + i->A;
        if (i->A < 0)
            a0 = a1 = a2 = a3 = Vector512.Create((ulong)i->Offset);
        else if (i->SourceType is PtxType.U32 or PtxType.B32 or PtxType.S32)
        {
            var offset = Vector512.Create((uint)i->Offset);
            (a0, a1) = Vector512.Widen(Lanes.Load32(source, 0) + offset);
            (a2, a3) = Vector512.Widen(Lanes.Load32(source, 1) + offset);
        }
        else
        {
            var offset = Vector512.Create((ulong)i->Offset);
            a0 = Lanes.Load64(source, 0) + offset;
            a1 = Lanes.Load64(source, 1) + offset;
            a2 = Lanes.Load64(source, 2) + offset;
            a3 = Lanes.Load64(source, 3) + offset;
        }
    }

    /// <summary>Puts each lane's address A + Offset into <see cref="Warp.Addresses"/> and tests their alignment.</summary>
    public static void Prepare(Warp w, Instruction* i, uint mask, int bytes)
    {
        Addresses(w, i, out Vector512<ulong> a0, out Vector512<ulong> a1, out Vector512<ulong> a2, out Vector512<ulong> a3);
        a0.Store(w.Addresses);
        a1.Store(w.Addresses + 8);
        a2.Store(w.Addresses + 16);
        a3.Store(w.Addresses + 24);
        CheckAlignment(w, i, mask, bytes);
    }

    private static void CheckAlignment(Warp w, Instruction* i, uint mask, int bytes)
    {
        ulong below = (ulong)(bytes - 1);
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            if ((w.Addresses[lane] & below) != 0)
                throw w.Fault(HazardKind.Misaligned, i, 1u << lane, $"misaligned {Name(i)} of {bytes} bytes", i->Space, w.Addresses[lane], Where(w, i, w.Addresses[lane]));
        }
    }

    public static EmulationFaultException OutOfBounds(Warp w, Instruction* i, int lane, ulong address, int bytes, StateSpace space)
    {
        HazardKind kind = space == StateSpace.Global ? w.Block.Memory.Classify(address) : HazardKind.OutOfBounds;
        string what = kind == HazardKind.UseAfterFree ? "of memory that was freed" : $"out of bounds of {SpaceName(space)} memory";
        return w.Fault(kind, i, 1u << lane, $"{Name(i)} of {bytes} bytes {what}", space, address, Where(w, i, address));
    }

    public static string Name(Instruction* i) => i->Opcode switch
    {
        Opcode.Ld or Opcode.Ldmatrix => "read",
        Opcode.St or Opcode.Stmatrix => "write",
        Opcode.CpAsync => "asynchronous copy",
        Opcode.Mbarrier or Opcode.CpAsyncMbarrierArrive => "mbarrier operation",
        _ => "atomic operation",
    };

    private static string SpaceName(StateSpace space) => space switch
    {
        StateSpace.Shared => "shared",
        StateSpace.Local => "local",
        StateSpace.Parameter => "parameter",
        StateSpace.Constant => "constant",
        _ => "global",
    };

    /// <summary>What is at an address, for reports.</summary>
    public static string Where(Warp w, Instruction* i, ulong address)
    {
        StateSpace space = i->Space;
        if (space == StateSpace.Generic)
        {
            space = (address & AddressWindows.Mask) switch
            {
                AddressWindows.Shared => StateSpace.Shared,
                AddressWindows.Local => StateSpace.Local,
                AddressWindows.Parameter => StateSpace.Parameter,
                _ => StateSpace.Global,
            };
            if (space != StateSpace.Global)
                address = (uint)address;
        }
        switch (space)
        {
            case StateSpace.Shared:
                return $"{BlockChecks.DescribeShared(w.Kernel, address)}; the block has {w.Block.SharedBytes} bytes of shared memory";
            case StateSpace.Local:
                return $"the thread has {w.Kernel.LocalBytes} bytes of local memory";
            case StateSpace.Parameter:
                return $"the kernel has {w.Kernel.ParameterBytes} bytes of parameters";
            default:
                return w.Block.Memory.Describe(address);
        }
    }
}

/// <summary>Global and constant memory: regions of the <see cref="MemorySpace"/>, of which each instruction remembers the last.</summary>
internal unsafe struct GlobalSpace : IAddressSpace
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWindow(Warp w, Instruction* i, ulong address, bool write, ref MemoryWindow window)
    {
        ref MemoryRegion region = ref w.Block.Regions[w.PcOf(i)];
        if (address - region.Start >= region.End - region.Start && !Find(w, ref region, address))
            return false;
        window.Start = region.Start;
        window.Length = region.End - region.Start;
        window.Native = (byte*)region.Native;
        return !(write && region.IsReadOnly);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Find(Warp w, ref MemoryRegion region, ulong address)
    {
        if (!w.Block.Memory.TryFind(address, out MemoryRegion found))
            return false;
        region = found;
        return true;
    }

    public static void Each(Warp w, Instruction* i, uint mask, int bytes, bool write)
    {
        ulong* addresses = w.Addresses;
        ref MemoryRegion region = ref w.Block.Regions[w.PcOf(i)];
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            addresses[lane] = (ulong)One(w, i, ref region, lane, addresses[lane], bytes, write);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* One(Warp w, Instruction* i, ref MemoryRegion region, int lane, ulong address, int bytes, bool write)
    {
        ulong from = address - region.Start, length = region.End - region.Start;
        if (from < length && (ulong)bytes <= length - from && !(write && region.IsReadOnly))
            return (byte*)region.Native + from;
        return Slow(w, i, ref region, lane, address, bytes, write);
    }

    private static byte* Slow(Warp w, Instruction* i, ref MemoryRegion region, int lane, ulong address, int bytes, bool write)
    {
        if (!w.Block.Memory.TryFind(address, out MemoryRegion found) || !found.Contains(address, bytes))
            throw AddressSpaces.OutOfBounds(w, i, lane, address, bytes, StateSpace.Global);
        if (write && found.IsReadOnly)
            throw w.Fault(HazardKind.WriteToConstant, i, 1u << lane, $"{AddressSpaces.Name(i)} of constant memory", StateSpace.Constant, address, w.Block.Memory.Describe(address));
        region = found;
        return found.At(address);
    }
}

internal unsafe struct SharedSpace : IAddressSpace
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWindow(Warp w, Instruction* i, ulong address, bool write, ref MemoryWindow window)
    {
        window.Start = 0;
        window.Length = (ulong)w.Block.SharedBytes;
        window.Native = w.Block.Shared;
        return true;
    }

    public static void Each(Warp w, Instruction* i, uint mask, int bytes, bool write)
    {
        ulong* addresses = w.Addresses;
        ulong length = (ulong)w.Block.SharedBytes;
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong address = addresses[lane];
            if (address >= length || (ulong)bytes > length - address)
                throw AddressSpaces.OutOfBounds(w, i, lane, address, bytes, StateSpace.Shared);
            addresses[lane] = (ulong)(w.Block.Shared + address);
        }
    }
}

internal unsafe struct LocalSpace : IAddressSpace
{
    public static bool TryWindow(Warp w, Instruction* i, ulong address, bool write, ref MemoryWindow window) => false;

    public static void Each(Warp w, Instruction* i, uint mask, int bytes, bool write)
    {
        ulong* addresses = w.Addresses;
        ulong length = (ulong)w.Kernel.LocalBytes;
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong address = addresses[lane];
            if (address >= length || (ulong)bytes > length - address)
                throw AddressSpaces.OutOfBounds(w, i, lane, address, bytes, StateSpace.Local);
            addresses[lane] = (ulong)(w.Local + (long)lane * w.LocalStride + (long)address);
        }
    }
}

internal unsafe struct ParameterSpace : IAddressSpace
{
    public static bool TryWindow(Warp w, Instruction* i, ulong address, bool write, ref MemoryWindow window)
    {
        window.Start = 0;
        window.Length = (ulong)w.Kernel.ParameterBytes;
        window.Native = w.Block.Parameters;
        return !write;
    }

    public static void Each(Warp w, Instruction* i, uint mask, int bytes, bool write)
    {
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong address = w.Addresses[lane];
            ulong length = (ulong)w.Kernel.ParameterBytes;
            if (write || address >= length || (ulong)bytes > length - address)
                throw AddressSpaces.OutOfBounds(w, i, lane, address, bytes, StateSpace.Parameter);
            w.Addresses[lane] = (ulong)(w.Block.Parameters + address);
        }
    }
}

/// <summary>The generic space: windows for shared, local and parameter memory, and global memory elsewhere.</summary>
internal unsafe struct GenericSpace : IAddressSpace
{
    public static bool TryWindow(Warp w, Instruction* i, ulong address, bool write, ref MemoryWindow window)
    {
        switch (address & AddressWindows.Mask)
        {
            case AddressWindows.Shared:
                SharedSpace.TryWindow(w, i, (uint)address, write, ref window);
                window.Start = AddressWindows.Shared;
                return true;
            case AddressWindows.Parameter:
                bool readable = ParameterSpace.TryWindow(w, i, (uint)address, write, ref window);
                window.Start = AddressWindows.Parameter;
                return readable;
            case AddressWindows.Local:
                return false;
            default:
                return GlobalSpace.TryWindow(w, i, address, write, ref window);
        }
    }

    public static void Each(Warp w, Instruction* i, uint mask, int bytes, bool write)
    {
        ref MemoryRegion region = ref w.Block.Regions[w.PcOf(i)];
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            uint one = 1u << lane;
            ulong address = w.Addresses[lane];
            switch (address & AddressWindows.Mask)
            {
                case AddressWindows.Shared:
                    w.Addresses[lane] = (uint)address;
                    SharedSpace.Each(w, i, one, bytes, write);
                    break;
                case AddressWindows.Local:
                    w.Addresses[lane] = (uint)address;
                    LocalSpace.Each(w, i, one, bytes, write);
                    break;
                case AddressWindows.Parameter:
                    w.Addresses[lane] = (uint)address;
                    ParameterSpace.Each(w, i, one, bytes, write);
                    break;
                default:
                    w.Addresses[lane] = (ulong)GlobalSpace.One(w, i, ref region, lane, address, bytes, write);
                    break;
            }
        }
    }
}
