using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// Loads and stores. Where all lanes take part and read the same place, or places side by side, one test covers them all and the data
/// moves as vectors; else each lane goes its own way.
/// </summary>
internal static unsafe class MemoryAccess
{
    public static nint Select(in Instruction i)
    {
        if (i.Opcode is Opcode.Prefetch or Opcode.Membar)
            return At(&Nothing);
        return i.Space switch
        {
            StateSpace.Global or StateSpace.Constant => InSpace<GlobalSpace>(i),
            StateSpace.Shared => InSpace<SharedSpace>(i),
            StateSpace.Local => InSpace<LocalSpace>(i),
            StateSpace.Parameter => i.Opcode == Opcode.Ld ? InSpace<ParameterSpace>(i) : 0,
            _ => InSpace<GenericSpace>(i),
        };
    }

    // Blocks run on threads of this process, whose memory order on x86 and by the locks of atomics is stronger than CUDA's.
    private static void Nothing(Warp w, Instruction* i, uint mask) => Thread.MemoryBarrier();

    private static nint InSpace<TSpace>(in Instruction i)
        where TSpace : struct, IAddressSpace
    {
        int bytes = i.Type.Bytes();
        if (i.Opcode == Opcode.St)
        {
            return (bytes, i.DeclaredType.Bytes() == 8) switch
            {
                (1, false) => At(&Store<TSpace, byte, uint>),
                (2, false) => At(&Store<TSpace, ushort, uint>),
                (4, false) => At(&Store<TSpace, uint, uint>),
                (1, true) => At(&Store<TSpace, byte, ulong>),
                (2, true) => At(&Store<TSpace, ushort, ulong>),
                (4, true) => At(&Store<TSpace, uint, ulong>),
                (8, _) => At(&Store<TSpace, ulong, ulong>),
                _ => 0,
            };
        }
        bool wide = i.DeclaredType.Bytes() == 8, narrow = i.DeclaredType.Bytes() <= 2;
        return (i.Type, wide, narrow) switch
        {
            (PtxType.S8, true, _) => At(&Load<TSpace, sbyte, ulong>),
            (PtxType.S8, _, true) => At(&Load<TSpace, sbyte, ushort>),
            (PtxType.S8, _, _) => At(&Load<TSpace, sbyte, uint>),
            (PtxType.S16, true, _) => At(&Load<TSpace, short, ulong>),
            (PtxType.S16, _, true) => At(&Load<TSpace, ushort, uint>),
            (PtxType.S16, _, _) => At(&Load<TSpace, short, uint>),
            (PtxType.S32, true, _) => At(&Load<TSpace, int, ulong>),
            _ when wide => bytes switch
            {
                1 => At(&Load<TSpace, byte, ulong>),
                2 => At(&Load<TSpace, ushort, ulong>),
                4 => At(&Load<TSpace, uint, ulong>),
                8 => At(&Load<TSpace, ulong, ulong>),
                _ => 0,
            },
            _ => bytes switch
            {
                1 => At(&Load<TSpace, byte, uint>),
                2 => At(&Load<TSpace, ushort, uint>),
                4 => At(&Load<TSpace, uint, uint>),
                _ => 0,
            },
        };
    }

