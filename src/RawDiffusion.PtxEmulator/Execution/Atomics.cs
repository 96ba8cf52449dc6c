using System.Numerics;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>atom and red: lanes one after the other, by compare-and-swap, since blocks run on several threads.</summary>
internal static unsafe class Atomics
{
    public static nint Select(in Instruction i) => i.Space switch
    {
        StateSpace.Global => InSpace<GlobalSpace>(i),
        StateSpace.Shared => InSpace<SharedSpace>(i),
        StateSpace.Generic => InSpace<GenericSpace>(i),
        _ => 0,
    };

    private static nint InSpace<TSpace>(in Instruction i)
        where TSpace : struct, IAddressSpace
    {
        var operation = (AtomicOperation)i.Mode;
        switch (i.Type)
        {
            case PtxType.F32 when operation == AtomicOperation.Add:
                return At(&Word<TSpace, AddSingle>);
            case PtxType.F64 when operation == AtomicOperation.Add:
                return At(&Double<TSpace, AddDouble>);
            case PtxType.F16x2 when operation == AtomicOperation.Add:
                return At(&Word<TSpace, AddPair<Halves.F16>>);
            case PtxType.BF16x2 when operation == AtomicOperation.Add:
                return At(&Word<TSpace, AddPair<Halves.BF16>>);
            case PtxType.F16 when operation == AtomicOperation.Add:
                return At(&Short<TSpace, AddOne<Halves.F16>>);
            case PtxType.BF16 when operation == AtomicOperation.Add:
                return At(&Short<TSpace, AddOne<Halves.BF16>>);
            case PtxType.B16 when operation == AtomicOperation.CompareAndSwap:
                return At(&Short<TSpace, CompareAndSwap<ushort>>);
            case PtxType.B32 or PtxType.U32 or PtxType.S32:
                return Integer<TSpace, uint, int>(operation, i.Type == PtxType.S32);
            case PtxType.B64 or PtxType.U64 or PtxType.S64:
                return Integer<TSpace, ulong, long>(operation, i.Type == PtxType.S64);
            default:
                return 0;
        }
    }

    private static nint Integer<TSpace, T, TSigned>(AtomicOperation operation, bool signed)
        where TSpace : struct, IAddressSpace
        where T : unmanaged, IBinaryInteger<T>
        where TSigned : unmanaged, IBinaryInteger<TSigned> => operation switch
        {
            AtomicOperation.Add => Pick<TSpace, T, Add<T>>(),
            AtomicOperation.Minimum => signed ? Pick<TSpace, T, Least<T, TSigned>>() : Pick<TSpace, T, Least<T, T>>(),
            AtomicOperation.Maximum => signed ? Pick<TSpace, T, Greatest<T, TSigned>>() : Pick<TSpace, T, Greatest<T, T>>(),
            AtomicOperation.And => Pick<TSpace, T, And<T>>(),
            AtomicOperation.Or => Pick<TSpace, T, Or<T>>(),
            AtomicOperation.Xor => Pick<TSpace, T, Xor<T>>(),
            AtomicOperation.Exchange => Pick<TSpace, T, Exchange<T>>(),
            AtomicOperation.CompareAndSwap => Pick<TSpace, T, CompareAndSwap<T>>(),
            AtomicOperation.Increment => Pick<TSpace, T, Increment<T>>(),
            AtomicOperation.Decrement => Pick<TSpace, T, Decrement<T>>(),
            _ => 0,
        };

    private static nint Pick<TSpace, T, TOp>()
        where TSpace : struct, IAddressSpace
        where T : unmanaged
        where TOp : struct, IAtomic<T>
    {
        if (typeof(T) == typeof(uint))
            return At(&Word<TSpace, AsWord<TOp, T>>);
        return At(&Double<TSpace, AsDouble<TOp, T>>);
    }

    /// <summary>The new value from the old one and the operands.</summary>
    internal interface IAtomic<T>
    {
        static abstract T Invoke(T old, T b, T c);
    }

    private readonly struct AsWord<TOp, T> : IAtomic<uint>
        where TOp : struct, IAtomic<T>
        where T : unmanaged
    {
        public static uint Invoke(uint old, uint b, uint c)
        {
            T result = TOp.Invoke(*(T*)&old, *(T*)&b, *(T*)&c);
            return *(uint*)&result;
        }
    }

    private readonly struct AsDouble<TOp, T> : IAtomic<ulong>
        where TOp : struct, IAtomic<T>
        where T : unmanaged
    {
        public static ulong Invoke(ulong old, ulong b, ulong c)
        {
            T result = TOp.Invoke(*(T*)&old, *(T*)&b, *(T*)&c);
            return *(ulong*)&result;
        }
    }

