using System.Numerics;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Sums, differences and products with the carry: add.cc, addc, sub.cc, subc, mad.lo.cc and the like.</summary>
internal static unsafe class ExtendedPrecision
{
    public static nint Select(in Instruction i) => (i.Opcode, i.Type.Bytes()) switch
    {
        (Opcode.AddC, 4) => At(&Add<uint>),
        (Opcode.AddC, 8) => At(&Add<ulong>),
        (Opcode.SubC, 4) => At(&Subtract<uint>),
        (Opcode.SubC, 8) => At(&Subtract<ulong>),
        (Opcode.MadC, 4) => At(&MultiplyAdd<uint>),
        (Opcode.MadC, 8) => At(&MultiplyAdd<ulong>),
        _ => 0,
    };

    private static void Add<T>(Warp w, Instruction* i, uint mask)
        where T : unmanaged, IBinaryInteger<T>, IMinMaxValue<T>
    {
        T* a = (T*)(w.R + i->A), b = (T*)(w.R + i->B), d = (T*)(w.R + i->D);
        uint* carry = (uint*)(w.R + i->C);
        uint old = i->Has(InstructionFlags.CarryIn) ? *carry : 0, result = 0;
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            d[lane] = Sum(a[lane], b[lane], (old >> lane & 1) != 0, out bool over);
            result |= over ? 1u << lane : 0;
        }
        if (i->Has(InstructionFlags.CarryOut))
            *carry = (*carry & ~mask) | result;
    }

    private static void Subtract<T>(Warp w, Instruction* i, uint mask)
        where T : unmanaged, IBinaryInteger<T>, IMinMaxValue<T>
    {
        T* a = (T*)(w.R + i->A), b = (T*)(w.R + i->B), d = (T*)(w.R + i->D);
        uint* carry = (uint*)(w.R + i->C);
        uint old = i->Has(InstructionFlags.CarryIn) ? *carry : 0, result = 0;
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            T borrow = (old >> lane & 1) != 0 ? T.One : T.Zero, x = a[lane], y = b[lane];
            bool under = x < y || (x == y && borrow != T.Zero);
            d[lane] = x - y - borrow;
            result |= under ? 1u << lane : 0;
        }
        if (i->Has(InstructionFlags.CarryOut))
            *carry = (*carry & ~mask) | result;
    }

    private static void MultiplyAdd<T>(Warp w, Instruction* i, uint mask)
        where T : unmanaged, IBinaryInteger<T>, IMinMaxValue<T>
    {
        int* list = w.Operands + i->List;
        T* a = (T*)(w.R + list[0]), b = (T*)(w.R + list[1]), c = (T*)(w.R + list[2]), d = (T*)(w.R + i->D);
        uint* carry = (uint*)(w.R + list[3]);
        uint old = i->Has(InstructionFlags.CarryIn) ? *carry : 0, result = 0;
        bool high = i->Has(InstructionFlags.Hi), signed = i->Type.IsSigned();
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            T product = high ? High(a[lane], b[lane], signed) : a[lane] * b[lane];
            d[lane] = Sum(product, c[lane], (old >> lane & 1) != 0, out bool over);
            result |= over ? 1u << lane : 0;
        }
        if (i->Has(InstructionFlags.CarryOut))
            *carry = (*carry & ~mask) | result;
    }

    private static T Sum<T>(T x, T y, bool carry, out bool over)
        where T : IBinaryInteger<T>, IMinMaxValue<T>
    {
        T sum = x + y;
        over = sum < x;
        if (carry)
        {
            over |= sum == T.MaxValue;
            sum++;
        }
        return sum;
    }

    private static T High<T>(T a, T b, bool signed)
        where T : IBinaryInteger<T>
    {
        ulong x = ulong.CreateTruncating(a), y = ulong.CreateTruncating(b);
        if (typeof(T) == typeof(uint))
            return T.CreateTruncating(signed ? (ulong)((long)(int)x * (int)y) >> 32 : (x * y) >> 32);
        return T.CreateTruncating(signed ? (ulong)Math.BigMul((long)x, (long)y, out _) : Math.BigMul(x, y, out _));
    }
}
