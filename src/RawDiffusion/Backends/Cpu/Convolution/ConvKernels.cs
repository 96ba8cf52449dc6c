using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// A run of the reduction that is contiguous in memory for each of the six pixels of a tile: one tap's channels, or a whole row
/// of taps where none of them touches the border. Padding points at a row of zeros.
/// </summary>
internal unsafe struct ConvRun
{
    public float* A0, A1, A2, A3, A4, A5;

    /// <summary>Where the run starts in the reduction (kh, kw, ci), to find its weights.</summary>
    public nint K;

    public nint Length;
}

/// <summary>Six output pixels and the number of <see cref="ConvRun"/>s that follow this header in memory.</summary>
[StructLayout(LayoutKind.Sequential, Size = 128)]
internal unsafe struct ConvTile
{
    public const int Pixels = 6;

    public float* Y0, Y1, Y2, Y3, Y4, Y5;

    /// <summary>What each pixel starts from: a row of biases of all output channels.</summary>
    public float* B0, B1, B2, B3, B4, B5;

    public nint Runs;

    /// <summary>The tile behind this one's runs.</summary>
    public static ConvTile* Next(ConvTile* tile) => (ConvTile*)((ConvRun*)(tile + 1) + tile->Runs);
}

/// <summary>The inner loops of convolution. Accumulators live in registers over the whole reduction.</summary>
internal static unsafe class ConvKernels
{
    /// <summary>Output channels per panel of packed weights, in vectors.</summary>
    public const int PanelVectors = 2;

    public const int GradRows = 4;

    public const int GradVectors = 3;

    /// <summary>
    /// Six pixels times two vectors of output channels. panel: 2 vectors of weights for every k. 12 accumulators, 2 weights and
    /// the broadcast pixel fill the 16 registers of AVX2; 8 loads feed 12 multiply-adds. The result goes to the tile's pixels, or
    /// to part[6][2 vectors] where the panel has fewer channels than that.
    /// </summary>
    /// <param name="residual">With TResidual 1: how far from each output element the element lies that is added to it.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile<V, TResidual>(ConvTile* tile, float* panel, nint xOffset, nint yOffset, nint residual, float* part)
        where V : struct, ISimd<V> where TResidual : struct, IConstant
    {
        V c00 = V.Load(tile->B0 + yOffset), c01 = V.Load(tile->B0 + yOffset + V.Count);
        V c10 = V.Load(tile->B1 + yOffset), c11 = V.Load(tile->B1 + yOffset + V.Count);
        V c20 = V.Load(tile->B2 + yOffset), c21 = V.Load(tile->B2 + yOffset + V.Count);
        V c30 = V.Load(tile->B3 + yOffset), c31 = V.Load(tile->B3 + yOffset + V.Count);
        V c40 = V.Load(tile->B4 + yOffset), c41 = V.Load(tile->B4 + yOffset + V.Count);
        V c50 = V.Load(tile->B5 + yOffset), c51 = V.Load(tile->B5 + yOffset + V.Count);
        if (TResidual.Value == 1)
        {
            residual += yOffset;
            c00 += V.Load(tile->Y0 + residual);
            c01 += V.Load(tile->Y0 + residual + V.Count);
            c10 += V.Load(tile->Y1 + residual);
            c11 += V.Load(tile->Y1 + residual + V.Count);
            c20 += V.Load(tile->Y2 + residual);
            c21 += V.Load(tile->Y2 + residual + V.Count);
            c30 += V.Load(tile->Y3 + residual);
            c31 += V.Load(tile->Y3 + residual + V.Count);
            c40 += V.Load(tile->Y4 + residual);
            c41 += V.Load(tile->Y4 + residual + V.Count);
            c50 += V.Load(tile->Y5 + residual);
            c51 += V.Load(tile->Y5 + residual + V.Count);
        }
        var run = (ConvRun*)(tile + 1);
        var end = run + tile->Runs;
        for (; run < end; run++)
        {
            float* b = panel + run->K * (2 * V.Count);
            nint length = run->Length;
            // Indices rise to zero, so that the counter is the index and its own test.
            float* a0 = run->A0 + xOffset + length;
            float* a1 = run->A1 + xOffset + length;
            float* a2 = run->A2 + xOffset + length;
            float* a3 = run->A3 + xOffset + length;
            float* a4 = run->A4 + xOffset + length;
            float* a5 = run->A5 + xOffset + length;
            for (nint k = -length; k != 0; k++)
            {
                V b0 = V.Load(b), b1 = V.Load(b + V.Count);
                b += 2 * V.Count;
                V a = V.Create(a0[k]);
                c00 = V.MultiplyAdd(a, b0, c00);
                c01 = V.MultiplyAdd(a, b1, c01);
                a = V.Create(a1[k]);
                c10 = V.MultiplyAdd(a, b0, c10);
                c11 = V.MultiplyAdd(a, b1, c11);
                a = V.Create(a2[k]);
                c20 = V.MultiplyAdd(a, b0, c20);
                c21 = V.MultiplyAdd(a, b1, c21);
                a = V.Create(a3[k]);
                c30 = V.MultiplyAdd(a, b0, c30);
                c31 = V.MultiplyAdd(a, b1, c31);
                a = V.Create(a4[k]);
                c40 = V.MultiplyAdd(a, b0, c40);
                c41 = V.MultiplyAdd(a, b1, c41);
                a = V.Create(a5[k]);
                c50 = V.MultiplyAdd(a, b0, c50);
                c51 = V.MultiplyAdd(a, b1, c51);
            }
        }
        // No call may come before the stores: it would move all accumulators to the stack, inside the loop as well.
        bool direct = part == null;
        StoreRow(c00, c01, direct ? tile->Y0 + yOffset : part);
        StoreRow(c10, c11, direct ? tile->Y1 + yOffset : part + 2 * V.Count);
        StoreRow(c20, c21, direct ? tile->Y2 + yOffset : part + 4 * V.Count);
        StoreRow(c30, c31, direct ? tile->Y3 + yOffset : part + 6 * V.Count);
        StoreRow(c40, c41, direct ? tile->Y4 + yOffset : part + 8 * V.Count);
        StoreRow(c50, c51, direct ? tile->Y5 + yOffset : part + 10 * V.Count);
    }

