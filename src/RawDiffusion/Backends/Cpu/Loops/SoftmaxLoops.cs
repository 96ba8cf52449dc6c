namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Softmax over contiguous rows. A row is read three times (largest, exponentials and their sum, scaling), the last two from the
/// first-level cache; a row that fits one vector stays in a register. The last vector of a longer row overlaps the one before,
/// which costs less than a loop over single elements.
/// </summary>
internal static unsafe class SoftmaxRow<V> where V : struct, ISimd<V>
{
    private const float MinusInfinity = float.NegativeInfinity;

    /// <summary>y = scale * softmax(x).</summary>
    public static void Run(float* x, float* y, int count, float scale)
    {
        if (count <= V.Count)
        {
            V row = SimdTail.LoadOr<V>(x, count, MinusInfinity);
            V e = VectorMath.ExpFlush(row - V.Create(V.MaxOf(row)));
            V.StorePartial(e * V.Create(scale / V.Sum(e)), y, count);
            return;
        }
        V factor = V.Create(scale / StoreExp(x, y, count, Max(x, count)));
        V last = V.Load(y + count - V.Count);
        for (int i = 0; i <= count - V.Count; i += V.Count)
            V.Store(V.Load(y + i) * factor, y + i);
        V.Store(last * factor, y + count - V.Count);
    }

    /// <summary>y = log(softmax(x)).</summary>
    public static void RunLog(float* x, float* y, int count)
    {
        float max = Max(x, count);
        // The largest first: the sum of the two would be rounded at the size of the inputs.
        V vMax = V.Create(max), logSum = V.Create(MathF.Log(SumExp(x, count, max)));
        if (count < V.Count)
        {
            V.StorePartial(V.LoadPartial(x, count) - vMax - logSum, y, count);
            return;
        }
        for (int i = 0; i <= count - V.Count; i += V.Count)
            V.Store(V.Load(x + i) - vMax - logSum, y + i);
        V.Store(V.Load(x + count - V.Count) - vMax - logSum, y + count - V.Count);
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
        if (count <= V.Count)
        {
            V vy = V.LoadPartial(y, count), vgy = V.LoadPartial(gy, count);
            V.StorePartial(vy * (vgy - V.Create(V.Sum(vy * vgy))), gx, count);
            return;
        }
        V sum = V.Create(0);
        int i = 0, end = count - V.Count;
        for (; i <= end; i += V.Count)
            sum = V.MultiplyAdd(V.Load(y + i), V.Load(gy + i), sum);
        if (i < count)
            sum = V.MultiplyAdd(V.Load(y + end) & SimdTail.LastLanes<V>(count - i), V.Load(gy + end), sum);
        V dot = V.Create(V.Sum(sum));
        for (i = 0; i <= end; i += V.Count)
            V.Store(V.Load(y + i) * (V.Load(gy + i) - dot), gx + i);
        V.Store(V.Load(y + end) * (V.Load(gy + end) - dot), gx + end);
    }

    /// <summary>gx = gy - exp(y) sum(gy) for y = log(softmax(x)).</summary>
    public static void LogGrad(float* y, float* gy, float* gx, int count)
    {
        if (count <= V.Count)
        {
            V vgy = V.LoadPartial(gy, count), e = VectorMath.ExpFlush(V.LoadPartial(y, count));
            V.StorePartial(V.MultiplyAdd(e, V.Create(-V.Sum(vgy)), vgy), gx, count);
            return;
        }
        V sum = V.Create(0);
        int i = 0, end = count - V.Count;
        for (; i <= end; i += V.Count)
            sum += V.Load(gy + i);
        if (i < count)
            sum += V.Load(gy + end) & SimdTail.LastLanes<V>(count - i);
        V minusTotal = V.Create(-V.Sum(sum));
        for (i = 0; i <= end; i += V.Count)
            V.Store(V.MultiplyAdd(VectorMath.ExpFlush(V.Load(y + i)), minusTotal, V.Load(gy + i)), gx + i);
        if (i < count)
            V.Store(V.MultiplyAdd(VectorMath.ExpFlush(V.Load(y + end)), minusTotal, V.Load(gy + end)), gx + end);
    }

    private static float Max(float* x, int count)
    {
        if (count < V.Count)
            return V.MaxOf(SimdTail.LoadOr<V>(x, count, MinusInfinity));
        V max = V.Load(x + count - V.Count);
        for (int i = 0; i < count - V.Count; i += V.Count)
            max = V.Max(max, V.Load(x + i));
        return V.MaxOf(max);
    }

    private static float SumExp(float* x, int count, float max)
    {
        V shift = V.Create(max);
        if (count < V.Count)
            return V.Sum(VectorMath.ExpFlush(SimdTail.LoadOr<V>(x, count, MinusInfinity) - shift));
        V sum = V.Create(0);
        int i = 0, end = count - V.Count;
        for (; i <= end; i += V.Count)
            sum += VectorMath.ExpFlush(V.Load(x + i) - shift);
        if (i < count)
            sum += VectorMath.ExpFlush(V.Load(x + end) - shift) & SimdTail.LastLanes<V>(count - i);
        return V.Sum(sum);
    }

    /// <summary>y = exp(x - max) and its sum, for rows longer than a vector.</summary>
    private static float StoreExp(float* x, float* y, int count, float max)
    {
        V shift = V.Create(max), sum = V.Create(0);
        int i = 0, end = count - V.Count;
        for (; i <= end; i += V.Count)
        {
            V e = VectorMath.ExpFlush(V.Load(x + i) - shift);
            V.Store(e, y + i);
            sum += e;
        }
        if (i < count)
        {
            V e = VectorMath.ExpFlush(V.Load(x + end) - shift);
            V.Store(e, y + end);
            sum += e & SimdTail.LastLanes<V>(count - i);
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
