using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>Help with the last elements of a row, fewer than a vector holds.</summary>
internal static unsafe class SimdTail
{
    private static ReadOnlySpan<int> Masks =>
    [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];

    /// <summary>Constant data of the assembly, which does not move.</summary>
    private static int* MaskData => (int*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(Masks));

    /// <summary>Where a vector of masks begins of which the first <paramref name="count"/> are true.</summary>
    public static int* FirstLanes(int count) => MaskData + 32 - count;

    /// <summary>A mask of the last <paramref name="count"/> lanes: what of a vector that ends with a row is not in the one before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V LastLanes<V>(int count) where V : struct, ISimd<V> => V.Load((float*)(MaskData + 16 - (V.Count - count)));

    /// <summary>The first <paramref name="count"/> lanes from memory, the others <paramref name="fill"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V LoadOr<V>(float* source, int count, float fill) where V : struct, ISimd<V> =>
        V.Select(V.Load((float*)FirstLanes(count)), V.LoadPartial(source, count), V.Create(fill));

    /// <summary><see cref="ISimd{V}.LoadPartial"/> without an instruction for it.</summary>
    [SkipLocalsInit]
    public static V Load<V>(float* source, int count) where V : struct, ISimd<V>
    {
        float* padded = stackalloc float[16];
        V.Store(V.Create(0), padded);
        for (int i = 0; i < count; i++)
            padded[i] = source[i];
        return V.Load(padded);
    }

    /// <summary><see cref="ISimd{V}.StorePartial"/>. Masked stores are slow on some processors.</summary>
    [SkipLocalsInit]
    public static void Store<V>(V x, float* destination, int count) where V : struct, ISimd<V>
    {
        float* padded = stackalloc float[16];
        V.Store(x, padded);
        for (int i = 0; i < count; i++)
            destination[i] = padded[i];
    }
}