    /// <summary>
    /// Six pixels times two output channels, with the vectors along the reduction: for layers with so few output channels that
    /// <see cref="Tile"/> would mostly multiply padding. panel: for every vector of k one vector of weights of each channel. Runs
    /// are whole vectors.
    /// </summary>
    /// <param name="residual">How far from each output element the element lies that is added to it, or 0 for none.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dot<V>(ConvTile* tile, float* panel, nint xOffset, nint yOffset, nint residual, int columns) where V : struct, ISimd<V>
    {
        V c00 = V.Create(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
        var run = (ConvRun*)(tile + 1);
        var end = run + tile->Runs;
        for (; run < end; run++)
        {
            float* b = panel + run->K * 2;
            nint length = run->Length;
            float* a0 = run->A0 + xOffset + length;
            float* a1 = run->A1 + xOffset + length;
            float* a2 = run->A2 + xOffset + length;
            float* a3 = run->A3 + xOffset + length;
            float* a4 = run->A4 + xOffset + length;
            float* a5 = run->A5 + xOffset + length;
            for (nint k = -length; k != 0; k += V.Count)
            {
                V b0 = V.Load(b), b1 = V.Load(b + V.Count);
                b += 2 * V.Count;
                V a = V.Load(a0 + k);
                c00 = V.MultiplyAdd(a, b0, c00);
                c01 = V.MultiplyAdd(a, b1, c01);
                a = V.Load(a1 + k);
                c10 = V.MultiplyAdd(a, b0, c10);
                c11 = V.MultiplyAdd(a, b1, c11);
                a = V.Load(a2 + k);
                c20 = V.MultiplyAdd(a, b0, c20);
                c21 = V.MultiplyAdd(a, b1, c21);
                a = V.Load(a3 + k);
                c30 = V.MultiplyAdd(a, b0, c30);
                c31 = V.MultiplyAdd(a, b1, c31);
                a = V.Load(a4 + k);
                c40 = V.MultiplyAdd(a, b0, c40);
                c41 = V.MultiplyAdd(a, b1, c41);
                a = V.Load(a5 + k);
                c50 = V.MultiplyAdd(a, b0, c50);
                c51 = V.MultiplyAdd(a, b1, c51);
            }
        }
        StoreSums(c00, c01, tile->B0 + yOffset, residual, tile->Y0 + yOffset, columns);
        StoreSums(c10, c11, tile->B1 + yOffset, residual, tile->Y1 + yOffset, columns);
        StoreSums(c20, c21, tile->B2 + yOffset, residual, tile->Y2 + yOffset, columns);
        StoreSums(c30, c31, tile->B3 + yOffset, residual, tile->Y3 + yOffset, columns);
        StoreSums(c40, c41, tile->B4 + yOffset, residual, tile->Y4 + yOffset, columns);
        StoreSums(c50, c51, tile->B5 + yOffset, residual, tile->Y5 + yOffset, columns);
    }

    /// <summary>
    /// sums[4][3 vectors] (+)= over rows of pixels of gy[pixel][4] times the vectors at x0, x1, x2, which move on by
    /// <paramref name="step"/> floats per pixel and start at offsets[row] in each row.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void GradWeight<V>(
        int rows, nint* offsets, int width, float* gy, float* x0, float* x1, float* x2, nint step, float* sums, bool add)
        where V : struct, ISimd<V>
    {
        V c00 = V.Create(0), c01 = c00, c02 = c00, c10 = c00, c11 = c00, c12 = c00;
        V c20 = c00, c21 = c00, c22 = c00, c30 = c00, c31 = c00, c32 = c00;
        for (int row = 0; row < rows; row++)
        {
            float* p0 = x0 + offsets[row];
            float* p1 = x1 + offsets[row];
            float* p2 = x2 + offsets[row];
            float* end = gy + (nint)width * GradRows;
            while (gy != end)
            {
                V b0 = V.Load(p0), b1 = V.Load(p1), b2 = V.Load(p2);
                p0 += step;
                p1 += step;
                p2 += step;
                V a = V.Create(gy[0]);
                c00 = V.MultiplyAdd(a, b0, c00);
                c01 = V.MultiplyAdd(a, b1, c01);
                c02 = V.MultiplyAdd(a, b2, c02);
                a = V.Create(gy[1]);
                c10 = V.MultiplyAdd(a, b0, c10);
                c11 = V.MultiplyAdd(a, b1, c11);
                c12 = V.MultiplyAdd(a, b2, c12);
                a = V.Create(gy[2]);
                c20 = V.MultiplyAdd(a, b0, c20);
                c21 = V.MultiplyAdd(a, b1, c21);
                c22 = V.MultiplyAdd(a, b2, c22);
                a = V.Create(gy[3]);
                c30 = V.MultiplyAdd(a, b0, c30);
                c31 = V.MultiplyAdd(a, b1, c31);
                c32 = V.MultiplyAdd(a, b2, c32);
                gy += GradRows;
            }
        }
        StoreSums3(c00, c01, c02, sums, add);
        StoreSums3(c10, c11, c12, sums + 3 * V.Count, add);
        StoreSums3(c20, c21, c22, sums + 6 * V.Count, add);
        StoreSums3(c30, c31, c32, sums + 9 * V.Count, add);
    }

