namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Group normalisation with optional SiLU. An image is read twice, the second time from cache where it fits: once for the
/// statistics, once for y = x * scale + shift with one scale and shift per lane of a row.
/// </summary>
/// <remarks>
/// Statistics: every lane sums x - k and (x - k)^2 over the rows of a chunk, k being the lane's mean over the first eighth of
/// them. That eighth is part of what the variance is taken of, so (k - mean)^2 is at most 8 variances and the subtraction
/// sum (x - k)^2 - (sum (x - k))^2 / n cannot cancel more than 3 bits, whatever the data. Lanes and chunks are then joined in
/// float64 by Chan, Golub and LeVeque's formula.
/// </remarks>
internal unsafe struct GroupNormForward<V> : IParallelBody where V : struct, ISimd<V>
{
    private enum Phase
    {
        Images,
        Statistics,
        Fold,
        Apply,
    }

    private GroupNormGeometry _g;
    private GroupNormPlan _plan;
    private bool _silu;
    private float* _x, _gamma, _beta, _y, _mean, _rstd;
    private Phase _phase;

    // Per slot: mean[Chunks, Period], squares[Chunks, Period], scale[Period], shift[Period].
    private float* _scratch;

    public static void Run(
        CpuBackend backend, in GroupNormGeometry g, bool silu, float* x, float* gamma, float* beta, float* y, float* mean, float* rstd)
    {
        var body = new GroupNormForward<V>
        {
            _g = g,
            _plan = new GroupNormPlan(g, V.Count),
            _silu = silu,
            _x = x,
            _gamma = gamma,
            _beta = beta,
            _y = y,
            _mean = mean,
            _rstd = rstd,
        };
        int slots = body._plan.SplitsImages ? g.Batch : Workers.Count;
        var scratch = (CpuStorage)backend.Allocate(DType.Float32, checked(slots * body.SlotLength));
        body._scratch = scratch.Floats;
        if (body._plan.SplitsImages)
        {
            body._phase = Phase.Statistics;
            Workers.For(g.Batch * body._plan.Chunks, body);
            body._phase = Phase.Fold;
            Workers.For(g.Batch, body);
            body._phase = Phase.Apply;
            Workers.For(g.Batch * body._plan.Chunks, body);
        }
        else
        {
            Workers.For(g.Batch, body);
        }
        backend.Release(scratch);
    }

    private readonly int SlotLength => (2 * _plan.Chunks + 2) * _plan.Period;

    public readonly void Run(int index, int worker)
    {
        if (_phase == Phase.Images)
        {
            float* slot = _scratch + (nint)worker * SlotLength;
            for (int chunk = 0; chunk < _plan.Chunks; chunk++)
                Statistics(index, chunk, slot);
            Fold(index, slot);
            for (int chunk = 0; chunk < _plan.Chunks; chunk++)
                Apply(index, chunk, slot);
            return;
        }
        int image = _phase == Phase.Fold ? index : index / _plan.Chunks;
        float* own = _scratch + (nint)image * SlotLength;
        if (_phase == Phase.Fold)
            Fold(image, own);
        else if (_phase == Phase.Statistics)
            Statistics(image, index % _plan.Chunks, own);
        else
            Apply(image, index % _plan.Chunks, own);
    }

    private readonly void Statistics(int image, int chunk, float* slot)
    {
        int rows = _plan.RowsOf(chunk), period = _plan.Period;
        if (rows <= 0)
            return;
        float* x = _x + (nint)image * _plan.ImageLength + (nint)chunk * _plan.ChunkRows * period;
        float* mean = slot + (nint)chunk * period;
        float* squares = slot + (nint)(_plan.Chunks + chunk) * period;
        int lane = 0;
        for (; lane + 4 * V.Count <= period; lane += 4 * V.Count)
            LaneStatistics4(x + lane, rows, period, mean + lane, squares + lane);
        for (; lane < period; lane += V.Count)
            LaneStatistics1(x + lane, rows, period, mean + lane, squares + lane);
    }

