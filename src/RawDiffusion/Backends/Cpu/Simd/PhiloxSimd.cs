using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Many blocks of <see cref="Philox"/> at once. A vector holds one of the four counter words of several blocks, each in the low
/// half of a 64-bit lane: the 32 x 32 -> 64 bit multiply reads only the low halves, so the high word of a product comes by one
/// shift and the low word by none, and whatever stands in the high halves never matters.
/// </summary>
internal static unsafe class PhiloxSimd
{
    /// <summary>Blocks are made in groups of this many; <c>count</c> is a multiple of it.</summary>
    public const int Group = 8;

    private const uint Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57;
    private const uint Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;

    private static bool UseAvx2 => Avx2.IsSupported && CpuBackend.VectorBits >= 256;

    /// <summary>The integers of blocks [first, first + count) in the order of elements: r[4 b + lane].</summary>
    public static void Blocks(PhiloxState state, ulong first, int count, uint* r)
    {
        if (UseAvx2)
        {
            for (int i = 0; i < count; i += Group)
            {
                Rounds8(state, first + (ulong)i, out var a, out var b);
                Join(a, out var a01, out var a23);
                Join(b, out var b01, out var b23);
                StoreInterleaved(a01, a23, r + 4 * i);
                StoreInterleaved(b01, b23, r + 4 * i + 16);
            }
            return;
        }
        for (int i = 0; i < count; i++)
            (r[4 * i], r[4 * i + 1], r[4 * i + 2], r[4 * i + 3]) = Philox.Block(state, first + (ulong)i);
    }

    /// <summary>
    /// The same integers parted for Box-Muller: even[2 b] and even[2 b + 1] are lanes 0 and 2 of block b, odd likewise lanes 1 and 3.
    /// </summary>
    public static void Pairs(PhiloxState state, ulong first, int count, uint* even, uint* odd)
    {
        if (UseAvx2)
        {
            for (int i = 0; i < count; i += Group)
            {
                Rounds8(state, first + (ulong)i, out var a, out var b);
                Pack(a.C0, a.C2).Store(even + 2 * i);
                Pack(a.C1, a.C3).Store(odd + 2 * i);
                Pack(b.C0, b.C2).Store(even + 2 * i + 8);
                Pack(b.C1, b.C3).Store(odd + 2 * i + 8);
            }
            return;
        }
        for (int i = 0; i < count; i++)
            (even[2 * i], odd[2 * i], even[2 * i + 1], odd[2 * i + 1]) = Philox.Block(state, first + (ulong)i);
    }

    /// <summary>The words of four blocks, each in the low half of a lane.</summary>
    private struct Words
    {
        public Vector256<ulong> C0, C1, C2, C3;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Rounds8(PhiloxState state, ulong first, out Words a, out Words b)
    {
        var counterA = Vector256.Create(state.Offset + first) + Vector256.Create(0ul, 1, 2, 3);
        var counterB = counterA + Vector256.Create(4ul);
        Vector256<ulong> a0 = counterA, a1 = counterA >> 32, b0 = counterB, b1 = counterB >> 32;
        Vector256<ulong> a2 = Vector256.Create(state.Stream), a3 = a2 >> 32, b2 = a2, b3 = a3;
        var multiplier0 = Vector256.Create((ulong)Multiplier0).AsUInt32();
        var multiplier1 = Vector256.Create((ulong)Multiplier1).AsUInt32();
        Vector256<ulong> k0 = Vector256.Create(state.Seed), k1 = k0 >> 32;
        Vector256<ulong> weyl0 = Vector256.Create((ulong)Weyl0), weyl1 = Vector256.Create((ulong)Weyl1);
        for (int round = 0; round < 10; round++)
        {
            var productA0 = Avx2.Multiply(a0.AsUInt32(), multiplier0);
            var productA1 = Avx2.Multiply(a2.AsUInt32(), multiplier1);
            var productB0 = Avx2.Multiply(b0.AsUInt32(), multiplier0);
            var productB1 = Avx2.Multiply(b2.AsUInt32(), multiplier1);
            a0 = (productA1 >> 32) ^ (a1 ^ k0);
            a1 = productA1;
            a2 = (productA0 >> 32) ^ (a3 ^ k1);
            a3 = productA0;
            b0 = (productB1 >> 32) ^ (b1 ^ k0);
            b1 = productB1;
            b2 = (productB0 >> 32) ^ (b3 ^ k1);
            b3 = productB0;
            k0 += weyl0;
            k1 += weyl1;
        }
        a = new Words { C0 = a0, C1 = a1, C2 = a2, C3 = a3 };
        b = new Words { C0 = b0, C1 = b1, C2 = b2, C3 = b3 };
    }

    /// <summary>low[i] in the low half and high[i] in the high half of lane i.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Pack(Vector256<ulong> low, Vector256<ulong> high) =>
        Avx2.Blend(low.AsUInt32(), (high << 32).AsUInt32(), 0b10101010);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Join(in Words words, out Vector256<uint> lanes01, out Vector256<uint> lanes23)
    {
        lanes01 = Pack(words.C0, words.C1);
        lanes23 = Pack(words.C2, words.C3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreInterleaved(Vector256<uint> lanes01, Vector256<uint> lanes23, uint* r)
    {
        var blocks02 = Avx2.UnpackLow(lanes01.AsUInt64(), lanes23.AsUInt64());
        var blocks13 = Avx2.UnpackHigh(lanes01.AsUInt64(), lanes23.AsUInt64());
        Avx2.Permute2x128(blocks02, blocks13, 0x20).AsUInt32().Store(r);
        Avx2.Permute2x128(blocks02, blocks13, 0x31).AsUInt32().Store(r + 8);
    }
}
