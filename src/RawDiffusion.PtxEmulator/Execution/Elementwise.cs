using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Execution;

internal interface IUnary<T>
    where T : unmanaged
{
    static abstract Vector512<T> Invoke(Vector512<T> a);
}

internal interface IBinary<T>
    where T : unmanaged
{
    static abstract Vector512<T> Invoke(Vector512<T> a, Vector512<T> b);
}

internal interface ITernary<T>
    where T : unmanaged
{
    static abstract Vector512<T> Invoke(Vector512<T> a, Vector512<T> b, Vector512<T> c);
}

internal interface IScalar<TA, TD>
{
    static abstract TD Invoke(TA a);
}

internal interface IScalar<TA, TB, TD>
{
    static abstract TD Invoke(TA a, TB b);
}

internal interface IScalar<TA, TB, TC, TD>
{
    static abstract TD Invoke(TA a, TB b, TC c);
}

/// <summary>
/// The loops over 32 lanes that most instructions share, with the operation as a type argument. The vector forms compute all lanes and
/// write those of the mask; the scalar forms visit the lanes of the mask only. T has the size of a lane: 4 or 8 bytes.
/// </summary>
internal static unsafe class Elementwise
{
    private const MethodImplOptions Optimize = MethodImplOptions.AggressiveOptimization;

    [MethodImpl(Optimize)]
    public static void Unary<TOp, T>(Warp w, Instruction* i, uint mask)
        where TOp : struct, IUnary<T>
        where T : unmanaged
    {
        byte* d = w.R + i->D, a = w.R + i->A;
        if (sizeof(T) == 4)
        {
            Lanes.Store32(d, TOp.Invoke(Lanes.Load32(a, 0).As<uint, T>()).AsUInt32(), TOp.Invoke(Lanes.Load32(a, 1).As<uint, T>()).AsUInt32(), mask);
            return;
        }
        for (int q = 0; q < 4; q++)
            Lanes.Store64(d, TOp.Invoke(Lanes.Load64(a, q).As<ulong, T>()).AsUInt64(), q, mask);
    }

    [MethodImpl(Optimize)]
    public static void Binary<TOp, T>(Warp w, Instruction* i, uint mask)
        where TOp : struct, IBinary<T>
        where T : unmanaged
    {
        byte* d = w.R + i->D, a = w.R + i->A, b = w.R + i->B;
        if (sizeof(T) == 4)
        {
            Lanes.Store32(d,
                TOp.Invoke(Lanes.Load32(a, 0).As<uint, T>(), Lanes.Load32(b, 0).As<uint, T>()).AsUInt32(),
                TOp.Invoke(Lanes.Load32(a, 1).As<uint, T>(), Lanes.Load32(b, 1).As<uint, T>()).AsUInt32(), mask);
            return;
        }
        for (int q = 0; q < 4; q++)
            Lanes.Store64(d, TOp.Invoke(Lanes.Load64(a, q).As<ulong, T>(), Lanes.Load64(b, q).As<ulong, T>()).AsUInt64(), q, mask);
    }

    [MethodImpl(Optimize)]
    public static void Ternary<TOp, T>(Warp w, Instruction* i, uint mask)
        where TOp : struct, ITernary<T>
        where T : unmanaged
    {
        byte* d = w.R + i->D, a = w.R + i->A, b = w.R + i->B, c = w.R + i->C;
        if (sizeof(T) == 4)
        {
            Lanes.Store32(d,
                TOp.Invoke(Lanes.Load32(a, 0).As<uint, T>(), Lanes.Load32(b, 0).As<uint, T>(), Lanes.Load32(c, 0).As<uint, T>()).AsUInt32(),
                TOp.Invoke(Lanes.Load32(a, 1).As<uint, T>(), Lanes.Load32(b, 1).As<uint, T>(), Lanes.Load32(c, 1).As<uint, T>()).AsUInt32(), mask);
            return;
        }
        for (int q = 0; q < 4; q++)
        {
            Lanes.Store64(d,
                TOp.Invoke(Lanes.Load64(a, q).As<ulong, T>(), Lanes.Load64(b, q).As<ulong, T>(), Lanes.Load64(c, q).As<ulong, T>()).AsUInt64(), q, mask);
        }
    }

    [MethodImpl(Optimize)]
    public static void Scalar1<TOp, TA, TD>(Warp w, Instruction* i, uint mask)
        where TOp : struct, IScalar<TA, TD>
        where TA : unmanaged
        where TD : unmanaged
    {
        TD* d = (TD*)(w.R + i->D);
        TA* a = (TA*)(w.R + i->A);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            d[lane] = TOp.Invoke(a[lane]);
        }
    }

    [MethodImpl(Optimize)]
    public static void Scalar2<TOp, TA, TB, TD>(Warp w, Instruction* i, uint mask)
        where TOp : struct, IScalar<TA, TB, TD>
        where TA : unmanaged
        where TB : unmanaged
        where TD : unmanaged
    {
        TD* d = (TD*)(w.R + i->D);
        TA* a = (TA*)(w.R + i->A);
        TB* b = (TB*)(w.R + i->B);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            d[lane] = TOp.Invoke(a[lane], b[lane]);
        }
    }

    [MethodImpl(Optimize)]
    public static void Scalar3<TOp, TA, TB, TC, TD>(Warp w, Instruction* i, uint mask)
        where TOp : struct, IScalar<TA, TB, TC, TD>
        where TA : unmanaged
        where TB : unmanaged
        where TC : unmanaged
        where TD : unmanaged
    {
        TD* d = (TD*)(w.R + i->D);
        TA* a = (TA*)(w.R + i->A);
        TB* b = (TB*)(w.R + i->B);
        TC* c = (TC*)(w.R + i->C);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            d[lane] = TOp.Invoke(a[lane], b[lane], c[lane]);
        }
    }
}
