namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Attention by blocks with a running softmax (Milakov and Gimelshein 2018; Dao et al. 2022, FlashAttention): a block of queries
/// meets the keys block by block; row maximum, row sum and the unnormalised output are corrected whenever the maximum rises. What
/// is held of the scores is one block. Scores are kept times log2(e), so that powers of two do for the exponentials.
/// </summary>
/// <remarks>An item is one (sample, head), or a run of its queries where there are few of those.</remarks>
internal unsafe struct AttentionForward<V> : IParallelBody where V : struct, ISimd<V>
{
    private static readonly WorkerScratch s_scratch = new();

    /// <summary>A last block takes up to half a block more rather than leave a small one.</summary>
    private const int QueryBlock = 72, LongestQueryBlock = 108;

    private const int KeyBlock = 96, LongestKeyBlock = 144;

    /// <summary>With fewer (sample, head) than this, queries are shared out as well.</summary>
    private const int EnoughItems = 16;

    private AttentionGeometry _g;
    private float* _q, _k, _v, _y, _logSumExp;
    private int _runLength, _runs;
    private nint _scratchLength;

    public static void Run(CpuBackend backend, in AttentionGeometry g, float* q, float* k, float* v, float* y, float* logSumExp)
    {
        var body = new AttentionForward<V> { _g = g, _q = q, _k = k, _v = v, _y = y, _logSumExp = logSumExp };
        int pairs = g.Batch * g.Heads;
        int wanted = pairs >= EnoughItems ? 1 : (EnoughItems + pairs - 1) / pairs;
        int blocks = Math.Max(1, (g.QueryLength + QueryBlock - 1) / QueryBlock);
        body._runLength = (blocks + wanted - 1) / wanted * QueryBlock;
        body._runs = (g.QueryLength + body._runLength - 1) / body._runLength;
        body._scratchLength = body.ScratchLength();
        Workers.For(pairs * body._runs, body);
    }

    private readonly nint ScratchLength()
    {
        nint keys = AttentionTiles<V>.RoundPanels(_g.KeyLength), lanes = AttentionTiles<V>.RowLength(_g.HeadDim);
        return keys * _g.HeadDim + lanes * _g.KeyLength + LongestQueryBlock * (2 * lanes + ScoreRow) + 3 * RowValues;
    }

    /// <summary>Room for one value per query of a block, in whole vectors.</summary>
    private static int RowValues => AttentionTiles<V>.RoundLanes(LongestQueryBlock);

    private static int ScoreRow => AttentionTiles<V>.RoundPanels(LongestKeyBlock);

    public readonly void Run(int index, int worker)
    {
        int pair = index / _runs, run = index % _runs;
        int batch = pair / _g.Heads, head = pair % _g.Heads;
        nint row = (nint)_g.Heads * _g.HeadDim;
        int dim = _g.HeadDim, lanes = AttentionTiles<V>.RowLength(dim);
        float* keys = s_scratch.Get<float>(worker, _scratchLength);
        float* values = keys + (nint)AttentionTiles<V>.RoundPanels(_g.KeyLength) * dim;
        float* block = values + (nint)lanes * _g.KeyLength;
        nint keyStart = (nint)batch * _g.KeyLength * row + head * dim;
        AttentionTiles<V>.PackTransposed(_k + keyStart, row, _g.KeyLength, dim, keys);
        AttentionTiles<V>.Pack(_v + keyStart, row, _g.KeyLength, dim, values);
        int end = Math.Min(_g.QueryLength, (run + 1) * _runLength);
        for (int start = run * _runLength; start < end;)
        {
            int queries = end - start <= LongestQueryBlock ? end - start : QueryBlock;
            nint offset = ((nint)batch * _g.QueryLength + start) * row + head * dim;
            Queries(_q + offset, _y + offset, row, queries, keys, values, _logSumExp + (nint)pair * _g.QueryLength + start, block);
            start += queries;
        }
    }

