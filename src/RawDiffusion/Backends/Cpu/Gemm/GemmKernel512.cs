using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// 8 rows x 3 vectors on AVX-512: 24 accumulators, 3 vectors of B and 1 of A in 32 registers. A step of k is 24 multiply-adds
/// and 11 loads. Written as <see cref="GemmKernel256"/> is, for the same reasons.
/// </summary>
internal readonly unsafe struct GemmKernel512 : IGemmKernel
{
    public static int Rows => 8;

    public static int Lanes => Vector512<float>.Count;

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
        else if (strip.AStep == 8)
            Run<TVectors, Eight>(strip);
        else
            Run<TVectors, Zero>(strip);
    }

    /// <param name="strip">The strip; its AStep is TStep unless that is 0.</param>
    /// <remarks>Fully optimised from the first call: what profiles make of it is up to 40% slower with short sums.</remarks>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run<TVectors, TStep>(in GemmStrip strip) where TVectors : struct, IConstant where TStep : struct, IConstant
    {
        Vector512<float>* edge = stackalloc Vector512<float>[24];
        float** pointers = strip.APointers;
        float* c = strip.C;
        nint step = strip.AStep;
        for (int rows = strip.RowCount; rows > 0; rows -= 8)
        {
            Vector512<float> c00 = default, c01 = default, c02 = default;
            Vector512<float> c10 = default, c11 = default, c12 = default;
            Vector512<float> c20 = default, c21 = default, c22 = default;
            Vector512<float> c30 = default, c31 = default, c32 = default;
            Vector512<float> c40 = default, c41 = default, c42 = default;
            Vector512<float> c50 = default, c51 = default, c52 = default;
            Vector512<float> c60 = default, c61 = default, c62 = default;
            Vector512<float> c70 = default, c71 = default, c72 = default;
            Prefetch(c, strip.CStep, strip.Depth);
            float* b = strip.B;
            for (int segment = strip.Segments; segment > 0; segment--)
            {
                float* a0 = pointers[0], a1 = pointers[1], a2 = pointers[2], a3 = pointers[3];
                float* a4 = pointers[4], a5 = pointers[5], a6 = pointers[6], a7 = pointers[7];
                pointers += 8;
                nint i = 0, k = strip.Depth;
                Vector512<float> a, b0, b1 = default, b2 = default;
                for (; k >= 2; k -= 2)
                {
                    b0 = Vector512.Load(b);
                    if (TVectors.Value > 1)
                        b1 = Vector512.Load(b + Vector512<float>.Count);
                    if (TVectors.Value > 2)
                        b2 = Vector512.Load(b + 2 * Vector512<float>.Count);
                    a = Vector512.Create(a0[i]);
                    c00 = Vector512.MultiplyAddEstimate(a, b0, c00);
                    if (TVectors.Value > 1)
                        c01 = Vector512.MultiplyAddEstimate(a, b1, c01);
                    if (TVectors.Value > 2)
                        c02 = Vector512.MultiplyAddEstimate(a, b2, c02);
                    a = Vector512.Create(a1[i]);
                    c10 = Vector512.MultiplyAddEstimate(a, b0, c10);
                    if (TVectors.Value > 1)
                        c11 = Vector512.MultiplyAddEstimate(a, b1, c11);
                    if (TVectors.Value > 2)
                        c12 = Vector512.MultiplyAddEstimate(a, b2, c12);
                    a = Vector512.Create(a2[i]);
                    c20 = Vector512.MultiplyAddEstimate(a, b0, c20);
                    if (TVectors.Value > 1)
                        c21 = Vector512.MultiplyAddEstimate(a, b1, c21);
                    if (TVectors.Value > 2)
                        c22 = Vector512.MultiplyAddEstimate(a, b2, c22);
                    a = Vector512.Create(a3[i]);
                    c30 = Vector512.MultiplyAddEstimate(a, b0, c30);
                    if (TVectors.Value > 1)
                        c31 = Vector512.MultiplyAddEstimate(a, b1, c31);
                    if (TVectors.Value > 2)
                        c32 = Vector512.MultiplyAddEstimate(a, b2, c32);
                    a = Vector512.Create(a4[i]);
                    c40 = Vector512.MultiplyAddEstimate(a, b0, c40);
                    if (TVectors.Value > 1)
                        c41 = Vector512.MultiplyAddEstimate(a, b1, c41);
                    if (TVectors.Value > 2)
                        c42 = Vector512.MultiplyAddEstimate(a, b2, c42);
                    a = Vector512.Create(a5[i]);
                    c50 = Vector512.MultiplyAddEstimate(a, b0, c50);
                    if (TVectors.Value > 1)
                        c51 = Vector512.MultiplyAddEstimate(a, b1, c51);
                    if (TVectors.Value > 2)
                        c52 = Vector512.MultiplyAddEstimate(a, b2, c52);
                    a = Vector512.Create(a6[i]);
                    c60 = Vector512.MultiplyAddEstimate(a, b0, c60);
                    if (TVectors.Value > 1)
                        c61 = Vector512.MultiplyAddEstimate(a, b1, c61);
                    if (TVectors.Value > 2)
                        c62 = Vector512.MultiplyAddEstimate(a, b2, c62);
                    a = Vector512.Create(a7[i]);
                    c70 = Vector512.MultiplyAddEstimate(a, b0, c70);
                    if (TVectors.Value > 1)
                        c71 = Vector512.MultiplyAddEstimate(a, b1, c71);
                    if (TVectors.Value > 2)
                        c72 = Vector512.MultiplyAddEstimate(a, b2, c72);
                    if (TStep.Value == 0)
                        i += step;

                    b0 = Vector512.Load(b + TVectors.Value * Vector512<float>.Count);
                    if (TVectors.Value > 1)
                        b1 = Vector512.Load(b + (TVectors.Value + 1) * Vector512<float>.Count);
                    if (TVectors.Value > 2)
                        b2 = Vector512.Load(b + (TVectors.Value + 2) * Vector512<float>.Count);
                    a = Vector512.Create(a0[i + TStep.Value]);
                    c00 = Vector512.MultiplyAddEstimate(a, b0, c00);
                    if (TVectors.Value > 1)
                        c01 = Vector512.MultiplyAddEstimate(a, b1, c01);
                    if (TVectors.Value > 2)
                        c02 = Vector512.MultiplyAddEstimate(a, b2, c02);
                    a = Vector512.Create(a1[i + TStep.Value]);
                    c10 = Vector512.MultiplyAddEstimate(a, b0, c10);
                    if (TVectors.Value > 1)
                        c11 = Vector512.MultiplyAddEstimate(a, b1, c11);
                    if (TVectors.Value > 2)
                        c12 = Vector512.MultiplyAddEstimate(a, b2, c12);
                    a = Vector512.Create(a2[i + TStep.Value]);
                    c20 = Vector512.MultiplyAddEstimate(a, b0, c20);
                    if (TVectors.Value > 1)
                        c21 = Vector512.MultiplyAddEstimate(a, b1, c21);
                    if (TVectors.Value > 2)
                        c22 = Vector512.MultiplyAddEstimate(a, b2, c22);
                    a = Vector512.Create(a3[i + TStep.Value]);
                    c30 = Vector512.MultiplyAddEstimate(a, b0, c30);
                    if (TVectors.Value > 1)
                        c31 = Vector512.MultiplyAddEstimate(a, b1, c31);
                    if (TVectors.Value > 2)
                        c32 = Vector512.MultiplyAddEstimate(a, b2, c32);
                    a = Vector512.Create(a4[i + TStep.Value]);
                    c40 = Vector512.MultiplyAddEstimate(a, b0, c40);
                    if (TVectors.Value > 1)
                        c41 = Vector512.MultiplyAddEstimate(a, b1, c41);
                    if (TVectors.Value > 2)
                        c42 = Vector512.MultiplyAddEstimate(a, b2, c42);
                    a = Vector512.Create(a5[i + TStep.Value]);
                    c50 = Vector512.MultiplyAddEstimate(a, b0, c50);
                    if (TVectors.Value > 1)
                        c51 = Vector512.MultiplyAddEstimate(a, b1, c51);
                    if (TVectors.Value > 2)
                        c52 = Vector512.MultiplyAddEstimate(a, b2, c52);
                    a = Vector512.Create(a6[i + TStep.Value]);
                    c60 = Vector512.MultiplyAddEstimate(a, b0, c60);
                    if (TVectors.Value > 1)
                        c61 = Vector512.MultiplyAddEstimate(a, b1, c61);
                    if (TVectors.Value > 2)
                        c62 = Vector512.MultiplyAddEstimate(a, b2, c62);
                    a = Vector512.Create(a7[i + TStep.Value]);
                    c70 = Vector512.MultiplyAddEstimate(a, b0, c70);
                    if (TVectors.Value > 1)
                        c71 = Vector512.MultiplyAddEstimate(a, b1, c71);
                    if (TVectors.Value > 2)
                        c72 = Vector512.MultiplyAddEstimate(a, b2, c72);

                    b += 2 * TVectors.Value * Vector512<float>.Count;
                    i += TStep.Value != 0 ? 2 * TStep.Value : step;
                }
                for (; k > 0; k--)
                {
                    b0 = Vector512.Load(b);
                    if (TVectors.Value > 1)
                        b1 = Vector512.Load(b + Vector512<float>.Count);
                    if (TVectors.Value > 2)
                        b2 = Vector512.Load(b + 2 * Vector512<float>.Count);
                    a = Vector512.Create(a0[i]);
                    c00 = Vector512.MultiplyAddEstimate(a, b0, c00);
                    if (TVectors.Value > 1)
                        c01 = Vector512.MultiplyAddEstimate(a, b1, c01);
                    if (TVectors.Value > 2)
                        c02 = Vector512.MultiplyAddEstimate(a, b2, c02);
                    a = Vector512.Create(a1[i]);
                    c10 = Vector512.MultiplyAddEstimate(a, b0, c10);
                    if (TVectors.Value > 1)
                        c11 = Vector512.MultiplyAddEstimate(a, b1, c11);
                    if (TVectors.Value > 2)
                        c12 = Vector512.MultiplyAddEstimate(a, b2, c12);
                    a = Vector512.Create(a2[i]);
                    c20 = Vector512.MultiplyAddEstimate(a, b0, c20);
                    if (TVectors.Value > 1)
                        c21 = Vector512.MultiplyAddEstimate(a, b1, c21);
                    if (TVectors.Value > 2)
                        c22 = Vector512.MultiplyAddEstimate(a, b2, c22);
                    a = Vector512.Create(a3[i]);
                    c30 = Vector512.MultiplyAddEstimate(a, b0, c30);
                    if (TVectors.Value > 1)
                        c31 = Vector512.MultiplyAddEstimate(a, b1, c31);
                    if (TVectors.Value > 2)
                        c32 = Vector512.MultiplyAddEstimate(a, b2, c32);
                    a = Vector512.Create(a4[i]);
                    c40 = Vector512.MultiplyAddEstimate(a, b0, c40);
                    if (TVectors.Value > 1)
                        c41 = Vector512.MultiplyAddEstimate(a, b1, c41);
                    if (TVectors.Value > 2)
                        c42 = Vector512.MultiplyAddEstimate(a, b2, c42);
                    a = Vector512.Create(a5[i]);
                    c50 = Vector512.MultiplyAddEstimate(a, b0, c50);
                    if (TVectors.Value > 1)
                        c51 = Vector512.MultiplyAddEstimate(a, b1, c51);
                    if (TVectors.Value > 2)
                        c52 = Vector512.MultiplyAddEstimate(a, b2, c52);
                    a = Vector512.Create(a6[i]);
                    c60 = Vector512.MultiplyAddEstimate(a, b0, c60);
                    if (TVectors.Value > 1)
                        c61 = Vector512.MultiplyAddEstimate(a, b1, c61);
                    if (TVectors.Value > 2)
                        c62 = Vector512.MultiplyAddEstimate(a, b2, c62);
                    a = Vector512.Create(a7[i]);
                    c70 = Vector512.MultiplyAddEstimate(a, b0, c70);
                    if (TVectors.Value > 1)
                        c71 = Vector512.MultiplyAddEstimate(a, b1, c71);
                    if (TVectors.Value > 2)
                        c72 = Vector512.MultiplyAddEstimate(a, b2, c72);

                    b += TVectors.Value * Vector512<float>.Count;
                    i += TStep.Value != 0 ? TStep.Value : step;
                }
            }

            if ((strip.Store & GemmStore.Bias) != 0)
            {
                Vector512<float> bias0 = Vector512.Load(strip.Bias);
                c00 += bias0;
                c10 += bias0;
                c20 += bias0;
                c30 += bias0;
                c40 += bias0;
                c50 += bias0;
                c60 += bias0;
                c70 += bias0;
                if (TVectors.Value > 1)
                {
                    Vector512<float> bias1 = Vector512.Load(strip.Bias + Vector512<float>.Count);
                    c01 += bias1;
                    c11 += bias1;
                    c21 += bias1;
                    c31 += bias1;
                    c41 += bias1;
                    c51 += bias1;
                    c61 += bias1;
                    c71 += bias1;
                }
                if (TVectors.Value > 2)
                {
                    Vector512<float> bias2 = Vector512.Load(strip.Bias + 2 * Vector512<float>.Count);
                    c02 += bias2;
                    c12 += bias2;
                    c22 += bias2;
                    c32 += bias2;
                    c42 += bias2;
                    c52 += bias2;
                    c62 += bias2;
                    c72 += bias2;
                }
            }
            if (rows >= 8 && strip.ColumnCount == TVectors.Value * Vector512<float>.Count)
            {
                float* y = c;
                bool add = (strip.Store & GemmStore.Accumulate) != 0;
                Put<TVectors>(c00, c01, c02, add, y);
                Put<TVectors>(c10, c11, c12, add, y += strip.CStep);
                Put<TVectors>(c20, c21, c22, add, y += strip.CStep);
                Put<TVectors>(c30, c31, c32, add, y += strip.CStep);
                Put<TVectors>(c40, c41, c42, add, y += strip.CStep);
                Put<TVectors>(c50, c51, c52, add, y += strip.CStep);
                Put<TVectors>(c60, c61, c62, add, y += strip.CStep);
                Put<TVectors>(c70, c71, c72, add, y += strip.CStep);
                c = y + strip.CStep;
                continue;
            }
            float* to = (float*)edge;
            Put<TVectors>(c00, c01, c02, false, to);
            Put<TVectors>(c10, c11, c12, false, to + 1 * 3 * Vector512<float>.Count);
            Put<TVectors>(c20, c21, c22, false, to + 2 * 3 * Vector512<float>.Count);
            Put<TVectors>(c30, c31, c32, false, to + 3 * 3 * Vector512<float>.Count);
            Put<TVectors>(c40, c41, c42, false, to + 4 * 3 * Vector512<float>.Count);
            Put<TVectors>(c50, c51, c52, false, to + 5 * 3 * Vector512<float>.Count);
            Put<TVectors>(c60, c61, c62, false, to + 6 * 3 * Vector512<float>.Count);
            Put<TVectors>(c70, c71, c72, false, to + 7 * 3 * Vector512<float>.Count);
            GemmEdge.Store(to, 3 * Vector512<float>.Count, Math.Min(rows, 8), strip, c);
            c += 8 * strip.CStep;
        }
    }

    /// <summary>Fetches the tile of C while the sums are made; a long row of C is not what the hardware foresees.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(float* c, nint cStep, nint depth)
    {
        if (!Sse.IsSupported || depth < 32)
            return;
        for (int r = 0; r < 8; r++, c += cStep)
        {
            Sse.Prefetch0(c);
            Sse.Prefetch0(c + 16);
            Sse.Prefetch0(c + 32);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put<TVectors>(Vector512<float> x0, Vector512<float> x1, Vector512<float> x2, bool add, float* y)
        where TVectors : struct, IConstant
    {
        if (add)
        {
            x0 += Vector512.Load(y);
            if (TVectors.Value > 1)
                x1 += Vector512.Load(y + Vector512<float>.Count);
            if (TVectors.Value > 2)
                x2 += Vector512.Load(y + 2 * Vector512<float>.Count);
        }
        Vector512.Store(x0, y);
        if (TVectors.Value > 1)
            Vector512.Store(x1, y + Vector512<float>.Count);
        if (TVectors.Value > 2)
            Vector512.Store(x2, y + 2 * Vector512<float>.Count);
    }
}
