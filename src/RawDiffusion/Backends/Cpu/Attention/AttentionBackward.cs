namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Gradients of attention (Dao 2023, FlashAttention-2, algorithm 2). A block of keys stays in cache with its gk and gv while
/// the queries pass by in blocks: p = exp(s - logSumExp) is recomputed, dp = gy v^T, ds = p (dp - gy . y), and then
/// gv += p^T gy, gk += ds^T q, gq += ds k.
/// </summary>
/// <remarks>
/// An item is one (sample, head). Where there are few of those, it is a run of its keys: gk and gv are then still its own, and
/// the runs' gq are joined in order. Nothing depends on which worker does what.
/// </remarks>
internal unsafe struct AttentionBackward<V> : IParallelBody where V : struct, ISimd<V>
{
    private static readonly WorkerScratch s_scratch = new();

    /// <summary>A last block takes up to half a block more rather than leave a small one.</summary>
    private const int QueryBlock = 48, LongestQueryBlock = 72;

    private const int KeyBlock = 96, LongestKeyBlock = 144;

    /// <summary>With fewer (sample, head) than this, keys are shared out as well.</summary>
    private const int EnoughItems = 16;

    private AttentionGeometry _g;
    private float* _q, _k, _v, _y, _logSumExp, _gy, _gk, _gv;
    private int _runLength, _runs;

    // gq of every run, [runs, Batch, QueryLength, Heads, HeadDim]; gq itself where there is one run.
    private float* _queryGradients;
    private nint _scratchLength;

    public static void Run(
        CpuBackend backend, in AttentionGeometry g, float* q, float* k, float* v, float* y, float* logSumExp, float* gy,
        float* gq, float* gk, float* gv)
    {
        var body = new AttentionBackward<V>
        {
            _g = g,
            _q = q,
            _k = k,
            _v = v,
            _y = y,
            _logSumExp = logSumExp,
            _gy = gy,
            _gk = gk,
            _gv = gv,
        };
        int pairs = g.Batch * g.Heads;
        int wanted = pairs >= EnoughItems ? 1 : (EnoughItems + pairs - 1) / pairs;
        int blocks = (g.KeyLength + KeyBlock - 1) / KeyBlock;
        body._runLength = (blocks + wanted - 1) / wanted * KeyBlock;
        body._runs = (g.KeyLength + body._runLength - 1) / body._runLength;
        body._scratchLength = ScratchLength(g.HeadDim);
        int length = pairs * g.QueryLength * g.HeadDim;
        Storage? runs = body._runs > 1 ? backend.Allocate(DType.Float32, checked(length * body._runs)) : null;
        body._queryGradients = runs is null ? gq : ((CpuStorage)runs).Floats;
        Workers.For(pairs * body._runs, body);
        if (runs is not null)
        {
            OrderedSum.Rows(body._queryGradients, length, body._runs, length, gq);
            backend.Release(runs);
        }
    }

    private static int ScoreRow => AttentionTiles<V>.RoundPanels(LongestKeyBlock);

    private static nint ScratchLength(int dim)
    {
        nint lanes = AttentionTiles<V>.RowLength(dim);
        return ScoreRow * (2 * (nint)dim + 3 * lanes) + LongestQueryBlock * (3 * lanes + 2 * ScoreRow + 2);
    }

    public readonly void Run(int index, int worker)
    {
        int pair = index / _runs, run = index % _runs;
        int end = Math.Min(_g.KeyLength, (run + 1) * _runLength);
        for (int start = run * _runLength; start < end;)
        {
            int keys = end - start <= LongestKeyBlock ? end - start : KeyBlock;
            Keys(pair, run, start, keys, start == run * _runLength, s_scratch.Get<float>(worker, _scratchLength));
            start += keys;
        }
    }

    private readonly void Keys(int pair, int run, int start, int keys, bool first, float* scratch)
    {
        int batch = pair / _g.Heads, head = pair % _g.Heads, dim = _g.HeadDim, lanes = AttentionTiles<V>.RowLength(dim);
        nint row = (nint)_g.Heads * dim;
        float* keysTransposed = scratch;
        float* valuesTransposed = keysTransposed + (nint)ScoreRow * dim;
        float* keyPanels = valuesTransposed + (nint)ScoreRow * dim;
        float* gk = keyPanels + (nint)ScoreRow * lanes;
        float* gv = gk + (nint)ScoreRow * lanes;
        float* block = gv + (nint)ScoreRow * lanes;
        nint offset = ((nint)batch * _g.KeyLength + start) * row + head * dim;
        AttentionTiles<V>.PackTransposed(_k + offset, row, keys, dim, keysTransposed);
        AttentionTiles<V>.PackTransposed(_v + offset, row, keys, dim, valuesTransposed);
        AttentionTiles<V>.Pack(_k + offset, row, keys, dim, keyPanels);
        for (int query = 0; query < _g.QueryLength;)
        {
            int left = _g.QueryLength - query;
            int queries = left <= LongestQueryBlock ? left : QueryBlock;
            Block(pair, run, query, queries, keys, first, query == 0, scratch, block);
            query += queries;
        }
        // Queries were scaled by Scale log2(e) for the scores; gk wants Scale alone.
        Unpack(gk, lanes, keys, dim, PowerOfTwoMath.Ln2, _gk + offset, row, false);
        Unpack(gv, lanes, keys, dim, 1, _gv + offset, row, false);
    }