    /// <summary>The value in memory, extended by its own signedness to the register; TRegister ushort: to 16 bits in a lane of 32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Extend<TValue, TRegister>(TValue value)
        where TValue : unmanaged, IBinaryInteger<TValue>
    {
        ulong bits = typeof(TValue) == typeof(sbyte) || typeof(TValue) == typeof(short) || typeof(TValue) == typeof(int)
            ? (ulong)long.CreateTruncating(value) : ulong.CreateTruncating(value);
        return typeof(TRegister) == typeof(ushort) ? bits & 0xFFFF : bits;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SetLane<TRegister>(byte* register, int lane, ulong value)
    {
        if (typeof(TRegister) == typeof(ulong))
            ((ulong*)register)[lane] = value;
        else
            ((uint*)register)[lane] = (uint)value;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Load<TSpace, TValue, TRegister>(Warp w, Instruction* i, uint mask)
        where TSpace : struct, IAddressSpace
        where TValue : unmanaged, IBinaryInteger<TValue>
    {
        int count = i->Vector, bytes = sizeof(TValue) * count;
        AddressPattern pattern = AddressSpaces.Resolve<TSpace>(w, i, mask, bytes, false, out ulong delta);
        int single = i->D;
        int* slots = count == 1 ? &single : w.Operands + i->List;
        byte* first = (byte*)(w.Addresses[0] + delta);
        if (pattern == AddressPattern.Uniform)
        {
            for (int k = 0; k < count; k++)
            {
                if (slots[k] >= 0)
                    Broadcast<TRegister>(w.R + slots[k], Extend<TValue, TRegister>(((TValue*)first)[k]));
            }
            return;
        }
        if (count == 1 && pattern == AddressPattern.Consecutive)
        {
            LoadRow<TValue, TRegister>(w.R + single, (TValue*)first);
            return;
        }
        if (sizeof(TValue) == 4 && typeof(TRegister) == typeof(uint) && pattern >= AddressPattern.Mixed)
        {
            if (count == 1)
                GroupedAccess.Load(w, (uint*)(w.R + single), delta);
            else if (count == 4)
                GroupedAccess.Load4(w, slots, delta);
            else
                GroupedAccess.Load2(w, slots, delta);
            return;
        }
        for (int k = 0; k < count; k++)
        {
            if (slots[k] < 0)
                continue;
            byte* register = w.R + slots[k];
            for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
            {
                int lane = BitOperations.TrailingZeroCount(lanes);
                SetLane<TRegister>(register, lane, Extend<TValue, TRegister>(((TValue*)(w.Addresses[lane] + delta))[k]));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Broadcast<TRegister>(byte* register, ulong value)
    {
        if (typeof(TRegister) == typeof(ulong))
        {
            for (int q = 0; q < 4; q++)
                Vector512.Create(value).Store((ulong*)register + 8 * q);
        }
        else
        {
            Vector512.Create((uint)value).Store((uint*)register);
            Vector512.Create((uint)value).Store((uint*)register + 16);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void LoadRow<TValue, TRegister>(byte* register, TValue* from)
        where TValue : unmanaged, IBinaryInteger<TValue>
    {
        if (sizeof(TValue) == 4 && typeof(TRegister) == typeof(uint))
        {
            Vector512.Load((uint*)from).Store((uint*)register);
            Vector512.Load((uint*)from + 16).Store((uint*)register + 16);
        }
        else if (sizeof(TValue) == 8)
        {
            for (int q = 0; q < 4; q++)
                Vector512.Load((ulong*)from + 8 * q).Store((ulong*)register + 8 * q);
        }
        else
        {
            for (int lane = 0; lane < 32; lane++)
                SetLane<TRegister>(register, lane, Extend<TValue, TRegister>(from[lane]));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Store<TSpace, TValue, TRegister>(Warp w, Instruction* i, uint mask)
        where TSpace : struct, IAddressSpace
        where TValue : unmanaged, IBinaryInteger<TValue>
    {
        int count = i->Vector, bytes = sizeof(TValue) * count;
        AddressPattern pattern = AddressSpaces.Resolve<TSpace>(w, i, mask, bytes, true, out ulong delta);
        int single = i->B;
        int* slots = count == 1 ? &single : w.Operands + i->List;
        if (pattern == AddressPattern.Consecutive && count != 2 && sizeof(TValue) == 4 && typeof(TRegister) == typeof(uint))
        {
            byte* to = (byte*)(w.Addresses[0] + delta);
            if (count == 4)
            {
                GroupedAccess.Store4(w, slots, (uint*)to);
                return;
            }
            Lanes.Load32(w.R + single, 0).Store((uint*)to);
            Lanes.Load32(w.R + single, 1).Store((uint*)to + 16);
            return;
        }
        for (int k = 0; k < count; k++)
        {
            byte* register = w.R + slots[k];
            for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
            {
                int lane = BitOperations.TrailingZeroCount(lanes);
                ((TValue*)(w.Addresses[lane] + delta))[k] = GetLane<TValue, TRegister>(register, lane);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TValue GetLane<TValue, TRegister>(byte* register, int lane)
        where TValue : unmanaged, IBinaryInteger<TValue> =>
        typeof(TRegister) == typeof(ulong) ? TValue.CreateTruncating(((ulong*)register)[lane]) : TValue.CreateTruncating(((uint*)register)[lane]);
}
