using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    // A piece of work is some rows of windows: one row of the small image and the FactorHeight rows of the large one.

    public override void UpsampleNearest(in ResampleGeometry g, Storage x, Storage y) =>
        Workers.ForRange(
            g.Batch * g.Height, RowGrain(g.Width * g.FactorWidth * g.FactorHeight * g.Channels), new UpsampleBody(g, F(x), F(y)));

    public override void PoolSum(in ResampleGeometry g, double scale, Storage x, Storage y)
    {
        int rows = g.Batch * (g.Height / g.FactorHeight), grain = RowGrain(g.FactorHeight * g.Width * g.Channels);
        if (VectorBits == 512)
            Workers.ForRange(rows, grain, new PoolSumBody<Simd512>(g, (float)scale, F(x), F(y)));
        else if (VectorBits == 256)
            Workers.ForRange(rows, grain, new PoolSumBody<Simd256>(g, (float)scale, F(x), F(y)));
        else
            Workers.ForRange(rows, grain, new PoolSumBody<Simd128>(g, (float)scale, F(x), F(y)));
    }

    public override void PoolSumGrad(in ResampleGeometry g, double scale, Storage gy, Storage gx) =>
        Workers.ForRange(g.Batch, RowGrain(g.Height * g.Width * g.Channels), new PoolSumGradBody(g, (float)scale, F(gy), F(gx)));

    /// <summary>Rows to a piece when a row moves <paramref name="elements"/> elements.</summary>
    private static int RowGrain(int elements) => Math.Max(1, MemoryGrain / Math.Max(1, elements));

    private readonly struct UpsampleBody(ResampleGeometry g, float* x, float* y) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            long row = (long)g.Width * g.FactorWidth * g.Channels;
            for (int h = start; h < end; h++)
            {
                float* from = x + (long)h * g.Width * g.Channels, to = y + h * g.FactorHeight * row;
                for (int w = 0; w < g.Width; w++, from += g.Channels)
                {
                    for (int repeat = 0; repeat < g.FactorWidth; repeat++, to += g.Channels)
                        CopyPixel(from, to, g.Channels);
                }
                float* first = to - row;
                for (int repeat = 1; repeat < g.FactorHeight; repeat++, to += row)
                    Unsafe.CopyBlock(to, first, (uint)row * sizeof(float));
            }
        }
    }

    private readonly struct PoolSumBody<V>(ResampleGeometry g, float scale, float* x, float* y) : IRangeBody where V : struct, ISimd<V>
    {
        public void Run(int start, int end, int worker)
        {
            int height = g.Height / g.FactorHeight, width = g.Width / g.FactorWidth, channels = g.Channels;
            long rowStride = (long)g.Width * channels;
            for (int row = start; row < end; row++)
            {
                float* window = x + ((long)(row / height) * g.Height + row % height * g.FactorHeight) * rowStride;
                float* to = y + (long)row * width * channels;
                for (int w = 0; w < width; w++, window += g.FactorWidth * channels, to += channels)
                {
                    int c = 0;
                    for (; c <= channels - V.Count; c += V.Count)
                    {
                        var sum = V.Create(0);
                        for (int i = 0; i < g.FactorHeight; i++)
                        {
                            for (int j = 0; j < g.FactorWidth; j++)
                                sum += V.Load(window + i * rowStride + j * channels + c);
                        }
                        V.Store(sum * V.Create(scale), to + c);
                    }
                    for (; c < channels; c++)
                    {
                        float sum = 0;
                        for (int i = 0; i < g.FactorHeight; i++)
                        {
                            for (int j = 0; j < g.FactorWidth; j++)
                                sum += window[i * rowStride + j * channels + c];
                        }
                        to[c] = sum * scale;
                    }
                }
            }
        }
    }

    private readonly struct PoolSumGradBody(ResampleGeometry g, float scale, float* gy, float* gx) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            int height = g.Height / g.FactorHeight, width = g.Width / g.FactorWidth, channels = g.Channels;
            long row = (long)g.Width * channels;
            int covered = width * g.FactorWidth * channels;
            for (int n = start; n < end; n++)
            {
                float* to = gx + n * g.Height * row;
                float* from = gy + (long)n * height * width * channels;
                for (int h = 0; h < height; h++)
                {
                    float* first = to;
                    for (int w = 0; w < width; w++, from += channels)
                    {
                        // The first pixel of the window is computed, the others are its copies.
                        float* pixel = to;
                        for (int c = 0; c < channels; c++)
                            pixel[c] = scale * from[c];
                        to += channels;
                        for (int repeat = 1; repeat < g.FactorWidth; repeat++, to += channels)
                            CopyPixel(pixel, to, channels);
                    }
                    new Span<float>(to, (int)row - covered).Clear();
                    to = first + row;
                    for (int repeat = 1; repeat < g.FactorHeight; repeat++, to += row)
                        Unsafe.CopyBlock(to, first, (uint)row * sizeof(float));
                }
                new Span<float>(to, (int)((g.Height - height * g.FactorHeight) * row)).Clear();
            }
        }
    }

    /// <summary>Copies the channels of a pixel; a call costs more than moving a few.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void CopyPixel(float* from, float* to, int channels)
    {
        if (channels >= 16)
        {
            Unsafe.CopyBlock(to, from, (uint)channels * sizeof(float));
            return;
        }
        for (int c = 0; c < channels; c++)
            to[c] = from[c];
    }
}