    private readonly void Block(int pair, int run, int start, int queries, int keys, bool firstKeys, bool firstQueries, float* scratch, float* block)
    {
        int batch = pair / _g.Heads, head = pair % _g.Heads, dim = _g.HeadDim;
        int panel = AttentionTiles<V>.PanelWidth, lanes = AttentionTiles<V>.RowLength(dim), scoreRow = ScoreRow;
        nint row = (nint)_g.Heads * dim, offset = ((nint)batch * _g.QueryLength + start) * row + head * dim;
        float* keysTransposed = scratch;
        float* valuesTransposed = keysTransposed + (nint)scoreRow * dim;
        float* keyPanels = valuesTransposed + (nint)scoreRow * dim;
        float* gk = keyPanels + (nint)scoreRow * lanes;
        float* gv = gk + (nint)scoreRow * lanes;
        float* q = block;
        float* gy = q + (nint)LongestQueryBlock * lanes;
        float* gq = gy + (nint)LongestQueryBlock * lanes;
        float* p = gq + (nint)LongestQueryBlock * lanes;
        float* ds = p + (nint)LongestQueryBlock * scoreRow;
        float* logSumExp = ds + (nint)LongestQueryBlock * scoreRow;
        float* gyDotY = logSumExp + LongestQueryBlock;

        AttentionTiles<V>.CopyRows(_q + offset, row, queries, dim, (float)_g.Scale * PowerOfTwoMath.Log2E, q, lanes);
        AttentionTiles<V>.CopyRows(_gy + offset, row, queries, dim, 1, gy, lanes);
        for (int i = 0; i < queries; i++)
        {
            logSumExp[i] = _logSumExp[(nint)pair * _g.QueryLength + start + i] * PowerOfTwoMath.Log2E;
            gyDotY[i] = Dot(_gy + offset + i * row, _y + offset + i * row, dim);
        }
        AttentionTiles<V>.Multiply(queries, keys, dim, q, lanes, 1, keysTransposed, (nint)dim * panel, panel, p, scoreRow, false);
        AttentionTiles<V>.Multiply(queries, keys, dim, gy, lanes, 1, valuesTransposed, (nint)dim * panel, panel, ds, scoreRow, false);
        for (int i = 0; i < queries; i++)
            DifferentiateSoftmax(p + (nint)i * scoreRow, ds + (nint)i * scoreRow, AttentionTiles<V>.RoundLanes(keys), logSumExp[i], gyDotY[i]);
        AttentionTiles<V>.Multiply(keys, dim, queries, p, 1, scoreRow, gy, panel, lanes, gv, lanes, !firstQueries);
        AttentionTiles<V>.Multiply(keys, dim, queries, ds, 1, scoreRow, q, panel, lanes, gk, lanes, !firstQueries);
        AttentionTiles<V>.Multiply(queries, dim, keys, ds, scoreRow, 1, keyPanels, (nint)keys * panel, panel, gq, lanes, false);
        nint runOffset = (nint)run * _g.Batch * _g.QueryLength * row;
        Unpack(gq, lanes, queries, dim, (float)_g.Scale, _queryGradients + runOffset + offset, row, !firstKeys);
    }

    private static void DifferentiateSoftmax(float* p, float* ds, int width, float logSumExp, float gyDotY)
    {
        V lowest = V.Create(-126), one = V.Create(1);
        V c1 = V.Create(PowerOfTwoMath.C1), c2 = V.Create(PowerOfTwoMath.C2), c3 = V.Create(PowerOfTwoMath.C3);
        V c4 = V.Create(PowerOfTwoMath.C4), c5 = V.Create(PowerOfTwoMath.C5);
        V shift = V.Create(logSumExp), delta = V.Create(gyDotY);
        for (int j = 0; j < width; j += V.Count)
        {
            V probability = PowerOfTwoMath.Exp2(V.Load(p + j) - shift, lowest, one, c1, c2, c3, c4, c5);
            V.Store(probability, p + j);
            V.Store(probability * (V.Load(ds + j) - delta), ds + j);
        }
    }

    private static float Dot(float* x, float* y, int count)
    {
        V sum = default;
        int i = 0;
        for (; i <= count - V.Count; i += V.Count)
            sum = V.MultiplyAdd(V.Load(x + i), V.Load(y + i), sum);
        float result = V.Sum(sum);
        for (; i < count; i++)
            result += x[i] * y[i];
        return result;
    }

    /// <summary>y = factor * x, or y += where <paramref name="accumulate"/>, from a padded block to rows of a tensor.</summary>
    private static void Unpack(float* x, nint xRow, int rows, int columns, float factor, float* y, nint yRow, bool accumulate)
    {
        V f = V.Create(factor);
        for (int r = 0; r < rows; r++, x += xRow, y += yRow)
        {
            int i = 0;
            for (; i <= columns - V.Count; i += V.Count)
            {
                V value = V.Load(x + i) * f;
                V.Store(accumulate ? V.Load(y + i) + value : value, y + i);
            }
            for (; i < columns; i++)
                y[i] = accumulate ? y[i] + x[i] * factor : x[i] * factor;
        }
    }
}