    private static void LaneStatistics4(float* x, int rows, nint period, float* mean, float* squares)
    {
        V s0 = default, s1 = default, s2 = default, s3 = default;
        int lead = (rows + 7) / 8;
        float* row = x;
        for (int r = 0; r < lead; r++, row += period)
        {
            s0 += V.Load(row);
            s1 += V.Load(row + V.Count);
            s2 += V.Load(row + 2 * V.Count);
            s3 += V.Load(row + 3 * V.Count);
        }
        V inverse = V.Create(1f / lead);
        V k0 = s0 * inverse, k1 = s1 * inverse, k2 = s2 * inverse, k3 = s3 * inverse;
        V q0 = default, q1 = default, q2 = default, q3 = default;
        s0 = s1 = s2 = s3 = default;
        row = x;
        for (int r = 0; r < rows; r++, row += period)
        {
            V d = V.Load(row) - k0;
            s0 += d;
            q0 = V.MultiplyAdd(d, d, q0);
            d = V.Load(row + V.Count) - k1;
            s1 += d;
            q1 = V.MultiplyAdd(d, d, q1);
            d = V.Load(row + 2 * V.Count) - k2;
            s2 += d;
            q2 = V.MultiplyAdd(d, d, q2);
            d = V.Load(row + 3 * V.Count) - k3;
            s3 += d;
            q3 = V.MultiplyAdd(d, d, q3);
        }
        inverse = V.Create(1f / rows);
        Finish(k0, s0, q0, inverse, mean, squares);
        Finish(k1, s1, q1, inverse, mean + V.Count, squares + V.Count);
        Finish(k2, s2, q2, inverse, mean + 2 * V.Count, squares + 2 * V.Count);
        Finish(k3, s3, q3, inverse, mean + 3 * V.Count, squares + 3 * V.Count);
    }

    private static void LaneStatistics1(float* x, int rows, nint period, float* mean, float* squares)
    {
        V sum = default, square = default;
        int lead = (rows + 7) / 8;
        float* row = x;
        for (int r = 0; r < lead; r++, row += period)
            sum += V.Load(row);
        V k = sum * V.Create(1f / lead);
        sum = default;
        row = x;
        for (int r = 0; r < rows; r++, row += period)
        {
            V d = V.Load(row) - k;
            sum += d;
            square = V.MultiplyAdd(d, d, square);
        }
        Finish(k, sum, square, V.Create(1f / rows), mean, squares);
    }

    private static void Finish(V k, V sum, V square, V inverse, float* mean, float* squares)
    {
        V shift = sum * inverse;
        V.Store(k + shift, mean);
        V.Store(square - sum * shift, squares);
    }

