using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Elementwise;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Logic, shifts, and fields of bits.</summary>
internal static unsafe class Bits
{
    public static nint Select(in Instruction i)
    {
        int bytes = i.Type.Bytes();
        bool predicate = i.Type == PtxType.Pred, signed = i.Type.IsSigned();
        return i.Opcode switch
        {
            Opcode.And => predicate ? At(&LogicPredicate<AndOp>) : Width(bytes, At(&Binary<AndOp, uint>), At(&Binary<AndOp, uint>), At(&Binary<AndOp64, ulong>)),
            Opcode.Or => predicate ? At(&LogicPredicate<OrOp>) : Width(bytes, At(&Binary<OrOp, uint>), At(&Binary<OrOp, uint>), At(&Binary<OrOp64, ulong>)),
            Opcode.Xor => predicate ? At(&LogicPredicate<XorOp>) : Width(bytes, At(&Binary<XorOp, uint>), At(&Binary<XorOp, uint>), At(&Binary<XorOp64, ulong>)),
            Opcode.Not => predicate ? At(&NotPredicate) : Width(bytes, At(&Unary<NotNarrow, uint>), At(&Unary<NotOp<uint>, uint>), At(&Unary<NotOp<ulong>, ulong>)),
            Opcode.Cnot => Width(bytes, At(&Scalar1<IsZero<uint>, uint, uint>), At(&Scalar1<IsZero<uint>, uint, uint>), At(&Scalar1<IsZero<ulong>, ulong, ulong>)),
            Opcode.Shl => Width(bytes, At(&Binary<ShiftLeftNarrow, uint>), At(&Binary<ShiftLeft, uint>), At(&Scalar2<ShiftLeft64, ulong, uint, ulong>)),
            Opcode.Shr when signed => Width(bytes, At(&Binary<ShiftRightSignedNarrow, uint>), At(&Binary<ShiftRightSigned, uint>), At(&Scalar2<ShiftRightSigned64, long, uint, long>)),
            Opcode.Shr => Width(bytes, At(&Binary<ShiftRight, uint>), At(&Binary<ShiftRight, uint>), At(&Scalar2<ShiftRight64, ulong, uint, ulong>)),
            Opcode.Shf => (i.Has(InstructionFlags.Hi), i.Has(InstructionFlags.Clamp)) switch
            {
                (false, false) => At(&Scalar3<FunnelLeftWrap, uint, uint, uint, uint>),
                (false, true) => At(&Scalar3<FunnelLeftClamp, uint, uint, uint, uint>),
                (true, false) => At(&Scalar3<FunnelRightWrap, uint, uint, uint, uint>),
                (true, true) => At(&Scalar3<FunnelRightClamp, uint, uint, uint, uint>),
            },
            Opcode.Lop3 => At(&Lookup3),
            Opcode.Prmt => At(&Permute),
            Opcode.Popc => Width(bytes, 0, At(&Scalar1<Population<uint>, uint, uint>), At(&Scalar1<Population<ulong>, ulong, uint>)),
            Opcode.Clz => Width(bytes, 0, At(&Scalar1<LeadingZeros<uint>, uint, uint>), At(&Scalar1<LeadingZeros<ulong>, ulong, uint>)),
            Opcode.Brev => Width(bytes, 0, At(&Scalar1<Reverse32, uint, uint>), At(&Scalar1<Reverse64, ulong, ulong>)),
            Opcode.Bfind => Width(bytes, 0,
                signed ? At(&FindSigned<int>) : At(&FindUnsigned<uint>), signed ? At(&FindSigned<long>) : At(&FindUnsigned<ulong>)),
            Opcode.Bfe => Width(bytes, 0,
                signed ? At(&Scalar3<ExtractSigned<uint>, uint, uint, uint, uint>) : At(&Scalar3<Extract<uint>, uint, uint, uint, uint>),
                signed ? At(&Scalar3<ExtractSigned<ulong>, ulong, uint, uint, ulong>) : At(&Scalar3<Extract<ulong>, ulong, uint, uint, ulong>)),
            Opcode.Bfi => Width(bytes, 0, At(&Insert<uint>), At(&Insert<ulong>)),
            _ => 0,
        };
    }

    private static nint Width(int bytes, nint narrow, nint word, nint wide) => bytes switch { 2 => narrow, 4 => word, 8 => wide, _ => 0 };

