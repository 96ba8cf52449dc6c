using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>4 rows x 3 vectors over any vector type: the portable kernel, for machines without AVX2.</summary>
internal readonly unsafe struct GemmKernelPortable<V> : IGemmKernel where V : struct, ISimd<V>
{
    public static int Rows => 4;

    public static int Lanes => V.Count;

    public static void Run(in GemmStrip strip)
    {
        if (strip.Vectors == 3)
            Run<Three>(strip);
        else if (strip.Vectors == 2)
            Run<Two>(strip);
        else
            Run<One>(strip);
    }

    [SkipLocalsInit]
    private static void Run<TVectors>(in GemmStrip strip) where TVectors : struct, IConstant
    {
        float* edge = stackalloc float[12 * 16];
        float** pointers = strip.APointers;
        float* c = strip.C;
        nint step = strip.AStep;
        for (int rows = strip.RowCount; rows > 0; rows -= 4)
        {
            V c00 = default, c01 = default, c02 = default;
            V c10 = default, c11 = default, c12 = default;
            V c20 = default, c21 = default, c22 = default;
            V c30 = default, c31 = default, c32 = default;
            float* b = strip.B;
            for (int segment = strip.Segments; segment > 0; segment--)
            {
                float* a0 = pointers[0], a1 = pointers[1], a2 = pointers[2], a3 = pointers[3];
                pointers += 4;
                nint i = 0;
                V b1 = default, b2 = default;
                for (nint k = strip.Depth; k > 0; k--)
                {
                    V b0 = V.Load(b);
                    if (TVectors.Value > 1)
                        b1 = V.Load(b + V.Count);
                    if (TVectors.Value > 2)
                        b2 = V.Load(b + 2 * V.Count);
                    V a = V.Create(a0[i]);
                    c00 = V.MultiplyAdd(a, b0, c00);
                    if (TVectors.Value > 1)
                        c01 = V.MultiplyAdd(a, b1, c01);
                    if (TVectors.Value > 2)
                        c02 = V.MultiplyAdd(a, b2, c02);
                    a = V.Create(a1[i]);
                    c10 = V.MultiplyAdd(a, b0, c10);
                    if (TVectors.Value > 1)
                        c11 = V.MultiplyAdd(a, b1, c11);
                    if (TVectors.Value > 2)
                        c12 = V.MultiplyAdd(a, b2, c12);
                    a = V.Create(a2[i]);
                    c20 = V.MultiplyAdd(a, b0, c20);
                    if (TVectors.Value > 1)
                        c21 = V.MultiplyAdd(a, b1, c21);
                    if (TVectors.Value > 2)
                        c22 = V.MultiplyAdd(a, b2, c22);
                    a = V.Create(a3[i]);
                    c30 = V.MultiplyAdd(a, b0, c30);
                    if (TVectors.Value > 1)
                        c31 = V.MultiplyAdd(a, b1, c31);
                    if (TVectors.Value > 2)
                        c32 = V.MultiplyAdd(a, b2, c32);
                    b += TVectors.Value * V.Count;
                    i += step;
                }
            }
            bool whole = rows >= 4 && strip.ColumnCount == TVectors.Value * V.Count;
            GemmStore store = whole ? strip.Store : strip.Store & ~GemmStore.Accumulate;
            float* y = whole ? c : edge;
            nint yStep = whole ? strip.CStep : 3 * V.Count;
            Put<TVectors>(c00, c01, c02, strip.Bias, store, y);
            Put<TVectors>(c10, c11, c12, strip.Bias, store, y + yStep);
            Put<TVectors>(c20, c21, c22, strip.Bias, store, y + 2 * yStep);
            Put<TVectors>(c30, c31, c32, strip.Bias, store, y + 3 * yStep);
            if (!whole)
                GemmEdge.Store(edge, 3 * V.Count, Math.Min(rows, 4), strip, c);
            c += 4 * strip.CStep;
        }
    }

    private static void Put<TVectors>(V x0, V x1, V x2, float* bias, GemmStore store, float* y) where TVectors : struct, IConstant
    {
        if ((store & GemmStore.Bias) != 0)
        {
            x0 += V.Load(bias);
            if (TVectors.Value > 1)
                x1 += V.Load(bias + V.Count);
            if (TVectors.Value > 2)
                x2 += V.Load(bias + 2 * V.Count);
        }
        if ((store & GemmStore.Accumulate) != 0)
        {
            x0 += V.Load(y);
            if (TVectors.Value > 1)
                x1 += V.Load(y + V.Count);
            if (TVectors.Value > 2)
                x2 += V.Load(y + 2 * V.Count);
        }
        V.Store(x0, y);
        if (TVectors.Value > 1)
            V.Store(x1, y + V.Count);
        if (TVectors.Value > 2)
            V.Store(x2, y + 2 * V.Count);
    }
}
