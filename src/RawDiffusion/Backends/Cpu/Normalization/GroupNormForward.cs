using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

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
    private static readonly WorkerScratch s_scratch = new();

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

    // Per slot: mean, squares and lead (mean of the first rows) [Chunks, Period] each, scale[Period], shift[Period].
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
        int slots = body._plan.SplitsImages ? g.Batch : 0;
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

    private readonly int SlotLength => (3 * _plan.Chunks + 2) * _plan.Period;

    public readonly void Run(int index, int worker)
    {
        if (_phase == Phase.Images)
        {
            float* slot = s_scratch.Get<float>(worker, SlotLength);
            for (int chunk = 0; chunk < _plan.Chunks; chunk++)
                Statistics(index, chunk, slot);
            Fold(index, slot);
            // Backwards: what was read last is still in the nearest cache.
            for (int chunk = _plan.Chunks - 1; chunk >= 0; chunk--)
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
        float* lead = slot + (nint)(2 * _plan.Chunks + chunk) * period;
        int leadRows = (rows + 7) / 8;
        new Span<float>(mean, period).Clear();
        AddRows(x, leadRows, period, mean);
        V inverse = V.Create(1f / leadRows), zero = V.Create(0);
        for (int i = 0; i < period; i += V.Count)
        {
            V.Store(V.Load(mean + i) * inverse, lead + i);
            V.Store(zero, mean + i);
            V.Store(zero, squares + i);
        }
        AddShiftedRows(x, rows, period, lead, mean, squares);
        inverse = V.Create(1f / rows);
        for (int i = 0; i < period; i += V.Count)
        {
            V sum = V.Load(mean + i), offset = sum * inverse;
            V.Store(V.Load(lead + i) + offset, mean + i);
            V.Store(V.Load(squares + i) - sum * offset, squares + i);
        }
    }

    private static void AddRows(float* x, int rows, nint period, float* sums)
    {
        for (int r = 0; r < rows; r++, x += period)
        {
            for (nint i = 0; i < period; i += V.Count)
                V.Store(V.Load(sums + i) + V.Load(x + i), sums + i);
        }
    }

    /// <summary>Adds x - shift and its square to the lanes' sums, four rows at a time: memory is read in order, sums seldom touched.</summary>
    private static void AddShiftedRows(float* x, int rows, nint period, float* shift, float* sums, float* squares)
    {
        for (; rows >= 4; rows -= 4, x += 4 * period)
        {
            float* x1 = x + period, x2 = x1 + period, x3 = x2 + period;
            for (nint i = 0; i < period; i += V.Count)
            {
                V k = V.Load(shift + i);
                V d0 = V.Load(x + i) - k, d1 = V.Load(x1 + i) - k, d2 = V.Load(x2 + i) - k, d3 = V.Load(x3 + i) - k;
                V.Store(V.Load(sums + i) + (d0 + d1 + (d2 + d3)), sums + i);
                V q = V.MultiplyAdd(d0, d0, d1 * d1) + V.MultiplyAdd(d2, d2, d3 * d3);
                V.Store(V.Load(squares + i) + q, squares + i);
            }
        }
        for (; rows > 0; rows--, x += period)
        {
            for (nint i = 0; i < period; i += V.Count)
            {
                V d = V.Load(x + i) - V.Load(shift + i);
                V.Store(V.Load(sums + i) + d, sums + i);
                V.Store(V.MultiplyAdd(d, d, V.Load(squares + i)), squares + i);
            }
        }
    }

    /// <summary>From the lanes' statistics those of the groups, and from them scale and shift per lane.</summary>
    private readonly void Fold(int image, float* slot)
    {
        int period = _plan.Period, chunks = _plan.Chunks, channels = _g.Channels, perGroup = channels / _g.Groups;
        float* lanesMean = slot;
        float* lanesSquares = slot + (nint)chunks * period;
        float* scale = slot + 3 * (nint)chunks * period;
        float* shift = scale + period;
        float* mean = _mean + (nint)image * _g.Groups;
        float* rstd = _rstd + (nint)image * _g.Groups;
        if (chunks > 1)
            JoinChunks(lanesMean, lanesSquares);
        if (period > channels)
            JoinPixels(_x + (nint)image * _plan.ImageLength + _plan.TailStart, lanesMean, lanesSquares);
        for (int group = 0; group < _g.Groups; group++)
        {
            var (m, squares) = JoinChannels(lanesMean + group * perGroup, lanesSquares + group * perGroup, perGroup, _g.Spatial);
            mean[group] = m;
            rstd[group] = 1 / MathF.Sqrt(MathF.Max(0, squares / ((float)_g.Spatial * perGroup)) + (float)_g.Epsilon);
        }
        // scale = rstd gamma, shift = beta - mean scale; the places hold rstd and mean first.
        GroupNormLanes.Expand<V>(rstd, _g.Groups, perGroup, scale);
        GroupNormLanes.Expand<V>(mean, _g.Groups, perGroup, shift);
        int c = 0;
        for (; c <= channels - V.Count; c += V.Count)
        {
            V factor = V.Load(scale + c) * V.Load(_gamma + c);
            V.Store(factor, scale + c);
            V.Store(V.MultiplyAdd(-V.Load(shift + c), factor, V.Load(_beta + c)), shift + c);
        }
        for (; c < channels; c++)
        {
            scale[c] *= _gamma[c];
            shift[c] = MathF.FusedMultiplyAdd(-shift[c], scale[c], _beta[c]);
        }
        GroupNormLanes.Repeat(scale, channels, period);
        GroupNormLanes.Repeat(shift, channels, period);
    }

    /// <summary>Lane by lane the statistics of all whole rows, into those of the first chunk.</summary>
    private readonly void JoinChunks(float* mean, float* squares)
    {
        int period = _plan.Period, chunks = _plan.Chunks;
        for (int i = 0; i < period; i += V.Count)
        {
            V first = V.Load(mean + i), offset = default, square = V.Load(squares + i);
            for (int chunk = 1; chunk < chunks; chunk++)
            {
                V weight = V.Create((float)_plan.RowsOf(chunk) / _plan.Rows);
                offset = V.MultiplyAdd(V.Load(mean + (nint)chunk * period + i) - first, weight, offset);
                square += V.Load(squares + (nint)chunk * period + i);
            }
            V joined = first + offset;
            for (int chunk = 0; chunk < chunks; chunk++)
            {
                V d = V.Load(mean + (nint)chunk * period + i) - joined;
                square = V.MultiplyAdd(d * V.Create(_plan.RowsOf(chunk)), d, square);
            }
            V.Store(joined, mean + i);
            V.Store(square, squares + i);
        }
    }

    /// <summary>Channel by channel the statistics of the lanes of all pixels of a row, and of the incomplete last row.</summary>
    private readonly void JoinPixels(float* tail, float* mean, float* squares)
    {
        int rows = _plan.Rows, channels = _g.Channels;
        for (int c = 0; c < channels; c++)
        {
            double sum = 0, square = 0;
            for (int lane = c; lane < _plan.Period && rows > 0; lane += channels)
                sum += (double)mean[lane] * rows;
            for (int lane = c; lane < _plan.TailLength; lane += channels)
                sum += tail[lane];
            double joined = sum / _g.Spatial;
            for (int lane = c; lane < _plan.Period && rows > 0; lane += channels)
                square += squares[lane] + rows * (mean[lane] - joined) * (mean[lane] - joined);
            for (int lane = c; lane < _plan.TailLength; lane += channels)
                square += (tail[lane] - joined) * (tail[lane] - joined);
            mean[c] = (float)joined;
            squares[c] = (float)square;
        }
    }

    /// <summary>The statistics of neighbouring channels together, each of <paramref name="count"/> elements.</summary>
    private static (float Mean, float Squares) JoinChannels(float* mean, float* squares, int channels, int count)
    {
        if (channels == 1)
            return (*mean, *squares);
        float first = *mean;
        if (channels % V.Count != 0)
        {
            double sum = 0, within = 0, between = 0;
            for (int c = 0; c < channels; c++)
                sum += mean[c] - first;
            float m = (float)(first + sum / channels);
            for (int c = 0; c < channels; c++)
            {
                double d = mean[c] - m;
                within += squares[c];
                between += d * d;
            }
            return (m, (float)(within + between * count));
        }
        V offset = default, base0 = V.Create(first), vWithin = default, vBetween = default;
        for (int c = 0; c < channels; c += V.Count)
            offset += V.Load(mean + c) - base0;
        float joined = first + V.Sum(offset) / channels;
        V centre = V.Create(joined);
        for (int c = 0; c < channels; c += V.Count)
        {
            V d = V.Load(mean + c) - centre;
            vWithin += V.Load(squares + c);
            vBetween = V.MultiplyAdd(d, d, vBetween);
        }
        return (joined, V.Sum(vWithin) + V.Sum(vBetween) * count);
    }

    private readonly void Apply(int image, int chunk, float* slot)
    {
        int period = _plan.Period;
        float* scale = slot + 3 * (nint)_plan.Chunks * period;
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
        if (_plan.Streams)
            ApplyRows<One>(x, y, scale, shift, rows, width, period);
        else
            ApplyRows<Zero>(x, y, scale, shift, rows, width, period);
    }

    private readonly void ApplyRows<TStreams>(float* x, float* y, float* scale, float* shift, int rows, nint width, nint period)
        where TStreams : struct, IConstant
    {
        if (_silu)
        {
            ApplySilu<TStreams>(x, y, scale, shift, rows, width, period);
            return;
        }
        for (int r = 0; r < rows; r++, x += period, y += period)
        {
            if (TStreams.Value == 1)
                GroupNormLanes.Prefetch(x + _plan.ImageLength, width);
            for (nint i = 0; i < width; i += V.Count)
                GroupNormLanes.Store<V, TStreams>(V.MultiplyAdd(V.Load(x + i), V.Load(scale + i), V.Load(shift + i)), y + i);
        }
    }

    private readonly void ApplySilu<TStreams>(float* x, float* y, float* scale, float* shift, int rows, nint width, nint period)
        where TStreams : struct, IConstant
    {
        V lowest = V.Create(-126), highest = V.Create(126), one = V.Create(1), minusLog2E = V.Create(-PowerOfTwoMath.Log2E);
        V c1 = V.Create(PowerOfTwoMath.C1), c2 = V.Create(PowerOfTwoMath.C2), c3 = V.Create(PowerOfTwoMath.C3);
        V c4 = V.Create(PowerOfTwoMath.C4), c5 = V.Create(PowerOfTwoMath.C5);
        for (int r = 0; r < rows; r++, x += period, y += period)
        {
            if (TStreams.Value == 1)
                GroupNormLanes.Prefetch(x + _plan.ImageLength, width);
            for (nint i = 0; i < width; i += V.Count)
            {
                V z = V.MultiplyAdd(V.Load(x + i), V.Load(scale + i), V.Load(shift + i));
                GroupNormLanes.Store<V, TStreams>(z / PowerOfTwoMath.OnePlusExp2(z * minusLog2E, lowest, highest, one, c1, c2, c3, c4, c5), y + i);
            }
        }
    }
}