    /// <summary>Copies the first <paramref name="columns"/> channels of each pixel from the other output of <see cref="Tile"/>.</summary>
    /// <param name="residual">How far from each output element the element lies that is added to it, or 0 for none.</param>
    public static void CopyPart(ConvTile* tile, float* part, int stride, nint yOffset, nint residual, int columns)
    {
        float** pixels = &tile->Y0;
        for (int p = 0; p < ConvTile.Pixels; p++)
        {
            float* y = pixels[p] + yOffset;
            for (int i = 0; i < columns; i++)
                y[i] = residual == 0 ? part[p * stride + i] : part[p * stride + i] + y[residual + i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreRow<V>(V c0, V c1, float* y) where V : struct, ISimd<V>
    {
        V.Store(c0, y);
        V.Store(c1, y + V.Count);
    }

    private static void StoreSums<V>(V c0, V c1, float* bias, nint residual, float* y, int columns) where V : struct, ISimd<V>
    {
        float y0 = V.Sum(c0) + bias[0];
        y[0] = residual == 0 ? y0 : y0 + y[residual];
        if (columns == 1)
            return;
        float y1 = V.Sum(c1) + bias[1];
        y[1] = residual == 0 ? y1 : y1 + y[residual + 1];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreSums3<V>(V c0, V c1, V c2, float* sums, bool add) where V : struct, ISimd<V>
    {
        if (add)
        {
            c0 += V.Load(sums);
            c1 += V.Load(sums + V.Count);
            c2 += V.Load(sums + 2 * V.Count);
        }
        V.Store(c0, sums);
        V.Store(c1, sums + V.Count);
        V.Store(c2, sums + 2 * V.Count);
    }
}