    private readonly void Queries(
        float* q, float* y, nint row, int queries, float* keys, float* values, float* logSumExp, float* block)
    {
        int dim = _g.HeadDim, panel = AttentionTiles<V>.PanelWidth, lanes = AttentionTiles<V>.RowLength(dim), scoreRow = ScoreRow;
        float* query = block;
        float* output = query + (nint)LongestQueryBlock * lanes;
        float* scores = output + (nint)LongestQueryBlock * lanes;
        float* max = scores + (nint)LongestQueryBlock * scoreRow;
        float* sum = max + RowValues;
        float* correction = sum + RowValues;
        AttentionTiles<V>.CopyRows(q, row, queries, dim, (float)_g.Scale * PowerOfTwoMath.Log2E, query, lanes);
        for (int start = 0; start < _g.KeyLength;)
        {
            int left = _g.KeyLength - start;
            int count = left <= LongestKeyBlock ? left : KeyBlock;
            AttentionTiles<V>.Multiply(
                queries, count, dim, query, lanes, 1, keys + (nint)start * dim, (nint)dim * panel, panel, scores, scoreRow, false);
            Softmax(queries, count, scores, scoreRow, max, sum, correction, start == 0);
            if (start > 0)
                Correct(queries, output, lanes, AttentionTiles<V>.RoundLanes(dim), correction);
            AttentionTiles<V>.Multiply(
                queries, dim, count, scores, scoreRow, 1, values + (nint)start * panel, (nint)_g.KeyLength * panel, panel,
                output, lanes, start > 0);
            start += count;
        }
        Finish(queries, output, lanes, max, sum, y, row, logSumExp);
    }

    /// <summary>Scores to unnormalised probabilities, with the running maximum and sum of every row.</summary>
    /// <param name="correction">What older values of a row are to be multiplied with; written unless <paramref name="first"/>.</param>
    private static void Softmax(
        int queries, int count, float* scores, int scoreRow, float* max, float* sum, float* correction, bool first)
    {
        int width = AttentionTiles<V>.RoundLanes(count);
        for (int i = 0; i < queries; i++)
        {
            float* row = scores + (nint)i * scoreRow;
            for (int j = count; j < width; j++)
                row[j] = float.NegativeInfinity;
            V m = V.Load(row);
            for (int j = V.Count; j < width; j += V.Count)
                m = V.MaxNative(m, V.Load(row + j));
            float top = V.MaxNativeOf(m);
            if (!first)
            {
                top = top > max[i] ? top : max[i];
                correction[i] = max[i] - top;
            }
            max[i] = top;
        }
        V lowest = V.Create(-126), one = V.Create(1);
        V c1 = V.Create(PowerOfTwoMath.C1), c2 = V.Create(PowerOfTwoMath.C2), c3 = V.Create(PowerOfTwoMath.C3);
        V c4 = V.Create(PowerOfTwoMath.C4), c5 = V.Create(PowerOfTwoMath.C5);
        for (int i = 0; i < queries && !first; i += V.Count)
        {
            V factor = PowerOfTwoMath.Exp2(V.Load(correction + i), lowest, one, c1, c2, c3, c4, c5);
            V.Store(factor, correction + i);
            V.Store(V.Load(sum + i) * factor, sum + i);
        }
        for (int i = 0; i < queries; i++, scores += scoreRow)
        {
            V shift = V.Create(max[i]), total = default;
            for (int j = 0; j < width; j += V.Count)
            {
                V p = PowerOfTwoMath.Exp2(V.Load(scores + j) - shift, lowest, one, c1, c2, c3, c4, c5);
                total += p;
                V.Store(p, scores + j);
            }
            sum[i] = first ? V.Sum(total) : sum[i] + V.Sum(total);
        }
    }

    private static void Correct(int queries, float* output, int lanes, int width, float* correction)
    {
        for (int i = 0; i < queries; i++, output += lanes)
        {
            if (correction[i] == 1)
                continue;
            V factor = V.Create(correction[i]);
            for (int d = 0; d < width; d += V.Count)
                V.Store(V.Load(output + d) * factor, output + d);
        }
    }

    private readonly void Finish(int queries, float* output, int lanes, float* max, float* sum, float* y, nint row, float* logSumExp)
    {
        int dim = _g.HeadDim;
        for (int i = 0; i < queries; i += V.Count)
            V.Store(V.MultiplyAdd(V.Load(max + i), V.Create(PowerOfTwoMath.Ln2), VectorMath.Log(V.Load(sum + i))), max + i);
        for (int i = 0; i < queries; i++, output += lanes, y += row)
        {
            logSumExp[i] = max[i];
            float inverse = 1 / sum[i];
            V factor = V.Create(inverse);
            int d = 0;
            for (; d <= dim - V.Count; d += V.Count)
                V.Store(V.Load(output + d) * factor, y + d);
            for (; d < dim; d++)
                y[d] = output[d] * inverse;
        }
    }
}
