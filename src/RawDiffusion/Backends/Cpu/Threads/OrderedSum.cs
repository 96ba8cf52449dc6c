using System.Runtime.Intrinsics;

namespace RawDiffusion.Backends.Cpu;

/// <summary>Joins partial results that were computed per chunk: always in the order of the chunks, so the bits never change.</summary>
internal static unsafe class OrderedSum
{
    private const int Block = 64;

    /// <summary>sums[c] = the sum over r of parts[r * stride + c], in float64.</summary>
    public static void Rows(float* parts, int stride, int rows, int columns, float* sums) =>
        Workers.ForRange(columns, Block, new RowsBody(parts, stride, rows, sums));

    private readonly struct RowsBody(float* parts, int stride, int rows, float* sums) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            double* block = stackalloc double[Block];
            int count = end - start;
            new Span<double>(block, count).Clear();
            float* row = parts + start;
            for (int r = 0; r < rows; r++, row += stride)
            {
                int c = 0;
                for (; c <= count - Vector256<float>.Count; c += Vector256<float>.Count)
                {
                    var (low, high) = Vector256.Widen(Vector256.Load(row + c));
                    Vector256.Store(Vector256.Load(block + c) + low, block + c);
                    Vector256.Store(Vector256.Load(block + c + 4) + high, block + c + 4);
                }
                for (; c < count; c++)
                    block[c] += row[c];
            }
            for (int c = 0; c < count; c++)
                sums[start + c] = (float)block[c];
        }
    }
}
