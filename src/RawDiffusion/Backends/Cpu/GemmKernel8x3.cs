using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// 8 rows x 3 vectors: 24 accumulators, 3 of B and 1 of A in the 32 vector registers of AVX-512. Every step of k is 24
/// multiply-adds from 11 loads.
/// </summary>
internal readonly unsafe struct GemmKernel8x3<V> : IGemmKernel where V : struct, ISimd<V>
{
    public static int Rows => 8;

    public static int Columns => 3 * V.Count;

    [SkipLocalsInit]
    public static void Run(in GemmStrip strip)
    {
        float* edge = stackalloc float[8 * 3 * 16];
        float** pointers = strip.APointers;
        nint step = strip.AStep, bStep = strip.BStep, depth = strip.Depth, cStep = strip.CStep;
        float* c = strip.C;
        bool whole = strip.ColumnCount == Columns;
        for (int rows = strip.RowCount; rows > 0; rows -= 8)
        {
            V c00 = default, c01 = default, c02 = default;
            V c10 = default, c11 = default, c12 = default;
            V c20 = default, c21 = default, c22 = default;
            V c30 = default, c31 = default, c32 = default;
            V c40 = default, c41 = default, c42 = default;
            V c50 = default, c51 = default, c52 = default;
            V c60 = default, c61 = default, c62 = default;
            V c70 = default, c71 = default, c72 = default;
            float* b = strip.B;
            int segment = strip.Segments;
            do
            {
                float* a0 = pointers[0];
                float* a1 = pointers[1];
                float* a2 = pointers[2];
                float* a3 = pointers[3];
                float* a4 = pointers[4];
                float* a5 = pointers[5];
                float* a6 = pointers[6];
                float* a7 = pointers[7];
                pointers += 8;
                nint i = 0;
                for (nint k = depth; k > 0; k--)
                {
                    V b0 = V.Load(b), b1 = V.Load(b + V.Count), b2 = V.Load(b + 2 * V.Count);
                    b += bStep;
                    V a = V.Create(a0[i]);
                    c00 = V.MultiplyAdd(a, b0, c00);
                    c01 = V.MultiplyAdd(a, b1, c01);
                    c02 = V.MultiplyAdd(a, b2, c02);
                    a = V.Create(a1[i]);
                    c10 = V.MultiplyAdd(a, b0, c10);
                    c11 = V.MultiplyAdd(a, b1, c11);
                    c12 = V.MultiplyAdd(a, b2, c12);
                    a = V.Create(a2[i]);
                    c20 = V.MultiplyAdd(a, b0, c20);
                    c21 = V.MultiplyAdd(a, b1, c21);
                    c22 = V.MultiplyAdd(a, b2, c22);
                    a = V.Create(a3[i]);
                    c30 = V.MultiplyAdd(a, b0, c30);
                    c31 = V.MultiplyAdd(a, b1, c31);
                    c32 = V.MultiplyAdd(a, b2, c32);
                    a = V.Create(a4[i]);
                    c40 = V.MultiplyAdd(a, b0, c40);
                    c41 = V.MultiplyAdd(a, b1, c41);
                    c42 = V.MultiplyAdd(a, b2, c42);
                    a = V.Create(a5[i]);
                    c50 = V.MultiplyAdd(a, b0, c50);
                    c51 = V.MultiplyAdd(a, b1, c51);
                    c52 = V.MultiplyAdd(a, b2, c52);
                    a = V.Create(a6[i]);
                    c60 = V.MultiplyAdd(a, b0, c60);
                    c61 = V.MultiplyAdd(a, b1, c61);
                    c62 = V.MultiplyAdd(a, b2, c62);
                    a = V.Create(a7[i]);
                    c70 = V.MultiplyAdd(a, b0, c70);
                    c71 = V.MultiplyAdd(a, b1, c71);
                    c72 = V.MultiplyAdd(a, b2, c72);
                    i += step;
                }
            }
            while (--segment > 0);

            if ((strip.Store & GemmStore.Bias) != 0)
            {
                V bias0 = V.Load(strip.Bias), bias1 = V.Load(strip.Bias + V.Count), bias2 = V.Load(strip.Bias + 2 * V.Count);
                c00 += bias0;
                c01 += bias1;
                c02 += bias2;
                c10 += bias0;
                c11 += bias1;
                c12 += bias2;
                c20 += bias0;
                c21 += bias1;
                c22 += bias2;
                c30 += bias0;
                c31 += bias1;
                c32 += bias2;
                c40 += bias0;
                c41 += bias1;
                c42 += bias2;
                c50 += bias0;
                c51 += bias1;
                c52 += bias2;
                c60 += bias0;
                c61 += bias1;
                c62 += bias2;
                c70 += bias0;
                c71 += bias1;
                c72 += bias2;
            }
            bool direct = whole && rows >= 8;
            float* y = direct ? c : edge;
            nint yStep = direct ? cStep : 3 * V.Count;
            if (direct && (strip.Store & GemmStore.Accumulate) != 0)
            {
                Row.Add(c00, c01, c02, y);
                Row.Add(c10, c11, c12, y += yStep);
                Row.Add(c20, c21, c22, y += yStep);
                Row.Add(c30, c31, c32, y += yStep);
                Row.Add(c40, c41, c42, y += yStep);
                Row.Add(c50, c51, c52, y += yStep);
                Row.Add(c60, c61, c62, y += yStep);
                Row.Add(c70, c71, c72, y += yStep);
            }
            else
            {
                Row.Put(c00, c01, c02, y);
                Row.Put(c10, c11, c12, y += yStep);
                Row.Put(c20, c21, c22, y += yStep);
                Row.Put(c30, c31, c32, y += yStep);
                Row.Put(c40, c41, c42, y += yStep);
                Row.Put(c50, c51, c52, y += yStep);
                Row.Put(c60, c61, c62, y += yStep);
                Row.Put(c70, c71, c72, y += yStep);
                if (!direct)
                    GemmEdge.Store(edge, Columns, Math.Min(rows, 8), strip.ColumnCount, strip.Store, c, cStep);
            }
            c += 8 * cStep;
        }
    }

    private static class Row
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Put(V x0, V x1, V x2, float* y)
        {
            V.Store(x0, y);
            V.Store(x1, y + V.Count);
            V.Store(x2, y + 2 * V.Count);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Add(V x0, V x1, V x2, float* y)
        {
            V.Store(V.Load(y) + x0, y);
            V.Store(V.Load(y + V.Count) + x1, y + V.Count);
            V.Store(V.Load(y + 2 * V.Count) + x2, y + 2 * V.Count);
        }
    }
}
