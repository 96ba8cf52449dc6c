using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>What a reduction loop needs to know of sum, maximum and so on, on vectors, single elements and partial results.</summary>
internal interface IReducer
{
    /// <summary>What partial results are reduced with: the sum for a sum of squares, otherwise the reduction itself.</summary>
    static abstract ReduceOp Merge { get; }

    static abstract float Identity { get; }

    static abstract V Add<V>(V accumulator, V x) where V : struct, ISimd<V>;

    static abstract float Add(float accumulator, float x);

    static abstract V Join<V>(V x, V y) where V : struct, ISimd<V>;

    static abstract double Join(double x, double y);

    /// <summary>One value from the lanes of an accumulator.</summary>
    static abstract float Across<V>(V accumulator) where V : struct, ISimd<V>;
}

internal readonly struct SumReducer : IReducer
{
    public static ReduceOp Merge => ReduceOp.Sum;

    public static float Identity => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Add<V>(V accumulator, V x) where V : struct, ISimd<V> => accumulator + x;

    public static float Add(float accumulator, float x) => accumulator + x;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Join<V>(V x, V y) where V : struct, ISimd<V> => x + y;

    public static double Join(double x, double y) => x + y;

    public static float Across<V>(V accumulator) where V : struct, ISimd<V> => V.Sum(accumulator);
}

internal readonly struct SumOfSquaresReducer : IReducer
{
    public static ReduceOp Merge => ReduceOp.Sum;

    public static float Identity => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Add<V>(V accumulator, V x) where V : struct, ISimd<V> => V.MultiplyAdd(x, x, accumulator);

    public static float Add(float accumulator, float x) => accumulator + x * x;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Join<V>(V x, V y) where V : struct, ISimd<V> => x + y;

    public static double Join(double x, double y) => x + y;

    public static float Across<V>(V accumulator) where V : struct, ISimd<V> => V.Sum(accumulator);
}

internal readonly struct MaxReducer : IReducer
{
    public static ReduceOp Merge => ReduceOp.Max;

    public static float Identity => float.NegativeInfinity;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Add<V>(V accumulator, V x) where V : struct, ISimd<V> => V.Max(accumulator, x);

    public static float Add(float accumulator, float x) => MathF.Max(accumulator, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Join<V>(V x, V y) where V : struct, ISimd<V> => V.Max(x, y);

    public static double Join(double x, double y) => Math.Max(x, y);

    public static float Across<V>(V accumulator) where V : struct, ISimd<V> => V.MaxOf(accumulator);
}

internal readonly struct MinReducer : IReducer
{
    public static ReduceOp Merge => ReduceOp.Min;

    public static float Identity => float.PositiveInfinity;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Add<V>(V accumulator, V x) where V : struct, ISimd<V> => V.Min(accumulator, x);

    public static float Add(float accumulator, float x) => MathF.Min(accumulator, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Join<V>(V x, V y) where V : struct, ISimd<V> => V.Min(x, y);

    public static double Join(double x, double y) => Math.Min(x, y);

    public static float Across<V>(V accumulator) where V : struct, ISimd<V> => V.MinOf(accumulator);
}
