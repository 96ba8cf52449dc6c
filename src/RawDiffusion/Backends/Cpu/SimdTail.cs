using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>The last elements of a row, fewer than a vector holds.</summary>
internal static unsafe class SimdTail
{
    /// <summary>The first <paramref name="count"/> lanes from memory, the others <paramref name="fill"/>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    [SkipLocalsInit]
    public static V Load<V>(float* source, int count, float fill) where V : struct, ISimd<V>
    {
        float* padded = stackalloc float[16];
        V.Store(V.Create(fill), padded);
        for (int i = 0; i < count; i++)
            padded[i] = source[i];
        return V.Load(padded);
    }

    /// <summary>Writes the first <paramref name="count"/> lanes.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    [SkipLocalsInit]
    public static void Store<V>(V x, float* destination, int count) where V : struct, ISimd<V>
    {
        float* padded = stackalloc float[16];
        V.Store(x, padded);
        for (int i = 0; i < count; i++)
            destination[i] = padded[i];
    }
}