/// <summary>Small helpers on arrays with one element per lane of a row.</summary>
internal static unsafe class GroupNormLanes
{
    /// <summary>Floats in the widest vector.</summary>
    public const int MaxVector = 16;

    /// <summary>Stores a vector of a result, past the caches where the plan says so.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V, TStreams>(V x, float* destination) where V : struct, ISimd<V> where TStreams : struct, IConstant
    {
        if (TStreams.Value == 1)
            V.StoreStreaming(x, destination);
        else
            V.Store(x, destination);
    }

    /// <summary>
    /// Asks for a row of the next image while this one is written: reading and writing would else take turns, and neither alone
    /// uses all of the memory's bandwidth.
    /// </summary>
    public static void Prefetch(float* row, nint width)
    {
        const int Line = 16;
        for (nint i = 0; i < width && Sse.IsSupported; i += Line)
            Sse.Prefetch1(row + i);
    }

    /// <summary>lanes[c] = values[c / perGroup].</summary>
    public static void Expand<V>(float* values, int groups, int perGroup, float* lanes) where V : struct, ISimd<V>
    {
        for (int group = 0; group < groups; group++)
        {
            int c = 0;
            for (; c <= perGroup - V.Count; c += V.Count, lanes += V.Count)
                V.Store(V.Create(values[group]), lanes);
            for (; c < perGroup; c++)
                *lanes++ = values[group];
        }
    }

    /// <summary>The sum over a group's channels of x y.</summary>
    public static float Dot<V>(float* x, float* y, int channels) where V : struct, ISimd<V>
    {
        int c = 0;
        V sum = default;
        for (; c <= channels - V.Count; c += V.Count)
            sum = V.MultiplyAdd(V.Load(x + c), V.Load(y + c), sum);
        float result = c > 0 ? V.Sum(sum) : 0;
        for (; c < channels; c++)
            result += x[c] * y[c];
        return result;
    }

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
