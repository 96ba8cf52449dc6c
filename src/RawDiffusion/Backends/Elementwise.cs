namespace RawDiffusion.Backends;

/// <summary>
/// An elementwise operation y = f(x; a, b) with two optional scalars, given once per device. The type is the operation: it is
/// passed as a type argument, so a backend's loop is compiled for it alone and a user's operation is as fast as a built-in one.
/// </summary>
public interface IUnaryOperator
{
    static abstract string Name { get; }

    /// <summary>The definition, in float64.</summary>
    static abstract double Reference(double x, double a, double b);

    /// <summary>The same on a SIMD vector; functions come from <see cref="Cpu.VectorMath"/>.</summary>
    static abstract V Cpu<V>(V x, V a, V b) where V : struct, Cpu.ISimd<V>;

    /// <summary>The same as a CUDA C float expression in <c>x</c>, <c>a</c> and <c>b</c>.</summary>
    static abstract string Cuda { get; }
}

/// <summary>An elementwise operation z = f(x, y; a) of two broadcast inputs with one optional scalar.</summary>
public interface IBinaryOperator
{
    static abstract string Name { get; }

    static abstract double Reference(double x, double y, double a);

    static abstract V Cpu<V>(V x, V y, V a) where V : struct, Cpu.ISimd<V>;

    /// <summary>A CUDA C float expression in <c>x</c>, <c>y</c> and <c>a</c>.</summary>
    static abstract string Cuda { get; }
}
