using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>log(sum(exp(x))) of rows [start, end).</summary>
internal readonly unsafe struct LogSumExpRowsBody<V>(int columns, float* x, float* y) : IRangeBody where V : struct, ISimd<V>
{
    public void Run(int start, int end, int worker)
    {
        for (int row = start; row < end; row++)
            y[row] = SoftmaxRow<V>.LogSumExp(x + (long)row * columns, columns, 0);
    }
}

/// <summary>
/// Sums of exp(x - max) across rows of x[outer, rows, inner], max[outer, inner]: every piece takes up to <c>chunkRows</c> rows of
/// one outer index and writes sums[outer, chunk, inner], going along memory with its sums in the first-level cache.
/// </summary>
internal readonly unsafe struct SumExpColumnsBody<V>(float* x, float* max, float* sums, int rows, int inner, int chunkRows) : IRangeBody
    where V : struct, ISimd<V>
{
    public void Run(int start, int end, int worker)
    {
        int chunks = (rows + chunkRows - 1) / chunkRows;
        for (int index = start; index < end; index++)
        {
            var (outer, chunk) = Math.DivRem(index, chunks);
            float* sum = sums + (long)index * inner;
            float* shift = max + (long)outer * inner;
            new Span<float>(sum, inner).Clear();
            int last = Math.Min(rows, (chunk + 1) * chunkRows);
            for (int row = chunk * chunkRows; row < last; row++)
                AddRow(x + ((long)outer * rows + row) * inner, shift, sum);
        }
    }

    private void AddRow(float* row, float* shift, float* sum)
    {
        int i = 0;
        for (; i <= inner - V.Count; i += V.Count)
            V.Store(V.Load(sum + i) + Term(V.Load(row + i), V.Load(shift + i)), sum + i);
        if (i < inner)
        {
            int count = inner - i;
            V term = Term(V.LoadPartial(row + i, count), V.LoadPartial(shift + i, count));
            V.StorePartial(V.LoadPartial(sum + i, count) + term, sum + i, count);
        }
    }

    /// <summary>exp(x - max); 1 where both are the same infinity, so that the logarithm of the sum leaves the maximum alone.</summary>
    private static V Term(V x, V max) => VectorMath.ExpFlush(V.Select(V.Equal(x, max), V.Create(0), x - max));
}

/// <summary>The last step of log-sum-exp: the maximum plus the logarithm of the sum.</summary>
internal readonly struct AddLog : IBinaryOperator
{
    public static string Name => "addLog";

    public static double Reference(double x, double y, double a) => x + Math.Log(y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => x + VectorMath.Log(y);

    public static string Cuda => "x + logf(y)";
}
