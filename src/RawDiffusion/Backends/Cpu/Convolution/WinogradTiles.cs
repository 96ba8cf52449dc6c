using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// The transformations of <see cref="Winograd"/> in two dimensions, of one tile and one vector of channels: along columns into
/// a small buffer, then along rows. Point (i, j) of a transformed tile is 6 i + j.
/// </summary>
internal static unsafe class WinogradTiles<V> where V : struct, ISimd<V>
{
    private const int In = Winograd.In, Out = Winograd.Out;

    private static nint Row => In * V.Count;

    /// <summary>B^T d B.</summary>
    /// <param name="rows">Addresses of the tile's six rows; rows outside the image point at zeros.</param>
    /// <param name="pixel">Floats from pixel to pixel.</param>
    /// <param name="from">The first column of the tile that is inside the image; the columns up to it are zeros.</param>
    /// <param name="end">The end of the columns inside.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Image(float** rows, nint channel, nint pixel, int from, int end, float* to, nint pointStep)
    {
        float* buffer = stackalloc float[In * In * 16];
        float* d0 = rows[0] + channel, d1 = rows[1] + channel, d2 = rows[2] + channel;
        float* d3 = rows[3] + channel, d4 = rows[4] + channel, d5 = rows[5] + channel;
        for (int j = 0; j < In; j++)
        {
            float* column = buffer + j * V.Count;
            if (j >= from && j < end)
            {
                nint o = j * pixel;
                Winograd.Image(V.Load(d0 + o), V.Load(d1 + o), V.Load(d2 + o), V.Load(d3 + o), V.Load(d4 + o), V.Load(d5 + o), column, Row);
                continue;
            }
            for (int i = 0; i < In; i++)
                V.Store(default, column + i * Row);
        }
        for (int i = 0; i < In; i++)
        {
            float* b = buffer + i * Row;
            Winograd.Image(
                V.Load(b), V.Load(b + V.Count), V.Load(b + 2 * V.Count), V.Load(b + 3 * V.Count), V.Load(b + 4 * V.Count), V.Load(b + 5 * V.Count),
                to + In * i * pointStep, pointStep);
        }
    }

    /// <summary>G g G^T of taps that are <paramref name="tapStep"/> floats apart.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Weight(float* taps, nint tapStep, float* to, nint pointStep)
    {
        float* buffer = stackalloc float[In * 3 * 16];
        for (int j = 0; j < 3; j++)
        {
            float* g = taps + j * tapStep;
            Winograd.Weight(V.Load(g), V.Load(g + 3 * tapStep), V.Load(g + 6 * tapStep), buffer + j * V.Count, 3 * V.Count);
        }
        for (int i = 0; i < In; i++)
        {
            float* b = buffer + i * 3 * V.Count;
            Winograd.Weight(V.Load(b), V.Load(b + V.Count), V.Load(b + 2 * V.Count), to + In * i * pointStep, pointStep);
        }
    }

    /// <summary>A^T m A plus biases, and a residual where it is not 0 floats away; writes rows x columns pixels.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Result<TStreams>(
        float* m, nint pointStep, V bias, nint residual, float* y, nint yRow, nint yColumn, int rows, int columns)
        where TStreams : struct, IConstant
    {
        float* buffer = stackalloc float[Out * In * 16];
        for (int j = 0; j < In; j++, m += pointStep)
        {
            Winograd.Result(
                V.Load(m), V.Load(m + In * pointStep), V.Load(m + 2 * In * pointStep), V.Load(m + 3 * In * pointStep),
                V.Load(m + 4 * In * pointStep), V.Load(m + 5 * In * pointStep), out V y0, out V y1, out V y2, out V y3);
            float* b = buffer + j * V.Count;
            V.Store(y0, b);
            V.Store(y1, b + Row);
            V.Store(y2, b + 2 * Row);
            V.Store(y3, b + 3 * Row);
        }
        for (int i = 0; i < rows; i++, y += yRow)
        {
            float* b = buffer + i * Row;
            Winograd.Result(
                V.Load(b), V.Load(b + V.Count), V.Load(b + 2 * V.Count), V.Load(b + 3 * V.Count), V.Load(b + 4 * V.Count), V.Load(b + 5 * V.Count),
                out V y0, out V y1, out V y2, out V y3);
            Put<TStreams>(y0 + bias, residual, y);
            if (columns > 1)
                Put<TStreams>(y1 + bias, residual, y + yColumn);
            if (columns > 2)
                Put<TStreams>(y2 + bias, residual, y + 2 * yColumn);
            if (columns > 3)
                Put<TStreams>(y3 + bias, residual, y + 3 * yColumn);
        }
    }

    /// <summary>A gy A^T.</summary>
    /// <param name="rows">Addresses of the tile's four rows; rows outside the image point at zeros.</param>
    /// <param name="end">The end of the columns inside the image; those from there on are zeros.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void GradResult(float** rows, nint channel, nint pixel, int end, float* to, nint pointStep)
    {
        float* buffer = stackalloc float[In * Out * 16];
        float* g0 = rows[0] + channel, g1 = rows[1] + channel, g2 = rows[2] + channel, g3 = rows[3] + channel;
        for (int j = 0; j < Out; j++)
        {
            float* column = buffer + j * V.Count;
            if (j < end)
            {
                nint o = j * pixel;
                Winograd.GradResult(V.Load(g0 + o), V.Load(g1 + o), V.Load(g2 + o), V.Load(g3 + o), column, Out * V.Count);
                continue;
            }
            for (int i = 0; i < In; i++)
                V.Store(default, column + i * Out * V.Count);
        }
        for (int i = 0; i < In; i++)
        {
            float* b = buffer + i * Out * V.Count;
            Winograd.GradResult(
                V.Load(b), V.Load(b + V.Count), V.Load(b + 2 * V.Count), V.Load(b + 3 * V.Count), to + In * i * pointStep, pointStep);
        }
    }

    /// <summary>G^T m G, to nine taps that are <paramref name="tapStep"/> floats apart.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void GradWeight(float* m, nint pointStep, float* to, nint tapStep)
    {
        float* buffer = stackalloc float[3 * In * 16];
        for (int j = 0; j < In; j++, m += pointStep)
        {
            Winograd.GradWeight(
                V.Load(m), V.Load(m + In * pointStep), V.Load(m + 2 * In * pointStep), V.Load(m + 3 * In * pointStep),
                V.Load(m + 4 * In * pointStep), V.Load(m + 5 * In * pointStep), out V g0, out V g1, out V g2);
            float* b = buffer + j * V.Count;
            V.Store(g0, b);
            V.Store(g1, b + Row);
            V.Store(g2, b + 2 * Row);
        }
        for (int i = 0; i < 3; i++)
        {
            float* b = buffer + i * Row;
            Winograd.GradWeight(
                V.Load(b), V.Load(b + V.Count), V.Load(b + 2 * V.Count), V.Load(b + 3 * V.Count), V.Load(b + 4 * V.Count), V.Load(b + 5 * V.Count),
                out V g0, out V g1, out V g2);
            V.Store(g0, to + 3 * i * tapStep);
            V.Store(g1, to + (3 * i + 1) * tapStep);
            V.Store(g2, to + (3 * i + 2) * tapStep);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put<TStreams>(V value, nint residual, float* y) where TStreams : struct, IConstant
    {
        if (residual != 0)
            value += V.Load(y + residual);
        if (TStreams.Value == 1)
            V.StoreStreaming(value, y);
        else
            V.Store(value, y);
    }
}