    private static void LogicPredicate<TOp>(Warp w, Instruction* i, uint mask)
    {
        uint a = *(uint*)(w.R + i->A), b = *(uint*)(w.R + i->B);
        uint value = typeof(TOp) == typeof(AndOp) ? a & b : typeof(TOp) == typeof(OrOp) ? a | b : a ^ b;
        Lanes.StorePredicate(w.R + i->D, value, mask);
    }

    private static void NotPredicate(Warp w, Instruction* i, uint mask) => Lanes.StorePredicate(w.R + i->D, ~*(uint*)(w.R + i->A), mask);

    private readonly struct AndOp : IBinary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a, Vector512<uint> b) => a & b;
    }

    private readonly struct OrOp : IBinary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a, Vector512<uint> b) => a | b;
    }

    private readonly struct XorOp : IBinary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a, Vector512<uint> b) => a ^ b;
    }

    private readonly struct AndOp64 : IBinary<ulong>
    {
        public static Vector512<ulong> Invoke(Vector512<ulong> a, Vector512<ulong> b) => a & b;
    }

    private readonly struct OrOp64 : IBinary<ulong>
    {
        public static Vector512<ulong> Invoke(Vector512<ulong> a, Vector512<ulong> b) => a | b;
    }

    private readonly struct XorOp64 : IBinary<ulong>
    {
        public static Vector512<ulong> Invoke(Vector512<ulong> a, Vector512<ulong> b) => a ^ b;
    }

    private readonly struct NotOp<T> : IUnary<T>
        where T : unmanaged
    {
        public static Vector512<T> Invoke(Vector512<T> a) => ~a;
    }

    private readonly struct NotNarrow : IUnary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a) => Integers.Cut16(~a);
    }

    // Amounts beyond the width shift everything out, as the vector instructions of x86 do.
    private readonly struct ShiftLeft : IBinary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a, Vector512<uint> b) =>
            Avx512F.IsSupported ? Avx512F.ShiftLeftLogicalVariable(a, b) : Map<ShiftLeft32Scalar>(a, b);
    }

    private readonly struct ShiftLeftNarrow : IBinary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a, Vector512<uint> b) => Integers.Cut16(ShiftLeft.Invoke(a, b));
    }

    private readonly struct ShiftRight : IBinary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a, Vector512<uint> b) =>
            Avx512F.IsSupported ? Avx512F.ShiftRightLogicalVariable(a, b) : Map<ShiftRight32Scalar>(a, b);
    }

    private readonly struct ShiftRightSigned : IBinary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a, Vector512<uint> b) =>
            Avx512F.IsSupported ? Avx512F.ShiftRightArithmeticVariable(a.AsInt32(), b).AsUInt32() : Map<ShiftRightSigned32Scalar>(a, b);
    }

    private readonly struct ShiftRightSignedNarrow : IBinary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a, Vector512<uint> b) =>
            Integers.Cut16(ShiftRightSigned.Invoke(Integers.Extend16(a).AsUInt32(), b));
    }

    private static Vector512<uint> Map<TOp>(Vector512<uint> a, Vector512<uint> b)
        where TOp : struct, IScalar<uint, uint, uint>
    {
        uint* result = stackalloc uint[16];
        for (int k = 0; k < 16; k++)
            result[k] = TOp.Invoke(a[k], b[k]);
        return Vector512.Load(result);
    }

    private readonly struct ShiftLeft32Scalar : IScalar<uint, uint, uint>
    {
        public static uint Invoke(uint a, uint b) => b > 31 ? 0 : a << (int)b;
    }

    private readonly struct ShiftRight32Scalar : IScalar<uint, uint, uint>
    {
        public static uint Invoke(uint a, uint b) => b > 31 ? 0 : a >> (int)b;
    }

    private readonly struct ShiftRightSigned32Scalar : IScalar<uint, uint, uint>
    {
        public static uint Invoke(uint a, uint b) => (uint)((int)a >> (int)Math.Min(b, 31));
    }

    private readonly struct ShiftLeft64 : IScalar<ulong, uint, ulong>
    {
        public static ulong Invoke(ulong a, uint b) => b > 63 ? 0 : a << (int)b;
    }

    private readonly struct ShiftRight64 : IScalar<ulong, uint, ulong>
    {
        public static ulong Invoke(ulong a, uint b) => b > 63 ? 0 : a >> (int)b;
    }

    private readonly struct ShiftRightSigned64 : IScalar<long, uint, long>
    {
        public static long Invoke(long a, uint b) => a >> (int)Math.Min(b, 63);
    }

    private readonly struct FunnelLeftWrap : IScalar<uint, uint, uint, uint>
    {
        public static uint Invoke(uint low, uint high, uint amount) => (uint)((((ulong)high << 32 | low) << (int)(amount & 31)) >> 32);
    }

    private readonly struct FunnelLeftClamp : IScalar<uint, uint, uint, uint>
    {
        public static uint Invoke(uint low, uint high, uint amount) => (uint)((((ulong)high << 32 | low) << (int)Math.Min(amount, 32)) >> 32);
    }

    private readonly struct FunnelRightWrap : IScalar<uint, uint, uint, uint>
    {
        public static uint Invoke(uint low, uint high, uint amount) => (uint)(((ulong)high << 32 | low) >> (int)(amount & 31));
    }

    private readonly struct FunnelRightClamp : IScalar<uint, uint, uint, uint>
    {
        public static uint Invoke(uint low, uint high, uint amount) => (uint)(((ulong)high << 32 | low) >> (int)Math.Min(amount, 32));
    }

    private readonly struct IsZero<T> : IScalar<T, T>
        where T : INumber<T>
    {
        public static T Invoke(T a) => a == T.Zero ? T.One : T.Zero;
    }

    private readonly struct Population<T> : IScalar<T, uint>
        where T : IBinaryInteger<T>
    {
        public static uint Invoke(T a) => uint.CreateTruncating(T.PopCount(a));
    }

    private readonly struct LeadingZeros<T> : IScalar<T, uint>
        where T : IBinaryInteger<T>
    {
        public static uint Invoke(T a) => uint.CreateTruncating(T.LeadingZeroCount(a));
    }

    private readonly struct Reverse32 : IScalar<uint, uint>
    {
        public static uint Invoke(uint a)
        {
            a = ((a >> 1) & 0x55555555) | ((a & 0x55555555) << 1);
            a = ((a >> 2) & 0x33333333) | ((a & 0x33333333) << 2);
            a = ((a >> 4) & 0x0F0F0F0F) | ((a & 0x0F0F0F0F) << 4);
            return System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(a);
        }
    }

    private readonly struct Reverse64 : IScalar<ulong, ulong>
    {
        public static ulong Invoke(ulong a) => (ulong)Reverse32.Invoke((uint)a) << 32 | Reverse32.Invoke((uint)(a >> 32));
    }

    /// <summary>The position of the highest one, or of the highest bit that differs from the sign; all ones where there is none.</summary>
    private static void FindUnsigned<T>(Warp w, Instruction* i, uint mask)
        where T : unmanaged, IBinaryInteger<T>
    {
        T* a = (T*)(w.R + i->A);
        Find<T>(w, i, mask, lane => a[lane]);
    }

    private static void FindSigned<T>(Warp w, Instruction* i, uint mask)
        where T : unmanaged, IBinaryInteger<T>
    {
        T* a = (T*)(w.R + i->A);
        Find<T>(w, i, mask, lane => T.IsNegative(a[lane]) ? ~a[lane] : a[lane]);
    }

    private static void Find<T>(Warp w, Instruction* i, uint mask, Func<int, T> value)
        where T : unmanaged, IBinaryInteger<T>
    {
        uint* d = (uint*)(w.R + i->D);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            uint zeros = uint.CreateTruncating(T.LeadingZeroCount(value(lane))), bits = (uint)(8 * sizeof(T));
            d[lane] = zeros == bits ? uint.MaxValue : i->Has(InstructionFlags.ShiftAmount) ? zeros : bits - 1 - zeros;
        }
    }

    private readonly struct Extract<T> : IScalar<T, uint, uint, T>
        where T : unmanaged, IBinaryInteger<T>
    {
        public static T Invoke(T a, uint position, uint length)
        {
            (position, length) = (position & 0xFF, length & 0xFF);
            int bits = 8 * sizeof(T);
            if (position >= bits || length == 0)
                return T.Zero;
            T field = a >>> (int)position;
            return length >= bits ? field : field & ((T.One << (int)length) - T.One);
        }
    }

    private readonly struct ExtractSigned<T> : IScalar<T, uint, uint, T>
        where T : unmanaged, IBinaryInteger<T>
    {
        public static T Invoke(T a, uint position, uint length)
        {
            (position, length) = (position & 0xFF, length & 0xFF);
            uint bits = (uint)(8 * sizeof(T));
            if (length == 0)
                return T.Zero;
            // Beyond the most significant bit the field continues with the sign of the source.
            bool negative = (a >>> (int)Math.Min(position + length - 1, bits - 1) & T.One) != T.Zero;
            T field = Extract<T>.Invoke(a, position, length);
            uint have = position >= bits ? 0 : Math.Min(length, bits - position);
            if (!negative || have >= bits)
                return field;
            return field | (T.Zero - T.One) << (int)have;
        }
    }

    private static void Insert<T>(Warp w, Instruction* i, uint mask)
        where T : unmanaged, IBinaryInteger<T>
    {
        int* list = w.Operands + i->List;
        T* a = (T*)(w.R + list[0]), b = (T*)(w.R + list[1]), d = (T*)(w.R + i->D);
        uint* positions = (uint*)(w.R + list[2]), lengths = (uint*)(w.R + list[3]);
        int bits = 8 * sizeof(T);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            uint position = positions[lane] & 0xFF, length = lengths[lane] & 0xFF;
            if (position >= bits || length == 0)
            {
                d[lane] = b[lane];
                continue;
            }
            T field = length >= bits ? T.Zero - T.One : (T.One << (int)length) - T.One;
            d[lane] = (b[lane] & ~(field << (int)position)) | ((a[lane] & field) << (int)position);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Lookup3(Warp w, Instruction* i, uint mask)
    {
        Vector512<uint> low = default, high = default;
        for (int half = 0; half < 2; half++)
        {
            Vector512<uint> a = Lanes.Load32(w.R + i->A, half), b = Lanes.Load32(w.R + i->B, half), c = Lanes.Load32(w.R + i->C, half);
            Vector512<uint> result = default;
            for (int row = 0; row < 8; row++)
            {
                if ((i->Offset >> row & 1) != 0)
                    result |= ((row & 4) != 0 ? a : ~a) & ((row & 2) != 0 ? b : ~b) & ((row & 1) != 0 ? c : ~c);
            }
            (low, high) = half == 0 ? (result, high) : (low, result);
        }
        Lanes.Store32(w.R + i->D, low, high, mask);
    }

    private static void Permute(Warp w, Instruction* i, uint mask)
    {
        uint* a = (uint*)(w.R + i->A), b = (uint*)(w.R + i->B), c = (uint*)(w.R + i->C), d = (uint*)(w.R + i->D);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            ulong bytes = (ulong)b[lane] << 32 | a[lane];
            uint selector = (PermuteMode)i->Mode == PermuteMode.Index ? c[lane] : Selector((PermuteMode)i->Mode, c[lane] & 3);
            uint result = 0;
            for (int k = 0; k < 4; k++)
            {
                uint choice = selector >> (4 * k) & 0xF;
                uint value = (uint)(bytes >> (int)(8 * (choice & 7))) & 0xFF;
                if ((choice & 8) != 0)
                    value = (value & 0x80) != 0 ? 0xFFu : 0;
                result |= value << (8 * k);
            }
            d[lane] = result;
        }
    }

    /// <summary>The special modes of prmt as selectors of the general one; the tables of the PTX manual.</summary>
    private static uint Selector(PermuteMode mode, uint c) => (mode, c) switch
    {
        (PermuteMode.Forward4Extract, 0) => 0x3210,
        (PermuteMode.Forward4Extract, 1) => 0x4321,
        (PermuteMode.Forward4Extract, 2) => 0x5432,
        (PermuteMode.Forward4Extract, _) => 0x6543,
        (PermuteMode.Backward4Extract, 0) => 0x5670,
        (PermuteMode.Backward4Extract, 1) => 0x6701,
        (PermuteMode.Backward4Extract, 2) => 0x7012,
        (PermuteMode.Backward4Extract, _) => 0x0123,
        (PermuteMode.Replicate8, _) => c * 0x1111,
        (PermuteMode.EdgeClampLeft, 0) => 0x3210,
        (PermuteMode.EdgeClampLeft, 1) => 0x3211,
        (PermuteMode.EdgeClampLeft, 2) => 0x3222,
        (PermuteMode.EdgeClampLeft, _) => 0x3333,
        (PermuteMode.EdgeClampRight, 0) => 0x0000,
        (PermuteMode.EdgeClampRight, 1) => 0x1110,
        (PermuteMode.EdgeClampRight, 2) => 0x2210,
        (PermuteMode.EdgeClampRight, _) => 0x3210,
        (PermuteMode.Replicate16, _) => (c & 1) == 0 ? 0x1010u : 0x3232u,
        _ => throw new ArgumentOutOfRangeException(nameof(mode)),
    };
}
