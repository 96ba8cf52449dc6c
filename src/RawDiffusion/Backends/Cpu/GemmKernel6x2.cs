using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// 6 rows x 2 vectors: 12 accumulators, 2 of B and 1 of A fill the 16 vector registers of AVX2. Every step of k is 12 multiply-adds
/// from 8 loads, so the two multipliers of a core are the limit and not its two load ports.
/// </summary>
internal readonly unsafe struct GemmKernel6x2<V> : IGemmKernel where V : struct, ISimd<V>
{
    public static int Rows => 6;

    public static int Columns => 2 * V.Count;

    [SkipLocalsInit]
    public static void Run(in GemmStrip strip)
    {
        float* edge = stackalloc float[6 * 2 * 16];
        float** pointers = strip.APointers;
        nint step = strip.AStep, bStep = strip.BStep, depth = strip.Depth, cStep = strip.CStep;
        float* c = strip.C;
        bool whole = strip.ColumnCount == Columns;
        for (int rows = strip.RowCount; rows > 0; rows -= 6)
        {
            V c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default;
            V c30 = default, c31 = default, c40 = default, c41 = default, c50 = default, c51 = default;
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
                pointers += 6;
                nint i = 0;
                for (nint k = depth; k > 0; k--)
                {
                    V b0 = V.Load(b), b1 = V.Load(b + V.Count);
                    b += bStep;
                    V a = V.Create(a0[i]);
                    c00 = V.MultiplyAdd(a, b0, c00);
                    c01 = V.MultiplyAdd(a, b1, c01);
                    a = V.Create(a1[i]);
                    c10 = V.MultiplyAdd(a, b0, c10);
                    c11 = V.MultiplyAdd(a, b1, c11);
                    a = V.Create(a2[i]);
                    c20 = V.MultiplyAdd(a, b0, c20);
                    c21 = V.MultiplyAdd(a, b1, c21);
                    a = V.Create(a3[i]);
                    c30 = V.MultiplyAdd(a, b0, c30);
                    c31 = V.MultiplyAdd(a, b1, c31);
                    a = V.Create(a4[i]);
                    c40 = V.MultiplyAdd(a, b0, c40);
                    c41 = V.MultiplyAdd(a, b1, c41);
                    a = V.Create(a5[i]);
                    c50 = V.MultiplyAdd(a, b0, c50);
                    c51 = V.MultiplyAdd(a, b1, c51);
                    i += step;
                }
            }
            while (--segment > 0);

            if ((strip.Store & GemmStore.Bias) != 0)
            {
                V bias0 = V.Load(strip.Bias), bias1 = V.Load(strip.Bias + V.Count);
                c00 += bias0;
                c01 += bias1;
                c10 += bias0;
                c11 += bias1;
                c20 += bias0;
                c21 += bias1;
                c30 += bias0;
                c31 += bias1;
                c40 += bias0;
                c41 += bias1;
                c50 += bias0;
                c51 += bias1;
            }
            bool direct = whole && rows >= 6;
            float* y = direct ? c : edge;
            nint yStep = direct ? cStep : 2 * V.Count;
            if (direct && (strip.Store & GemmStore.Accumulate) != 0)
            {
                Row.Add(c00, c01, y);
                Row.Add(c10, c11, y += yStep);
                Row.Add(c20, c21, y += yStep);
                Row.Add(c30, c31, y += yStep);
                Row.Add(c40, c41, y += yStep);
                Row.Add(c50, c51, y += yStep);
            }
            else
            {
                Row.Put(c00, c01, y);
                Row.Put(c10, c11, y += yStep);
                Row.Put(c20, c21, y += yStep);
                Row.Put(c30, c31, y += yStep);
                Row.Put(c40, c41, y += yStep);
                Row.Put(c50, c51, y += yStep);
                if (!direct)
                    GemmEdge.Store(edge, Columns, Math.Min(rows, 6), strip.ColumnCount, strip.Store, c, cStep);
            }
            c += 6 * cStep;
        }
    }

    private static class Row
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Put(V x0, V x1, float* y)
        {
            V.Store(x0, y);
            V.Store(x1, y + V.Count);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Add(V x0, V x1, float* y)
        {
            V.Store(V.Load(y) + x0, y);
            V.Store(V.Load(y + V.Count) + x1, y + V.Count);
        }
    }
}

/// <summary>Copies the valid part of a tile at the border of C.</summary>
internal static unsafe class GemmEdge
{
    public static void Store(float* tile, int tileStep, int rows, int columns, GemmStore store, float* c, nint cStep)
    {
        for (int r = 0; r < rows; r++, tile += tileStep, c += cStep)
        {
            if ((store & GemmStore.Accumulate) != 0)
            {
                for (int j = 0; j < columns; j++)
                    c[j] += tile[j];
            }
            else
            {
                for (int j = 0; j < columns; j++)
                    c[j] = tile[j];
            }
        }
    }
}
