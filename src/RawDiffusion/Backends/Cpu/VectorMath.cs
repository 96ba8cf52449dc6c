namespace RawDiffusion.Backends.Cpu;

/// <summary>Elementary functions over <see cref="ISimd{V}"/>, each with its stated error.</summary>
public static class VectorMath
{
    public static V Exp<V>(V x) where V : struct, ISimd<V> => throw new NotImplementedException();

    public static V Log<V>(V x) where V : struct, ISimd<V> => throw new NotImplementedException();

    public static V Sin<V>(V x) where V : struct, ISimd<V> => throw new NotImplementedException();

    public static V Cos<V>(V x) where V : struct, ISimd<V> => throw new NotImplementedException();

    public static V Tanh<V>(V x) where V : struct, ISimd<V> => throw new NotImplementedException();

    /// <summary>1 / (1 + exp(-x)).</summary>
    public static V Sigmoid<V>(V x) where V : struct, ISimd<V> => throw new NotImplementedException();

    public static V Erf<V>(V x) where V : struct, ISimd<V> => throw new NotImplementedException();

    /// <summary>log(1 + x), accurate near 0.</summary>
    public static V Log1P<V>(V x) where V : struct, ISimd<V> => throw new NotImplementedException();

    /// <summary>x^y by the rules of C's powf.</summary>
    public static V Pow<V>(V x, V y) where V : struct, ISimd<V> => throw new NotImplementedException();
}