    private static void Word<TSpace, TOp>(Warp w, Instruction* i, uint mask)
        where TSpace : struct, IAddressSpace
        where TOp : struct, IAtomic<uint>
    {
        AddressSpaces.Prepare(w, i, mask, 4);
        TSpace.Each(w, i, mask, 4, true);
        uint* b = (uint*)(w.R + i->B), c = i->C < 0 ? b : (uint*)(w.R + i->C);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            ref uint place = ref *(uint*)w.Addresses[lane];
            uint old = Volatile.Read(ref place);
            while (true)
            {
                uint seen = Interlocked.CompareExchange(ref place, TOp.Invoke(old, b[lane], c[lane]), old);
                if (seen == old)
                    break;
                old = seen;
            }
            if (i->D >= 0)
                ((uint*)(w.R + i->D))[lane] = old;
        }
    }

    /// <summary>Registers of 16 bits are kept like those of 32, with zeros above.</summary>
    private static void Short<TSpace, TOp>(Warp w, Instruction* i, uint mask)
        where TSpace : struct, IAddressSpace
        where TOp : struct, IAtomic<ushort>
    {
        AddressSpaces.Prepare(w, i, mask, 2);
        TSpace.Each(w, i, mask, 2, true);
        uint* b = (uint*)(w.R + i->B), c = i->C < 0 ? b : (uint*)(w.R + i->C);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            ref ushort place = ref *(ushort*)w.Addresses[lane];
            ushort old = Volatile.Read(ref place);
            while (true)
            {
                ushort seen = Interlocked.CompareExchange(ref place, TOp.Invoke(old, (ushort)b[lane], (ushort)c[lane]), old);
                if (seen == old)
                    break;
                old = seen;
            }
            if (i->D >= 0)
                ((uint*)(w.R + i->D))[lane] = old;
        }
    }

    private static void Double<TSpace, TOp>(Warp w, Instruction* i, uint mask)
        where TSpace : struct, IAddressSpace
        where TOp : struct, IAtomic<ulong>
    {
        AddressSpaces.Prepare(w, i, mask, 8);
        TSpace.Each(w, i, mask, 8, true);
        ulong* b = (ulong*)(w.R + i->B), c = i->C < 0 ? b : (ulong*)(w.R + i->C);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            ref ulong place = ref *(ulong*)w.Addresses[lane];
            ulong old = Volatile.Read(ref place);
            while (true)
            {
                ulong seen = Interlocked.CompareExchange(ref place, TOp.Invoke(old, b[lane], c[lane]), old);
                if (seen == old)
                    break;
                old = seen;
            }
            if (i->D >= 0)
                ((ulong*)(w.R + i->D))[lane] = old;
        }
    }

    private readonly struct Add<T> : IAtomic<T>
        where T : INumber<T>
    {
        public static T Invoke(T old, T b, T c) => old + b;
    }

    private readonly struct Least<T, TCompared> : IAtomic<T>
        where T : IBinaryInteger<T>
        where TCompared : IBinaryInteger<TCompared>
    {
        public static T Invoke(T old, T b, T c) => TCompared.CreateTruncating(b) < TCompared.CreateTruncating(old) ? b : old;
    }

    private readonly struct Greatest<T, TCompared> : IAtomic<T>
        where T : IBinaryInteger<T>
        where TCompared : IBinaryInteger<TCompared>
    {
        public static T Invoke(T old, T b, T c) => TCompared.CreateTruncating(b) > TCompared.CreateTruncating(old) ? b : old;
    }

    private readonly struct And<T> : IAtomic<T>
        where T : IBinaryInteger<T>
    {
        public static T Invoke(T old, T b, T c) => old & b;
    }

    private readonly struct Or<T> : IAtomic<T>
        where T : IBinaryInteger<T>
    {
        public static T Invoke(T old, T b, T c) => old | b;
    }

    private readonly struct Xor<T> : IAtomic<T>
        where T : IBinaryInteger<T>
    {
        public static T Invoke(T old, T b, T c) => old ^ b;
    }

    private readonly struct Exchange<T> : IAtomic<T>
        where T : IBinaryInteger<T>
    {
        public static T Invoke(T old, T b, T c) => b;
    }

    private readonly struct CompareAndSwap<T> : IAtomic<T>
        where T : IBinaryInteger<T>
    {
        public static T Invoke(T old, T b, T c) => old == b ? c : old;
    }

    private readonly struct Increment<T> : IAtomic<T>
        where T : IBinaryInteger<T>
    {
        public static T Invoke(T old, T b, T c) => old >= b ? T.Zero : old + T.One;
    }

    private readonly struct Decrement<T> : IAtomic<T>
        where T : IBinaryInteger<T>
    {
        public static T Invoke(T old, T b, T c) => old == T.Zero || old > b ? b : old - T.One;
    }

    private readonly struct AddSingle : IAtomic<uint>
    {
        public static uint Invoke(uint old, uint b, uint c)
        {
            float sum = BitConverter.UInt32BitsToSingle(old) + BitConverter.UInt32BitsToSingle(b);
            return float.IsNaN(sum) ? 0x7FFFFFFF : BitConverter.SingleToUInt32Bits(sum);
        }
    }

    private readonly struct AddDouble : IAtomic<ulong>
    {
        public static ulong Invoke(ulong old, ulong b, ulong c) =>
            BitConverter.DoubleToUInt64Bits(BitConverter.UInt64BitsToDouble(old) + BitConverter.UInt64BitsToDouble(b));
    }

    private readonly struct AddOne<TFormat> : IAtomic<ushort>
        where TFormat : struct, Halves.IFormat
    {
        public static ushort Invoke(ushort old, ushort b, ushort c) => (ushort)TFormat.Write(TFormat.Read(old) + TFormat.Read(b));
    }

    private readonly struct AddPair<TFormat> : IAtomic<uint>
        where TFormat : struct, Halves.IFormat
    {
        public static uint Invoke(uint old, uint b, uint c) =>
            TFormat.Write(TFormat.Read(old & 0xFFFF) + TFormat.Read(b & 0xFFFF)) | TFormat.Write(TFormat.Read(old >> 16) + TFormat.Read(b >> 16)) << 16;
    }
}
