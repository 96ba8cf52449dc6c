using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <summary>Elements per piece of work that mostly moves memory.</summary>
    private const int MemoryGrain = 16384;

    /// <summary>Columns of a gradient that one piece adds up alone, in the order of the indices: no two pieces meet, no order varies.</summary>
    private const int GradientColumns = 64;

    public override void Embedding(in GatherGeometry g, Storage x, Storage index, Storage y) =>
        Workers.ForRange(g.Count, Math.Max(1, MemoryGrain / Math.Max(1, g.Inner)), new EmbeddingBody(g.Inner, F(x), I(index), F(y)));

    public override void EmbeddingGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx) =>
        Workers.ForRange(g.Inner, GradientColumns, new EmbeddingGradBody(g, F(gy), I(index), F(gx)));

    public override void Gather(in GatherGeometry g, Storage x, Storage index, Storage y) =>
        Workers.ForRange(
            g.Outer * g.Count, Math.Max(1, MemoryGrain / Math.Max(1, g.Inner)), new GatherBody(g, F(x), I(index), F(y)));

    public override void GatherGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx)
    {
        int pieces = (g.Inner + GradientColumns - 1) / GradientColumns;
        int elements = Math.Max(1, g.Count * Math.Min(g.Inner, GradientColumns));
        Workers.ForRange(g.Outer * pieces, Math.Max(1, MemoryGrain / elements), new GatherGradBody(g, pieces, F(gy), I(index), F(gx)));
    }

    public override void OneHot(int count, int classes, Storage index, Storage y)
    {
        var values = Cpu(y).FloatSpan;
        int* hot = I(index);
        values.Clear();
        for (int n = 0; n < count; n++)
            values[n * classes + hot[n]] = 1;
    }

    private readonly struct EmbeddingBody(int inner, float* x, int* index, float* y) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            for (int j = start; j < end; j++)
                Unsafe.CopyBlock(y + (long)j * inner, x + (long)index[j] * inner, (uint)inner * sizeof(float));
        }
    }

    private readonly struct EmbeddingGradBody(GatherGeometry g, float* gy, int* index, float* gx) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            int columns = end - start;
            for (int row = 0; row < g.Rows; row++)
                new Span<float>(gx + (long)row * g.Inner + start, columns).Clear();
            for (int j = 0; j < g.Count; j++)
            {
                float* sum = gx + (long)index[j] * g.Inner + start;
                float* term = gy + (long)j * g.Inner + start;
                int i = 0;
                for (; i <= columns - Simd256.Count; i += Simd256.Count)
                    Simd256.Store(Simd256.Load(sum + i) + Simd256.Load(term + i), sum + i);
                for (; i < columns; i++)
                    sum[i] += term[i];
            }
        }
    }

    private readonly struct GatherBody(GatherGeometry g, float* x, int* index, float* y) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            for (int row = start; row < end; row++)
            {
                float* from = x + (long)(row / g.Count) * g.Rows * g.Inner;
                int* at = index + (long)row * g.Inner;
                float* to = y + (long)row * g.Inner;
                for (int i = 0; i < g.Inner; i++)
                    to[i] = from[at[i] * g.Inner + i];
            }
        }
    }

    private readonly struct GatherGradBody(GatherGeometry g, int pieces, float* gy, int* index, float* gx) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            for (int item = start; item < end; item++)
            {
                int outer = item / pieces, first = item % pieces * GradientColumns;
                int columns = Math.Min(GradientColumns, g.Inner - first);
                float* to = gx + (long)outer * g.Rows * g.Inner + first;
                for (int row = 0; row < g.Rows; row++)
                    new Span<float>(to + (long)row * g.Inner, columns).Clear();
                for (int j = 0; j < g.Count; j++)
                {
                    long at = ((long)outer * g.Count + j) * g.Inner + first;
                    for (int i = 0; i < columns; i++)
                        to[index[at + i] * g.Inner + i] += gy[at + i];
                }
            }
        }
    }
}
