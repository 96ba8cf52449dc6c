namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// A SIMD vector of float32. Kernels are written once over this and compiled for 512, 256 and 128 bits; what is not hardware
/// falls back to pairs of narrower vectors, so every width runs (and is tested) everywhere.
/// A mask is a vector of all-ones (true) or all-zeros (false) lanes.
/// </summary>
public unsafe interface ISimd<V> where V : struct, ISimd<V>
{
    static abstract int Count { get; }

    static abstract V Create(float value);

    static abstract V Load(float* source);

    static abstract void Store(V x, float* destination);

    /// <summary>
    /// Writes past the caches to a destination aligned to whole vectors: for results larger than the caches, whose lines need then
    /// not be read before they are written.
    /// </summary>
    static abstract void StoreStreaming(V x, float* destination);

    /// <summary>Writes 2 <see cref="Count"/> floats: x[0], y[0], x[1], y[1], ...</summary>
    static abstract void StoreInterleaved(V x, V y, float* destination);

    /// <summary>The first <paramref name="count"/> lanes from memory, which is not read beyond them; the other lanes are 0.</summary>
    static abstract V LoadPartial(float* source, int count);

    /// <summary>Writes the first <paramref name="count"/> lanes.</summary>
    static abstract void StorePartial(V x, float* destination, int count);

    static abstract V operator +(V x, V y);

    static abstract V operator -(V x, V y);

    static abstract V operator *(V x, V y);

    static abstract V operator /(V x, V y);

    static abstract V operator -(V x);

    static abstract V operator &(V x, V y);

    static abstract V operator |(V x, V y);

    static abstract V operator ^(V x, V y);

    static abstract V LessThan(V x, V y);

    static abstract V LessThanOrEqual(V x, V y);

    static abstract V Equal(V x, V y);

    /// <summary>mask ? x : y, lane by lane.</summary>
    static abstract V Select(V mask, V x, V y);

    /// <summary>x * y + z, with one rounding where the hardware has FMA.</summary>
    static abstract V MultiplyAdd(V x, V y, V z);

    static abstract V Min(V x, V y);

    static abstract V Max(V x, V y);

    /// <summary>The smaller in one instruction; NaN where y is, unspecified where only x is.</summary>
    static abstract V MinNative(V x, V y);

    /// <summary>The larger in one instruction; NaN where y is, unspecified where only x is.</summary>
    static abstract V MaxNative(V x, V y);

    static abstract V Sqrt(V x);

    static abstract V Abs(V x);

    static abstract V Floor(V x);

    /// <summary>Nearest integer, ties to even.</summary>
    static abstract V Round(V x);

    /// <summary>2^n for whole n in [-126, 127], by building the exponent field.</summary>
    static abstract V PowerOfTwo(V n);

    /// <summary>The exponent field of a normal positive x as a number: floor(log2 x).</summary>
    static abstract V Exponent(V x);

    /// <summary>x with its exponent replaced by that of 1: in [1, 2) for a normal positive x.</summary>
    static abstract V Mantissa(V x);

    /// <summary>A mask of the lanes whose whole number n has this bit set (two's complement), for |n| below 2^31.</summary>
    static abstract V HasBit(V n, int bit);

    /// <summary>Whether any lane of a mask is true.</summary>
    static abstract bool Any(V mask);

    /// <summary>Reads 32-bit integers and converts (r >> 8) to float: exact, in [0, 2^24).</summary>
    static abstract V LoadHigh24(uint* source);

    static abstract float Sum(V x);

    static abstract float MaxOf(V x);

    static abstract float MinOf(V x);

    /// <summary>The largest lane by <see cref="MaxNative"/>; with a NaN among the lanes it may or may not be NaN.</summary>
    static abstract float MaxNativeOf(V x);
}
