using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// 4 rows x 3 vectors on AVX2: 12 accumulators, 3 vectors of B and 1 of A fill the 16 registers.
/// </summary>
/// <remarks>
/// A step of k is 12 multiply-adds and 7 loads: 19 instructions, where the usual 6 x 2 has 20. That matters because the second
/// thread of a physical core takes half of the issue slots: 6 cycles of two multiply-adds have then room for about 17. The rest
/// follows from that: k is unrolled, so that counting is cheap, and the locals are Vector256 and not a wrapper, because
/// the JIT then accumulates in place instead of moving a result after half of the multiply-adds.
/// </remarks>
internal readonly unsafe struct GemmKernel256 : IGemmKernel
{
    public static int Rows => 4;

    public static int Lanes => Vector256<float>.Count;

    public static void Run(in GemmStrip strip)
    {
        if (strip.Vectors == 3)
            Run<Three>(strip);
        else if (strip.Vectors == 2)
            Run<Two>(strip);
        else
            Run<One>(strip);
    }

    private static void Run<TVectors>(in GemmStrip strip) where TVectors : struct, IConstant
    {
        if (strip.AStep == 1)
            Run<TVectors, One>(strip);
        else if (strip.AStep == 4)
            Run<TVectors, Four>(strip);
        else
            Run<TVectors, Zero>(strip);
    }

    /// <param name="strip">The strip; its AStep is TStep unless that is 0.</param>
    [SkipLocalsInit]
    private static void Run<TVectors, TStep>(in GemmStrip strip) where TVectors : struct, IConstant where TStep : struct, IConstant
    {
        Vector256<float>* edge = stackalloc Vector256<float>[12];
        float** pointers = strip.APointers;
        float* c = strip.C;
        nint step = strip.AStep;
        for (int rows = strip.RowCount; rows > 0; rows -= 4)
        {
            Vector256<float> c00 = default, c01 = default, c02 = default;
            Vector256<float> c10 = default, c11 = default, c12 = default;
            Vector256<float> c20 = default, c21 = default, c22 = default;
            Vector256<float> c30 = default, c31 = default, c32 = default;
            Prefetch(c, strip.CStep, strip.Depth);
            float* b = strip.B;
            for (int segment = strip.Segments; segment > 0; segment--)
            {
                float* a0 = pointers[0], a1 = pointers[1], a2 = pointers[2], a3 = pointers[3];
                pointers += 4;
                nint i = 0, k = strip.Depth;
                Vector256<float> a, b0, b1 = default, b2 = default;
                for (; k >= 4; k -= 4)
                {
                    b0 = Vector256.Load(b);
                    if (TVectors.Value > 1)
                        b1 = Vector256.Load(b + Vector256<float>.Count);
                    if (TVectors.Value > 2)
                        b2 = Vector256.Load(b + 2 * Vector256<float>.Count);
                    a = Vector256.Create(a0[i]);
                    c00 = Vector256.MultiplyAddEstimate(a, b0, c00);
                    if (TVectors.Value > 1)
                        c01 = Vector256.MultiplyAddEstimate(a, b1, c01);
                    if (TVectors.Value > 2)
                        c02 = Vector256.MultiplyAddEstimate(a, b2, c02);
                    a = Vector256.Create(a1[i]);
                    c10 = Vector256.MultiplyAddEstimate(a, b0, c10);
                    if (TVectors.Value > 1)
                        c11 = Vector256.MultiplyAddEstimate(a, b1, c11);
                    if (TVectors.Value > 2)
                        c12 = Vector256.MultiplyAddEstimate(a, b2, c12);
                    a = Vector256.Create(a2[i]);
                    c20 = Vector256.MultiplyAddEstimate(a, b0, c20);
                    if (TVectors.Value > 1)
                        c21 = Vector256.MultiplyAddEstimate(a, b1, c21);
                    if (TVectors.Value > 2)
                        c22 = Vector256.MultiplyAddEstimate(a, b2, c22);
                    a = Vector256.Create(a3[i]);
                    c30 = Vector256.MultiplyAddEstimate(a, b0, c30);
                    if (TVectors.Value > 1)
                        c31 = Vector256.MultiplyAddEstimate(a, b1, c31);
                    if (TVectors.Value > 2)
                        c32 = Vector256.MultiplyAddEstimate(a, b2, c32);
                    if (TStep.Value == 0)
                        i += step;

                    b0 = Vector256.Load(b + TVectors.Value * Vector256<float>.Count);
                    if (TVectors.Value > 1)
                        b1 = Vector256.Load(b + (TVectors.Value + 1) * Vector256<float>.Count);
                    if (TVectors.Value > 2)
                        b2 = Vector256.Load(b + (TVectors.Value + 2) * Vector256<float>.Count);
                    a = Vector256.Create(a0[i + TStep.Value]);
                    c00 = Vector256.MultiplyAddEstimate(a, b0, c00);
                    if (TVectors.Value > 1)
                        c01 = Vector256.MultiplyAddEstimate(a, b1, c01);
                    if (TVectors.Value > 2)
                        c02 = Vector256.MultiplyAddEstimate(a, b2, c02);
                    a = Vector256.Create(a1[i + TStep.Value]);
                    c10 = Vector256.MultiplyAddEstimate(a, b0, c10);
                    if (TVectors.Value > 1)
                        c11 = Vector256.MultiplyAddEstimate(a, b1, c11);
                    if (TVectors.Value > 2)
                        c12 = Vector256.MultiplyAddEstimate(a, b2, c12);
                    a = Vector256.Create(a2[i + TStep.Value]);
                    c20 = Vector256.MultiplyAddEstimate(a, b0, c20);
                    if (TVectors.Value > 1)
                        c21 = Vector256.MultiplyAddEstimate(a, b1, c21);
                    if (TVectors.Value > 2)
                        c22 = Vector256.MultiplyAddEstimate(a, b2, c22);
                    a = Vector256.Create(a3[i + TStep.Value]);
                    c30 = Vector256.MultiplyAddEstimate(a, b0, c30);
                    if (TVectors.Value > 1)
                        c31 = Vector256.MultiplyAddEstimate(a, b1, c31);
                    if (TVectors.Value > 2)
                        c32 = Vector256.MultiplyAddEstimate(a, b2, c32);
                    if (TStep.Value == 0)
                        i += step;

                    b0 = Vector256.Load(b + 2 * TVectors.Value * Vector256<float>.Count);
                    if (TVectors.Value > 1)
                        b1 = Vector256.Load(b + (2 * TVectors.Value + 1) * Vector256<float>.Count);
                    if (TVectors.Value > 2)
                        b2 = Vector256.Load(b + (2 * TVectors.Value + 2) * Vector256<float>.Count);
                    a = Vector256.Create(a0[i + 2 * TStep.Value]);
                    c00 = Vector256.MultiplyAddEstimate(a, b0, c00);
                    if (TVectors.Value > 1)
                        c01 = Vector256.MultiplyAddEstimate(a, b1, c01);
                    if (TVectors.Value > 2)
                        c02 = Vector256.MultiplyAddEstimate(a, b2, c02);
                    a = Vector256.Create(a1[i + 2 * TStep.Value]);
                    c10 = Vector256.MultiplyAddEstimate(a, b0, c10);
                    if (TVectors.Value > 1)
                        c11 = Vector256.MultiplyAddEstimate(a, b1, c11);
                    if (TVectors.Value > 2)
                        c12 = Vector256.MultiplyAddEstimate(a, b2, c12);
                    a = Vector256.Create(a2[i + 2 * TStep.Value]);
                    c20 = Vector256.MultiplyAddEstimate(a, b0, c20);
                    if (TVectors.Value > 1)
                        c21 = Vector256.MultiplyAddEstimate(a, b1, c21);
                    if (TVectors.Value > 2)
                        c22 = Vector256.MultiplyAddEstimate(a, b2, c22);
                    a = Vector256.Create(a3[i + 2 * TStep.Value]);
                    c30 = Vector256.MultiplyAddEstimate(a, b0, c30);
                    if (TVectors.Value > 1)
                        c31 = Vector256.MultiplyAddEstimate(a, b1, c31);
                    if (TVectors.Value > 2)
                        c32 = Vector256.MultiplyAddEstimate(a, b2, c32);
                    if (TStep.Value == 0)
                        i += step;

                    b0 = Vector256.Load(b + 3 * TVectors.Value * Vector256<float>.Count);
                    if (TVectors.Value > 1)
                        b1 = Vector256.Load(b + (3 * TVectors.Value + 1) * Vector256<float>.Count);
                    if (TVectors.Value > 2)
                        b2 = Vector256.Load(b + (3 * TVectors.Value + 2) * Vector256<float>.Count);
                    a = Vector256.Create(a0[i + 3 * TStep.Value]);
                    c00 = Vector256.MultiplyAddEstimate(a, b0, c00);
                    if (TVectors.Value > 1)
                        c01 = Vector256.MultiplyAddEstimate(a, b1, c01);
                    if (TVectors.Value > 2)
                        c02 = Vector256.MultiplyAddEstimate(a, b2, c02);
                    a = Vector256.Create(a1[i + 3 * TStep.Value]);
                    c10 = Vector256.MultiplyAddEstimate(a, b0, c10);
                    if (TVectors.Value > 1)
                        c11 = Vector256.MultiplyAddEstimate(a, b1, c11);
                    if (TVectors.Value > 2)
                        c12 = Vector256.MultiplyAddEstimate(a, b2, c12);
                    a = Vector256.Create(a2[i + 3 * TStep.Value]);
                    c20 = Vector256.MultiplyAddEstimate(a, b0, c20);
                    if (TVectors.Value > 1)
                        c21 = Vector256.MultiplyAddEstimate(a, b1, c21);
                    if (TVectors.Value > 2)
                        c22 = Vector256.MultiplyAddEstimate(a, b2, c22);
                    a = Vector256.Create(a3[i + 3 * TStep.Value]);
                    c30 = Vector256.MultiplyAddEstimate(a, b0, c30);
                    if (TVectors.Value > 1)
                        c31 = Vector256.MultiplyAddEstimate(a, b1, c31);
                    if (TVectors.Value > 2)
                        c32 = Vector256.MultiplyAddEstimate(a, b2, c32);

                    b += 4 * TVectors.Value * Vector256<float>.Count;
                    i += TStep.Value != 0 ? 4 * TStep.Value : step;
                }
                for (; k > 0; k--)
                {
                    b0 = Vector256.Load(b);
                    if (TVectors.Value > 1)
                        b1 = Vector256.Load(b + Vector256<float>.Count);
                    if (TVectors.Value > 2)
                        b2 = Vector256.Load(b + 2 * Vector256<float>.Count);
                    a = Vector256.Create(a0[i]);
                    c00 = Vector256.MultiplyAddEstimate(a, b0, c00);
                    if (TVectors.Value > 1)
                        c01 = Vector256.MultiplyAddEstimate(a, b1, c01);
                    if (TVectors.Value > 2)
                        c02 = Vector256.MultiplyAddEstimate(a, b2, c02);
                    a = Vector256.Create(a1[i]);
                    c10 = Vector256.MultiplyAddEstimate(a, b0, c10);
                    if (TVectors.Value > 1)
                        c11 = Vector256.MultiplyAddEstimate(a, b1, c11);
                    if (TVectors.Value > 2)
                        c12 = Vector256.MultiplyAddEstimate(a, b2, c12);
                    a = Vector256.Create(a2[i]);
                    c20 = Vector256.MultiplyAddEstimate(a, b0, c20);
                    if (TVectors.Value > 1)
                        c21 = Vector256.MultiplyAddEstimate(a, b1, c21);
                    if (TVectors.Value > 2)
                        c22 = Vector256.MultiplyAddEstimate(a, b2, c22);
                    a = Vector256.Create(a3[i]);
                    c30 = Vector256.MultiplyAddEstimate(a, b0, c30);
                    if (TVectors.Value > 1)
                        c31 = Vector256.MultiplyAddEstimate(a, b1, c31);
                    if (TVectors.Value > 2)
                        c32 = Vector256.MultiplyAddEstimate(a, b2, c32);

                    b += TVectors.Value * Vector256<float>.Count;
                    i += TStep.Value != 0 ? TStep.Value : step;
                }
            }

            if ((strip.Store & GemmStore.Bias) != 0)
            {
                Vector256<float> bias0 = Vector256.Load(strip.Bias);
                c00 += bias0;
                c10 += bias0;
                c20 += bias0;
                c30 += bias0;
                if (TVectors.Value > 1)
                {
                    Vector256<float> bias1 = Vector256.Load(strip.Bias + Vector256<float>.Count);
                    c01 += bias1;
                    c11 += bias1;
                    c21 += bias1;
                    c31 += bias1;
                }
                if (TVectors.Value > 2)
                {
                    Vector256<float> bias2 = Vector256.Load(strip.Bias + 2 * Vector256<float>.Count);
                    c02 += bias2;
                    c12 += bias2;
                    c22 += bias2;
                    c32 += bias2;
                }
            }
            if (rows >= 4 && strip.ColumnCount == TVectors.Value * Vector256<float>.Count)
            {
                float* y = c;
                bool add = (strip.Store & GemmStore.Accumulate) != 0;
                Put<TVectors>(c00, c01, c02, add, y);
                Put<TVectors>(c10, c11, c12, add, y += strip.CStep);
                Put<TVectors>(c20, c21, c22, add, y += strip.CStep);
                Put<TVectors>(c30, c31, c32, add, y += strip.CStep);
                c = y + strip.CStep;
                continue;
            }
            float* to = (float*)edge;
            Put<TVectors>(c00, c01, c02, false, to);
            Put<TVectors>(c10, c11, c12, false, to + 1 * 3 * Vector256<float>.Count);
            Put<TVectors>(c20, c21, c22, false, to + 2 * 3 * Vector256<float>.Count);
            Put<TVectors>(c30, c31, c32, false, to + 3 * 3 * Vector256<float>.Count);
            GemmEdge.Store(to, 3 * Vector256<float>.Count, Math.Min(rows, 4), strip, c);
            c += 4 * strip.CStep;
        }
    }

    /// <summary>Fetches the tile of C while the sums are made; a long row of C is not what the hardware foresees.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(float* c, nint cStep, nint depth)
    {
        if (!Sse.IsSupported || depth < 32)
            return;
        for (int r = 0; r < 4; r++, c += cStep)
        {
            Sse.Prefetch0(c);
            Sse.Prefetch0(c + 16);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put<TVectors>(Vector256<float> x0, Vector256<float> x1, Vector256<float> x2, bool add, float* y)
        where TVectors : struct, IConstant
    {
        if (add)
        {
            x0 += Vector256.Load(y);
            if (TVectors.Value > 1)
                x1 += Vector256.Load(y + Vector256<float>.Count);
            if (TVectors.Value > 2)
                x2 += Vector256.Load(y + 2 * Vector256<float>.Count);
        }
        Vector256.Store(x0, y);
        if (TVectors.Value > 1)
            Vector256.Store(x1, y + Vector256<float>.Count);
        if (TVectors.Value > 2)
            Vector256.Store(x2, y + 2 * Vector256<float>.Count);
    }
}