    /// <summary>From the lanes' statistics those of the groups, and from them scale and shift per lane.</summary>
    private readonly void Fold(int image, float* slot)
    {
        int period = _plan.Period, chunks = _plan.Chunks, channels = _g.Channels, perGroup = channels / _g.Groups;
        float* lanesMean = slot;
        float* lanesSquares = slot + (nint)chunks * period;
        float* scale = lanesSquares + (nint)chunks * period;
        float* shift = scale + period;
        float* tail = _x + (nint)image * _plan.ImageLength + _plan.TailStart;
        double count = (double)_g.Spatial * perGroup;
        for (int group = 0; group < _g.Groups; group++)
        {
            int first = group * perGroup, end = first + perGroup;
            double sum = 0, squares = 0;
            for (int start = 0; start < period; start += channels)
            {
                for (int chunk = 0; chunk < chunks && _plan.Rows > 0; chunk++)
                {
                    double part = 0;
                    for (int c = first; c < end; c++)
                        part += lanesMean[chunk * period + start + c];
                    sum += part * _plan.RowsOf(chunk);
                }
                if (start < _plan.TailLength)
                {
                    for (int c = first; c < end; c++)
                        sum += tail[start + c];
                }
            }
            double mean = sum / count;
            for (int start = 0; start < period; start += channels)
            {
                for (int chunk = 0; chunk < chunks && _plan.Rows > 0; chunk++)
                {
                    double within = 0, between = 0;
                    for (int c = first; c < end; c++)
                    {
                        double d = lanesMean[chunk * period + start + c] - mean;
                        within += lanesSquares[chunk * period + start + c];
                        between += d * d;
                    }
                    squares += within + between * _plan.RowsOf(chunk);
                }
                if (start < _plan.TailLength)
                {
                    for (int c = first; c < end; c++)
                    {
                        double d = tail[start + c] - mean;
                        squares += d * d;
                    }
                }
            }
            double rstd = 1 / Math.Sqrt(Math.Max(0, squares / count) + _g.Epsilon);
            _mean[(nint)image * _g.Groups + group] = (float)mean;
            _rstd[(nint)image * _g.Groups + group] = (float)rstd;
            for (int c = first; c < end; c++)
            {
                scale[c] = (float)(rstd * _gamma[c]);
                shift[c] = (float)(_beta[c] - mean * rstd * _gamma[c]);
            }
        }
        GroupNormLanes.Repeat(scale, channels, period);
        GroupNormLanes.Repeat(shift, channels, period);
    }

    private readonly void Apply(int image, int chunk, float* slot)
    {
        int period = _plan.Period;
        float* scale = slot + 2 * (nint)_plan.Chunks * period;
        float* shift = scale + period;
        nint start = (nint)image * _plan.ImageLength + (nint)chunk * _plan.ChunkRows * period;
        ApplyRows(_x + start, _y + start, scale, shift, _plan.RowsOf(chunk), period, period);
        if (chunk != _plan.Chunks - 1 || _plan.TailLength == 0)
            return;
        start = (nint)image * _plan.ImageLength + _plan.TailStart;
        int whole = _plan.TailLength / V.Count * V.Count, rest = _plan.TailLength - whole;
        ApplyRows(_x + start, _y + start, scale, shift, 1, whole, period);
        if (rest == 0)
            return;
        float* buffer = stackalloc float[GroupNormLanes.MaxVector];
        GroupNormLanes.LoadPart(_x + start + whole, rest, buffer, V.Count);
        ApplyRows(buffer, buffer, scale + whole, shift + whole, 1, V.Count, period);
        Buffer.MemoryCopy(buffer, _y + start + whole, rest * sizeof(float), rest * sizeof(float));
    }

    private readonly void ApplyRows(float* x, float* y, float* scale, float* shift, int rows, nint width, nint period)
    {
        for (int r = 0; r < rows; r++, x += period, y += period)
        {
            if (_silu)
            {
                for (nint i = 0; i < width; i += V.Count)
                {
                    V z = V.MultiplyAdd(V.Load(x + i), V.Load(scale + i), V.Load(shift + i));
                    V.Store(z * VectorMath.Sigmoid(z), y + i);
                }
            }
            else
            {
                for (nint i = 0; i < width; i += V.Count)
                    V.Store(V.MultiplyAdd(V.Load(x + i), V.Load(scale + i), V.Load(shift + i)), y + i);
            }
        }
    }
}

internal static unsafe class GroupNormLanes
{
    /// <summary>Floats in the widest vector.</summary>
    public const int MaxVector = 16;

    /// <summary>Fills values[0, period) with repetitions of its first <paramref name="channels"/> elements.</summary>
    public static void Repeat(float* values, int channels, int period)
    {
        for (int i = channels; i < period; i++)
            values[i] = values[i - channels];
    }

    /// <summary>Copies <paramref name="count"/> elements and fills up to <paramref name="lanes"/> with zeros.</summary>
    public static void LoadPart(float* x, int count, float* buffer, int lanes)
    {
        for (int i = 0; i < lanes; i++)
            buffer[i] = i < count ? x[i] : 0;
    }
}
