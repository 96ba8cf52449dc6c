namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Softmax over contiguous rows. A row is read three times (largest, exponentials and their sum, scaling), the last two from the
/// first-level cache; a row that fits one vector stays in a register.
/// </summary>
internal static unsafe class SoftmaxRow<V> where V : struct, ISimd<V>
{
    private const float MinusInfinity = float.NegativeInfinity;

    /// <summary>y = scale * softmax(x).</summary>
    public static void Run(float* x, float* y, int count, float scale)
    {
        if (count <= V.Count)
        {
            V row = SimdTail.Load<V>(x, count, MinusInfinity);
            V e = VectorMath.ExpFlush(row - V.Create(V.MaxOf(row)));
            SimdTail.Store(e * V.Create(scale / V.Sum(e)), y, count);
            return;
        }
        float sum = StoreExp(x, y, count, Max(x, count));
        V factor = V.Create(scale / sum);
        int i = 0;
        for (; i <= count - V.Count; i += V.Count)
            V.Store(V.Load(y + i) * factor, y + i);
        for (; i < count; i++)
            y[i] *= scale / sum;
    }

    /// <summary>y = log(softmax(x)).</summary>
    public static void RunLog(float* x, float* y, int count)
    {
        float max = Max(x, count), logSum = MathF.Log(SumExp(x, count, max));
        V vMax = V.Create(max), vLogSum = V.Create(logSum);
        int i = 0;
        // The largest first: the sum of the two would be rounded at the size of the inputs.
        for (; i <= count - V.Count; i += V.Count)
            V.Store(V.Load(x + i) - vMax - vLogSum, y + i);
        for (; i < count; i++)
            y[i] = x[i] - max - logSum;
    }

    /// <summary>log(sum(exp(x))) relative to <paramref name="reference"/>.</summary>
    public static float LogSumExp(float* x, int count, float reference)
    {
        float max = Max(x, count);
        // An infinite largest is the result itself (and NaN stays NaN). The two large parts are subtracted first.
        return float.IsFinite(max) ? max - reference + MathF.Log(SumExp(x, count, max)) : max - reference;
    }

    /// <summary>gx = y (gy - sum(y gy)).</summary>
    public static void Grad(float* y, float* gy, float* gx, int count)
    {
        V sum = V.Create(0);
        int i = 0;
        for (; i <= count - V.Count; i += V.Count)
            sum = V.MultiplyAdd(V.Load(y + i), V.Load(gy + i), sum);
        float dot = V.Sum(sum);
        for (; i < count; i++)
            dot += y[i] * gy[i];
        V vDot = V.Create(dot);
        for (i = 0; i <= count - V.Count; i += V.Count)
            V.Store(V.Load(y + i) * (V.Load(gy + i) - vDot), gx + i);
        for (; i < count; i++)
            gx[i] = y[i] * (gy[i] - dot);
    }

    /// <summary>gx = gy - exp(y) sum(gy) for y = log(softmax(x)).</summary>
    public static void LogGrad(float* y, float* gy, float* gx, int count)
    {
        V sum = V.Create(0);
        int i = 0;
        for (; i <= count - V.Count; i += V.Count)
            sum += V.Load(gy + i);
        float total = V.Sum(sum);
        for (int j = i; j < count; j++)
            total += gy[j];
        V minusTotal = V.Create(-total);
        for (i = 0; i <= count - V.Count; i += V.Count)
            V.Store(V.MultiplyAdd(VectorMath.ExpFlush(V.Load(y + i)), minusTotal, V.Load(gy + i)), gx + i);
        if (i < count)
        {
            V last = VectorMath.ExpFlush(SimdTail.Load<V>(y + i, count - i, 0));
            SimdTail.Store(V.MultiplyAdd(last, minusTotal, SimdTail.Load<V>(gy + i, count - i, 0)), gx + i, count - i);
        }
    }

    private static float Max(float* x, int count)
    {
        V max = V.Create(MinusInfinity);
        int i = 0;
        for (; i <= count - V.Count; i += V.Count)
            max = V.Max(max, V.Load(x + i));
        float result = V.MaxOf(max);
        for (; i < count; i++)
            result = MathF.Max(result, x[i]);
        return result;
    }

    private static float SumExp(float* x, int count, float max)
    {
        V shift = V.Create(max), sum = V.Create(0);
        int i = 0;
        for (; i <= count - V.Count; i += V.Count)
            sum += VectorMath.ExpFlush(V.Load(x + i) - shift);
        if (i < count)
            sum += VectorMath.ExpFlush(SimdTail.Load<V>(x + i, count - i, MinusInfinity) - shift);
        return V.Sum(sum);
    }

    private static float StoreExp(float* x, float* y, int count, float max)
    {
        V shift = V.Create(max), sum = V.Create(0);
        int i = 0;
        for (; i <= count - V.Count; i += V.Count)
        {
            V e = VectorMath.ExpFlush(V.Load(x + i) - shift);
            V.Store(e, y + i);
            sum += e;
        }
        if (i < count)
        {
            V e = VectorMath.ExpFlush(SimdTail.Load<V>(x + i, count - i, MinusInfinity) - shift);
            SimdTail.Store(e, y + i, count - i);
            sum += e;
        }
        return V.Sum(sum);
    }
}

/// <summary>Softmax, or its logarithm, of rows [start, end).</summary>
internal readonly unsafe struct SoftmaxBody<V>(int columns, bool log, float* x, float* y) : IRangeBody where V : struct, ISimd<V>
{
    public void Run(int start, int end, int worker)
    {
        for (int row = start; row < end; row++)
        {
            long offset = (long)row * columns;
            if (log)
                SoftmaxRow<V>.RunLog(x + offset, y + offset, columns);
            else
                SoftmaxRow<V>.Run(x + offset, y + offset, columns, 1);
        }
    }
}

internal readonly unsafe struct SoftmaxGradBody<V>(int columns, bool log, float* y, float* gy, float* gx) : IRangeBody where V : struct, ISimd<V>
{
    public void Run(int start, int end, int worker)
    {
        for (int row = start; row < end; row++)
        {
            long offset = (long)row * columns;
            if (log)
                SoftmaxRow<V>.LogGrad(y + offset, gy + offset, gx + offset, columns);
            else
                SoftmaxRow<V>.Grad(y + offset, gy + offset, gx + offset, columns);
        }
    }
}

internal readonly unsafe struct CrossEntropyBody<V>(int columns, float* logits, int* labels, float* losses) : IRangeBody where V : struct, ISimd<V>
{
    public void Run(int start, int end, int worker)
    {
        for (int row = start; row < end; row++)
        {
            float* x = logits + (long)row * columns;
            losses[row] = SoftmaxRow<V>.LogSumExp(x, columns, x[labels[row]]);
        }
    }
}

internal readonly unsafe struct CrossEntropyGradBody<V>(int columns, float* logits, int* labels, float* gLosses, float* gLogits) : IRangeBody
    where V : struct, ISimd<V>
{
    public void Run(int start, int end, int worker)
    {
        for (int row = start; row < end; row++)
        {
            long offset = (long)row * columns;
            SoftmaxRow<V>.Run(logits + offset, gLogits + offset, columns, gLosses[row]);
            gLogits[offset + labels[row]] -= gLosses[row];
        }
    }
}
