namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Gradients of group normalisation with optional SiLU. First pass: gz = gy * silu'(z), kept in gx, with z recomputed from x, and
/// per lane the sums of gz and gz (x - mean). They give gamma's and beta's gradient per image and, folded into groups, the
/// coefficients of the second pass: gx = a gz + b (x - mean) + d. Images are summed in their order at the end.
/// </summary>
internal unsafe struct GroupNormBackward<V> : IParallelBody where V : struct, ISimd<V>
{
    private static readonly WorkerScratch s_scratch = new();

    private enum Phase
    {
        Images,
        Prepare,
        Sums,
        Fold,
        Apply,
    }

    private GroupNormGeometry _g;
    private GroupNormPlan _plan;
    private bool _silu;
    private float* _x, _gamma, _beta, _mean, _rstd, _gy, _gx;
    private Phase _phase;

    // Per slot: sums of gz[Chunks, Period] and of gz (x - mean)[Chunks, Period]; per lane [Period] mean, scale, beta, b, d.
    private float* _scratch;

    // Per image: gradients of beta[Channels] and gamma[Channels].
    private float* _affine;

    public static void Run(
        CpuBackend backend, in GroupNormGeometry g, bool silu, float* x, float* gamma, float* beta, float* mean, float* rstd,
        float* gy, float* gx, float* gGamma, float* gBeta)
    {
        var body = new GroupNormBackward<V>
        {
            _g = g,
            _plan = new GroupNormPlan(g, V.Count),
            _silu = silu,
            _x = x,
            _gamma = gamma,
            _beta = beta,
            _mean = mean,
            _rstd = rstd,
            _gy = gy,
            _gx = gx,
        };
        int slots = body._plan.SplitsImages ? g.Batch : 0;
        var scratch = (CpuStorage)backend.Allocate(DType.Float32, checked(slots * body.SlotLength));
        var affine = (CpuStorage)backend.Allocate(DType.Float32, checked(2 * g.Batch * g.Channels));
        body._scratch = scratch.Floats;
        body._affine = affine.Floats;
        if (body._plan.SplitsImages)
        {
            body._phase = Phase.Prepare;
            Workers.For(g.Batch, body);
            body._phase = Phase.Sums;
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
        OrderedSum.Rows(affine.Floats, 2 * g.Channels, g.Batch, g.Channels, gBeta);
        OrderedSum.Rows(affine.Floats + g.Channels, 2 * g.Channels, g.Batch, g.Channels, gGamma);
        backend.Release(affine);
        backend.Release(scratch);
    }

    private readonly int SlotLength => (2 * _plan.Chunks + 5) * _plan.Period;

    public readonly void Run(int index, int worker)
    {
        if (_phase == Phase.Images)
        {
            float* slot = s_scratch.Get<float>(worker, SlotLength);
            Prepare(index, slot);
            for (int chunk = 0; chunk < _plan.Chunks; chunk++)
                Sums(index, chunk, slot);
            Fold(index, slot);
            // Backwards: what was read last is still in the nearest cache.
            for (int chunk = _plan.Chunks - 1; chunk >= 0; chunk--)
                Apply(index, chunk, slot);
            return;
        }
        int image = _phase is Phase.Prepare or Phase.Fold ? index : index / _plan.Chunks;
        float* own = _scratch + (nint)image * SlotLength;
        if (_phase == Phase.Prepare)
            Prepare(image, own);
        else if (_phase == Phase.Fold)
            Fold(image, own);
        else if (_phase == Phase.Sums)
            Sums(image, index % _plan.Chunks, own);
        else
            Apply(image, index % _plan.Chunks, own);
    }

    private readonly float* Lanes(float* slot) => slot + 2 * (nint)_plan.Chunks * _plan.Period;

    /// <summary>Mean, scale and beta per lane.</summary>
    private readonly void Prepare(int image, float* slot)
    {
        int period = _plan.Period, channels = _g.Channels, perGroup = channels / _g.Groups;
        float* mean = Lanes(slot);
        float* scale = mean + period;
        float* beta = scale + period;
        GroupNormLanes.Expand<V>(_mean + (nint)image * _g.Groups, _g.Groups, perGroup, mean);
        GroupNormLanes.Expand<V>(_rstd + (nint)image * _g.Groups, _g.Groups, perGroup, scale);
        int c = 0;
        for (; c <= channels - V.Count; c += V.Count)
        {
            V.Store(V.Load(scale + c) * V.Load(_gamma + c), scale + c);
            V.Store(V.Load(_beta + c), beta + c);
        }
        for (; c < channels; c++)
        {
            scale[c] *= _gamma[c];
            beta[c] = _beta[c];
        }
        GroupNormLanes.Repeat(mean, channels, period);
        GroupNormLanes.Repeat(scale, channels, period);
        GroupNormLanes.Repeat(beta, channels, period);
    }

    private readonly void Sums(int image, int chunk, float* slot)
    {
        int period = _plan.Period;
        float* sumGz = slot + (nint)chunk * period;
        float* sumGzX = sumGz + (nint)_plan.Chunks * period;
        new Span<float>(sumGz, period).Clear();
        new Span<float>(sumGzX, period).Clear();
        float* mean = Lanes(slot);
        nint start = (nint)image * _plan.ImageLength + (nint)chunk * _plan.ChunkRows * period;
        SumRows(_x + start, _gy + start, _gx + start, mean, sumGz, sumGzX, _plan.RowsOf(chunk), period);
        if (chunk != _plan.Chunks - 1 || _plan.TailLength == 0)
            return;
        start = (nint)image * _plan.ImageLength + _plan.TailStart;
        int whole = _plan.TailLength / V.Count * V.Count, rest = _plan.TailLength - whole;
        SumRows(_x + start, _gy + start, _gx + start, mean, sumGz, sumGzX, 1, whole);
        if (rest == 0)
            return;
        // A zero gradient in the lanes beyond the image adds nothing to the sums.
        float* x = stackalloc float[GroupNormLanes.MaxVector];
        float* gy = stackalloc float[GroupNormLanes.MaxVector];
        float* gz = stackalloc float[GroupNormLanes.MaxVector];
        GroupNormLanes.LoadPart(_x + start + whole, rest, x, V.Count);
        GroupNormLanes.LoadPart(_gy + start + whole, rest, gy, V.Count);
        SumRows(x, gy, gz, mean + whole, sumGz + whole, sumGzX + whole, 1, V.Count);
        if (_silu)
            Buffer.MemoryCopy(gz, _gx + start + whole, rest * sizeof(float), rest * sizeof(float));
    }

    private readonly void SumRows(float* x, float* gy, float* gz, float* mean, float* sumGz, float* sumGzX, int rows, nint width)
    {
        nint period = _plan.Period;
        float* scale = mean + period;
        float* beta = scale + period;
        if (_silu)
        {
            SumSilu(x, gy, gz, mean, scale, beta, sumGz, sumGzX, rows, width, period);
            return;
        }
        for (int r = 0; r < rows; r++, x += period, gy += period)
        {
            for (nint i = 0; i < width; i += V.Count)
            {
                V centred = V.Load(x + i) - V.Load(mean + i);
                V g = V.Load(gy + i);
                V.Store(V.Load(sumGz + i) + g, sumGz + i);
                V.Store(V.MultiplyAdd(g, centred, V.Load(sumGzX + i)), sumGzX + i);
            }
        }
    }

    private static void SumSilu(
        float* x, float* gy, float* gz, float* mean, float* scale, float* beta, float* sumGz, float* sumGzX,
        int rows, nint width, nint period)
    {
        V lowest = V.Create(-126), highest = V.Create(126), one = V.Create(1), minusLog2E = V.Create(-PowerOfTwoMath.Log2E);
        V c1 = V.Create(PowerOfTwoMath.C1), c2 = V.Create(PowerOfTwoMath.C2), c3 = V.Create(PowerOfTwoMath.C3);
        V c4 = V.Create(PowerOfTwoMath.C4), c5 = V.Create(PowerOfTwoMath.C5);
        for (int r = 0; r < rows; r++, x += period, gy += period, gz += period)
        {
            for (nint i = 0; i < width; i += V.Count)
            {
                V centred = V.Load(x + i) - V.Load(mean + i);
                V z = V.MultiplyAdd(centred, V.Load(scale + i), V.Load(beta + i));
                V sigmoid = one / PowerOfTwoMath.OnePlusExp2(z * minusLog2E, lowest, highest, one, c1, c2, c3, c4, c5);
                V g = V.Load(gy + i) * V.MultiplyAdd(z * sigmoid, one - sigmoid, sigmoid);
                V.Store(g, gz + i);
                V.Store(V.Load(sumGz + i) + g, sumGz + i);
                V.Store(V.MultiplyAdd(g, centred, V.Load(sumGzX + i)), sumGzX + i);
            }
        }
    }

    /// <summary>From the lanes' sums the gradients of gamma and beta for this image, and b and d of the second pass.</summary>
    private readonly void Fold(int image, float* slot)
    {
        int period = _plan.Period, channels = _g.Channels, perGroup = channels / _g.Groups;
        float* b = Lanes(slot) + 3 * (nint)period;
        float* d = b + period;
        float* gBeta = _affine + 2 * (nint)image * channels;
        float* gGamma = gBeta + channels;
        JoinLanes(slot, gBeta);
        JoinLanes(slot + (nint)_plan.Chunks * period, gGamma);
        float count = (float)_g.Spatial * perGroup;
        for (int group = 0; group < _g.Groups; group++)
        {
            int first = group * perGroup;
            float rstd = _rstd[(nint)image * _g.Groups + group];
            float sumH = GroupNormLanes.Dot<V>(gBeta + first, _gamma + first, perGroup);
            float sumHX = GroupNormLanes.Dot<V>(gGamma + first, _gamma + first, perGroup);
            float groupB = -rstd * rstd * rstd * sumHX / count, groupD = -rstd * sumH / count;
            for (int c = first; c < first + perGroup; c++)
            {
                b[c] = groupB;
                d[c] = groupD;
                gGamma[c] *= rstd;
            }
        }
        GroupNormLanes.Repeat(b, channels, period);
        GroupNormLanes.Repeat(d, channels, period);
    }

    /// <summary>Sums of all lanes of a channel, over chunks and the pixels of a row.</summary>
    private readonly void JoinLanes(float* lanes, float* sums)
    {
        int period = _plan.Period, chunks = _plan.Chunks, channels = _g.Channels;
        if (period == channels)
        {
            for (int c = 0; c < channels; c += V.Count)
            {
                V sum = V.Load(lanes + c);
                for (int chunk = 1; chunk < chunks; chunk++)
                    sum += V.Load(lanes + (nint)chunk * period + c);
                V.Store(sum, sums + c);
            }
            return;
        }
        for (int c = 0; c < channels; c++)
        {
            double sum = 0;
            for (int lane = c; lane < chunks * period; lane += channels)
                sum += lanes[lane];
            sums[c] = (float)sum;
        }
    }

    private readonly void Apply(int image, int chunk, float* slot)
    {
        int period = _plan.Period;
        float* mean = Lanes(slot);
        float* gz = _silu ? _gx : _gy;
        nint start = (nint)image * _plan.ImageLength + (nint)chunk * _plan.ChunkRows * period;
        ApplyRows(_x + start, gz + start, _gx + start, mean, _plan.RowsOf(chunk), period);
        if (chunk != _plan.Chunks - 1 || _plan.TailLength == 0)
            return;
        start = (nint)image * _plan.ImageLength + _plan.TailStart;
        int whole = _plan.TailLength / V.Count * V.Count, rest = _plan.TailLength - whole;
        ApplyRows(_x + start, gz + start, _gx + start, mean, 1, whole);
        if (rest == 0)
            return;
        float* restX = stackalloc float[GroupNormLanes.MaxVector];
        float* restGz = stackalloc float[GroupNormLanes.MaxVector];
        GroupNormLanes.LoadPart(_x + start + whole, rest, restX, V.Count);
        GroupNormLanes.LoadPart(gz + start + whole, rest, restGz, V.Count);
        ApplyRows(restX, restGz, restGz, mean + whole, 1, V.Count);
        Buffer.MemoryCopy(restGz, _gx + start + whole, rest * sizeof(float), rest * sizeof(float));
    }

    private readonly void ApplyRows(float* x, float* gz, float* gx, float* mean, int rows, nint width)
    {
        // With SiLU the first pass has left gz in gx: its lines are in the cache.
        if (_plan.Streams && !_silu)
            ApplyRows<One>(x, gz, gx, mean, rows, width);
        else
            ApplyRows<Zero>(x, gz, gx, mean, rows, width);
    }

    private readonly void ApplyRows<TStreams>(float* x, float* gz, float* gx, float* mean, int rows, nint width)
        where TStreams : struct, IConstant
    {
        nint period = _plan.Period;
        float* a = mean + period;
        float* b = mean + 3 * period;
        float* d = mean + 4 * period;
        for (int r = 0; r < rows; r++, x += period, gz += period, gx += period)
        {
            for (nint i = 0; i < width; i += V.Count)
            {
                V centred = V.Load(x + i) - V.Load(mean + i);
                V rest = V.MultiplyAdd(centred, V.Load(b + i), V.Load(d + i));
                GroupNormLanes.Store<V, TStreams>(V.MultiplyAdd(V.Load(gz + i), V.Load(a + i), rest), gx + i);
            }
        }
    }
}
