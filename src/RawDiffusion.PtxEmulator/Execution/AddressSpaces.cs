using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>How addresses of a state space become pointers into this process.</summary>
internal unsafe interface IAddressSpace
{
    /// <summary>Where a range of memory that all lanes see alike lies; null: not all of it is one accessible piece.</summary>
    static abstract byte* Range(Warp w, Instruction* i, ulong address, ulong bytes, bool write);

    /// <summary>Replaces the addresses of the lanes of the mask in <see cref="Warp.Addresses"/> by pointers, or throws.</summary>
    static abstract void Each(Warp w, Instruction* i, uint mask, int bytes, bool write);
}

internal enum AddressPattern
{
    /// <summary>Anything, or not all lanes take part.</summary>
    Scattered,

    /// <summary>All lanes access the same place.</summary>
    Uniform,

    /// <summary>Each lane accesses what follows that of the lane before.</summary>
    Consecutive,
}

internal static unsafe class AddressSpaces
{
    /// <summary>Puts each lane's address A + Offset into <see cref="Warp.Addresses"/>, says how they lie, and tests their alignment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static AddressPattern Prepare(Warp w, Instruction* i, uint mask, int bytes)
    {
        var step = Vector512.Create(0ul, 1, 2, 3, 4, 5, 6, 7) * (ulong)bytes;
        var offset = Vector512.Create((ulong)i->Offset);
        byte* source = w.R + i->A;
        Vector512<ulong> different = default, gaps = default, first = default, low = default;
        for (int q = 0; q < 4; q++)
        {
            Vector512<ulong> address;
            if (i->A < 0)
                address = offset;
            else if (i->SourceType is PtxType.U32 or PtxType.B32 or PtxType.S32)
            {
                (Vector256<ulong> lower, Vector256<ulong> upper) = Vector256.Widen(Vector256.Load((uint*)source + 8 * q));
                address = (Vector512.Create(lower, upper) + offset) & Vector512.Create(0xFFFFFFFFul);
            }
            else
                address = Lanes.Load64(source, q) + offset;
            address.Store(w.Addresses + 8 * q);
            if (q == 0)
                first = Vector512.Create(address.ToScalar());
            Vector512<ulong> distance = address - first;
            different |= distance;
            gaps |= distance ^ (step + Vector512.Create((ulong)(8 * q * bytes)));
            low |= address;
        }
        if (mask != Lanes.All)
        {
            CheckAlignment(w, i, mask, bytes);
            return AddressPattern.Scattered;
        }
        if ((low & Vector512.Create((ulong)(bytes - 1))) != Vector512<ulong>.Zero)
            CheckAlignment(w, i, mask, bytes);
        return gaps == Vector512<ulong>.Zero ? AddressPattern.Consecutive
            : different == Vector512<ulong>.Zero ? AddressPattern.Uniform : AddressPattern.Scattered;
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
    public static byte* Range(Warp w, Instruction* i, ulong address, ulong bytes, bool write)
    {
        ref MemoryRegion region = ref w.Block.Regions[w.PcOf(i)];
        ulong from = address - region.Start, length = region.End - region.Start;
        if (from < length && bytes <= length - from && !(write && region.IsReadOnly))
            return (byte*)region.Native + from;
        return Find(w, ref region, address, bytes, write);
    }

    private static byte* Find(Warp w, ref MemoryRegion region, ulong address, ulong bytes, bool write)
    {
        if (!w.Block.Memory.TryFind(address, out MemoryRegion found))
            return null;
        region = found;
        return found.Contains(address, (int)bytes) && !(write && found.IsReadOnly) ? found.At(address) : null;
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
    public static byte* Range(Warp w, Instruction* i, ulong address, ulong bytes, bool write)
    {
        ulong length = (ulong)w.Block.SharedBytes;
        return address < length && bytes <= length - address ? w.Block.Shared + address : null;
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
    public static byte* Range(Warp w, Instruction* i, ulong address, ulong bytes, bool write) => null;

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
    public static byte* Range(Warp w, Instruction* i, ulong address, ulong bytes, bool write)
    {
        ulong length = (ulong)w.Kernel.ParameterBytes;
        return !write && address < length && bytes <= length - address ? w.Block.Parameters + address : null;
    }

    public static void Each(Warp w, Instruction* i, uint mask, int bytes, bool write)
    {
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong address = w.Addresses[lane];
            byte* at = Range(w, i, address, (ulong)bytes, write);
            if (at == null)
                throw AddressSpaces.OutOfBounds(w, i, lane, address, bytes, StateSpace.Parameter);
            w.Addresses[lane] = (ulong)at;
        }
    }
}

/// <summary>The generic space: windows for shared, local and parameter memory, and global memory elsewhere.</summary>
internal unsafe struct GenericSpace : IAddressSpace
{
    public static byte* Range(Warp w, Instruction* i, ulong address, ulong bytes, bool write) => (address & AddressWindows.Mask) switch
    {
        AddressWindows.Shared => SharedSpace.Range(w, i, (uint)address, bytes, write),
        AddressWindows.Local => null,
        AddressWindows.Parameter => ParameterSpace.Range(w, i, (uint)address, bytes, write),
        _ => GlobalSpace.Range(w, i, address, bytes, write),
    };

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
