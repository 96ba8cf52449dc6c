using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// Loads of 32-bit words by all lanes, eight lanes at a time: rows of a tile, or one element for each row of threads, lie together in such
/// a group even where the whole warp's do not.
/// </summary>
internal static unsafe class GroupedAccess
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Load(Warp w, uint* register, ulong delta)
    {
        for (int q = 0; q < 4; q++, register += 8)
        {
            ulong* addresses = w.Addresses + 8 * q;
            Vector512<ulong> group = Vector512.Load(addresses), distance = group - Vector512.Create(addresses[0]);
            uint* from = (uint*)(addresses[0] + delta);
            if (distance == Vector512.Create(0ul, 4, 8, 12, 16, 20, 24, 28))
                Vector256.Load(from).Store(register);
            else if (distance == Vector512<ulong>.Zero)
                Vector256.Create(*from).Store(register);
            else
            {
                register[0] = *from;
                register[1] = *(uint*)(addresses[1] + delta);
                register[2] = *(uint*)(addresses[2] + delta);
                register[3] = *(uint*)(addresses[3] + delta);
                register[4] = *(uint*)(addresses[4] + delta);
                register[5] = *(uint*)(addresses[5] + delta);
                register[6] = *(uint*)(addresses[6] + delta);
                register[7] = *(uint*)(addresses[7] + delta);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Load2(Warp w, int* slots, ulong delta)
    {
        uint* r0 = Register(w, slots[0]), r1 = Register(w, slots[1]);
        for (int lane = 0; lane < 32; lane++)
        {
            uint* from = (uint*)(w.Addresses[lane] + delta);
            r0[lane] = from[0];
            r1[lane] = from[1];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Load4(Warp w, int* slots, ulong delta)
    {
        uint* r0 = Register(w, slots[0]), r1 = Register(w, slots[1]), r2 = Register(w, slots[2]), r3 = Register(w, slots[3]);
        for (int q = 0; q < 4; q++, r0 += 8, r1 += 8, r2 += 8, r3 += 8)
        {
            ulong* addresses = w.Addresses + 8 * q;
            Vector512<ulong> group = Vector512.Load(addresses), distance = group - Vector512.Create(addresses[0]);
            uint* from = (uint*)(addresses[0] + delta);
            if (distance == Vector512<ulong>.Zero)
            {
                Vector256.Create(from[0]).Store(r0);
                Vector256.Create(from[1]).Store(r1);
                Vector256.Create(from[2]).Store(r2);
                Vector256.Create(from[3]).Store(r3);
            }
            else if (Avx512F.IsSupported && distance == Vector512.Create(0ul, 16, 32, 48, 64, 80, 96, 112))
            {
                // 8 lanes of 4 words to 4 registers of 8 lanes.
                Vector512<uint> low = Vector512.Load(from), high = Vector512.Load(from + 16);
                var first = Vector512.Create(0u, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
                Vector512<uint> r01 = Avx512F.PermuteVar16x32x2(low, first, high);
                Vector512<uint> r23 = Avx512F.PermuteVar16x32x2(low, first + Vector512.Create(2u), high);
                r01.GetLower().Store(r0);
                r01.GetUpper().Store(r1);
                r23.GetLower().Store(r2);
                r23.GetUpper().Store(r3);
            }
            else
            {
                for (int lane = 0; lane < 8; lane++)
                {
                    from = (uint*)(addresses[lane] + delta);
                    r0[lane] = from[0];
                    r1[lane] = from[1];
                    r2[lane] = from[2];
                    r3[lane] = from[3];
                }
            }
        }
    }

    /// <summary>Stores of four words by all lanes to places side by side.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Store4(Warp w, int* slots, uint* to)
    {
        uint* r0 = (uint*)(w.R + slots[0]), r1 = (uint*)(w.R + slots[1]), r2 = (uint*)(w.R + slots[2]), r3 = (uint*)(w.R + slots[3]);
        for (int lane = 0; lane < 32; lane += 8, to += 32)
        {
            if (Avx512F.IsSupported)
            {
                var first = Vector512.Create(0u, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27);
                Vector512<uint> r01 = Vector512.Create(Vector256.Load(r0 + lane), Vector256.Load(r1 + lane));
                Vector512<uint> r23 = Vector512.Create(Vector256.Load(r2 + lane), Vector256.Load(r3 + lane));
                Avx512F.PermuteVar16x32x2(r01, first, r23).Store(to);
                Avx512F.PermuteVar16x32x2(r01, first + Vector512.Create(4u), r23).Store(to + 16);
                continue;
            }
            for (int k = 0; k < 8; k++)
            {
                to[4 * k] = r0[lane + k];
                to[4 * k + 1] = r1[lane + k];
                to[4 * k + 2] = r2[lane + k];
                to[4 * k + 3] = r3[lane + k];
            }
        }
    }

    /// <summary>A destination that is not wanted goes to waste.</summary>
    private static uint* Register(Warp w, int slot) => (uint*)(slot < 0 ? w.Scratch : w.R + slot);
}
