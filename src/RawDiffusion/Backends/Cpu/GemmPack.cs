using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Copies parts of a matrix into panels that a <see cref="IGemmKernel"/> reads in order. A panel holds <c>width</c> lanes (columns
/// of B, rows of A) for every k: element (k, lane) is at <c>k * width + lane</c>. Lanes beyond the matrix are zero.
/// </summary>
internal static unsafe class GemmPack
{
    /// <summary>
    /// One panel. Element (k, lane) of the source is at <c>source[k * kStep + lane * laneStep]</c>, and one of the steps is 1.
    /// </summary>
    /// <param name="lanes">Lanes that exist, 1 to <paramref name="width"/>.</param>
    public static void Panel(float* source, nint kStep, nint laneStep, int depth, int lanes, int width, float* panel)
    {
        if (lanes == width && laneStep == 1 && width % 4 == 0)
            CopyRows(source, kStep, depth, width, panel);
        else if (lanes == width && kStep == 1 && Avx.IsSupported && (width == 4 || width % 8 == 0))
            Transpose(source, laneStep, depth, width, panel);
        else
            CopyElements(source, kStep, laneStep, depth, lanes, width, panel);
    }

    private static void CopyRows(float* source, nint kStep, int depth, int width, float* panel)
    {
        if (width == 24)
        {
            for (int k = 0; k < depth; k++, source += kStep, panel += 24)
            {
                Vector256.Store(Vector256.Load(source), panel);
                Vector256.Store(Vector256.Load(source + 8), panel + 8);
                Vector256.Store(Vector256.Load(source + 16), panel + 16);
            }
        }
        else if (width % 16 == 0)
        {
            for (int k = 0; k < depth; k++, source += kStep, panel += width)
            {
                for (int j = 0; j < width; j += 16)
                {
                    Vector256.Store(Vector256.Load(source + j), panel + j);
                    Vector256.Store(Vector256.Load(source + j + 8), panel + j + 8);
                }
            }
        }
        else
        {
            for (int k = 0; k < depth; k++, source += kStep, panel += width)
            {
                for (int j = 0; j < width; j += 4)
                    Vector128.Store(Vector128.Load(source + j), panel + j);
            }
        }
    }

    private static void CopyElements(float* source, nint kStep, nint laneStep, int depth, int lanes, int width, float* panel)
    {
        for (int k = 0; k < depth; k++, source += kStep, panel += width)
        {
            for (int j = 0; j < lanes; j++)
                panel[j] = source[j * laneStep];
            for (int j = lanes; j < width; j++)
                panel[j] = 0;
        }
    }

    /// <summary>Lanes are rows of the source: blocks of 8 x 8, or of 4 x 8, are turned in registers.</summary>
    private static void Transpose(float* source, nint laneStep, int depth, int width, float* panel)
    {
        int k = 0;
        for (; k + 8 <= depth; k += 8)
        {
            float* to = panel + (nint)k * width;
            if (width == 4)
                Turn4(source + k, laneStep, to);
            for (int lane = 0; lane + 8 <= width; lane += 8)
                Turn8(source + lane * laneStep + k, laneStep, to + lane, width);
        }
        for (; k < depth; k++)
        {
            for (int lane = 0; lane < width; lane++)
                panel[(nint)k * width + lane] = source[lane * laneStep + k];
        }
    }

    /// <summary>4 lanes of 8 k.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Turn4(float* source, nint step, float* to)
    {
        var r0 = Vector256.Load(source);
        var r1 = Vector256.Load(source + step);
        var r2 = Vector256.Load(source + 2 * step);
        var r3 = Vector256.Load(source + 3 * step);
        var t0 = Avx.UnpackLow(r0, r1);
        var t1 = Avx.UnpackHigh(r0, r1);
        var t2 = Avx.UnpackLow(r2, r3);
        var t3 = Avx.UnpackHigh(r2, r3);
        // Each now holds four lanes of k and of k + 4.
        r0 = Avx.Shuffle(t0, t2, 0x44);
        r1 = Avx.Shuffle(t0, t2, 0xEE);
        r2 = Avx.Shuffle(t1, t3, 0x44);
        r3 = Avx.Shuffle(t1, t3, 0xEE);
        Vector256.Store(Avx.Permute2x128(r0, r1, 0x20), to);
        Vector256.Store(Avx.Permute2x128(r2, r3, 0x20), to + 8);
        Vector256.Store(Avx.Permute2x128(r0, r1, 0x31), to + 16);
        Vector256.Store(Avx.Permute2x128(r2, r3, 0x31), to + 24);
    }

    /// <summary>8 lanes of 8 k.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Turn8(float* source, nint step, float* to, nint toStep)
    {
        var r0 = Vector256.Load(source);
        var r1 = Vector256.Load(source + step);
        var r2 = Vector256.Load(source + 2 * step);
        var r3 = Vector256.Load(source + 3 * step);
        var r4 = Vector256.Load(source + 4 * step);
        var r5 = Vector256.Load(source + 5 * step);
        var r6 = Vector256.Load(source + 6 * step);
        var r7 = Vector256.Load(source + 7 * step);
        // Pairs of lanes, then quadruples, then the halves.
        var t0 = Avx.UnpackLow(r0, r1);
        var t1 = Avx.UnpackHigh(r0, r1);
        var t2 = Avx.UnpackLow(r2, r3);
        var t3 = Avx.UnpackHigh(r2, r3);
        var t4 = Avx.UnpackLow(r4, r5);
        var t5 = Avx.UnpackHigh(r4, r5);
        var t6 = Avx.UnpackLow(r6, r7);
        var t7 = Avx.UnpackHigh(r6, r7);
        r0 = Avx.Shuffle(t0, t2, 0x44);
        r1 = Avx.Shuffle(t0, t2, 0xEE);
        r2 = Avx.Shuffle(t1, t3, 0x44);
        r3 = Avx.Shuffle(t1, t3, 0xEE);
        r4 = Avx.Shuffle(t4, t6, 0x44);
        r5 = Avx.Shuffle(t4, t6, 0xEE);
        r6 = Avx.Shuffle(t5, t7, 0x44);
        r7 = Avx.Shuffle(t5, t7, 0xEE);
        Vector256.Store(Avx.Permute2x128(r0, r4, 0x20), to);
        Vector256.Store(Avx.Permute2x128(r1, r5, 0x20), to + toStep);
        Vector256.Store(Avx.Permute2x128(r2, r6, 0x20), to + 2 * toStep);
        Vector256.Store(Avx.Permute2x128(r3, r7, 0x20), to + 3 * toStep);
        Vector256.Store(Avx.Permute2x128(r0, r4, 0x31), to + 4 * toStep);
        Vector256.Store(Avx.Permute2x128(r1, r5, 0x31), to + 5 * toStep);
        Vector256.Store(Avx.Permute2x128(r2, r6, 0x31), to + 6 * toStep);
        Vector256.Store(Avx.Permute2x128(r3, r7, 0x31), to + 7 * toStep);
    }
}
