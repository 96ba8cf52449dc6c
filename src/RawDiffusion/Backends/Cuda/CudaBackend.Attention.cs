using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    /// <summary>Queries (or keys) of a block of <c>attention.cu</c>, and the threads of it.</summary>
    private const int AttentionRows = 32, AttentionThreads = 256;

    /// <summary>Heads narrower than this would mostly be the zeros that fill up a fragment.</summary>
    private const int NarrowestTensorHead = 16;

    /// <summary>From so many queries on a block of two strips to a warp is mostly full.</summary>
    private const int ManyQueries = 256;

    private static readonly KernelSlot s_attentionDelta = new("attention_delta.cu", "attention_delta"),
        s_attentionDeltaTf32 = new("attention_delta.cu", "attention_delta_tf32");

    private static readonly KernelSlot[] s_attentionForward = AttentionSlots("forward"),
        s_attentionGradQuery = AttentionSlots("grad_query"), s_attentionGradKeyValue = AttentionSlots("grad_key_value");

    private static readonly KernelSlot s_naiveScores = NaiveAttentionSlot("scores"), s_naiveSoftmax = NaiveAttentionSlot("softmax"),
        s_naiveValues = NaiveAttentionSlot("values"), s_naiveGradScores = NaiveAttentionSlot("grad_scores"), s_naiveGradKey = NaiveAttentionSlot("grad_key");

    public override void Attention(in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp)
    {
        if (y.Length == 0)
            return;
        var type = q.DType;
        var rung = Chosen(AttentionLadder.Forward);
        if (ReferenceEquals(rung, AttentionLadder.Naive))
        {
            NaiveAttention(g, q, k, v, y, logSumExp);
            return;
        }
        bool aligned = IsAligned(q) && IsAligned(k) && IsAligned(v) && IsAligned(y);
        var tile = rung is null ? BestAttention(g, type, aligned) : ForcedAttention(rung, g, type, aligned);
        if (tile is not null)
            LaunchAttention(tile, g, g.QueryLength, P(q), P(k), P(v), P(y), P(logSumExp));
        else
            LaunchFlash(s_attentionForward, type, g, g.QueryLength, P(q), P(k), P(v), P(y), P(logSumExp));
    }

    public override void AttentionGrad(
        in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp, Storage gy,
        Storage gq, Storage gk, Storage gv)
    {
        // Heads of no elements have scores, but nobody has made their logarithms of sums.
        if (gq.Length == 0 && gk.Length == 0)
            return;
        using var delta = Scratch(logSumExp.Length);
        var type = q.DType;
        var rung = Chosen(AttentionLadder.Backward);
        if (ReferenceEquals(rung, AttentionLadder.NaiveGrad))
        {
            LaunchDelta(s_attentionDelta, g, y, gy, delta.Pointer);
            NaiveAttentionGrad(g, q, k, v, logSumExp, delta.Pointer, gy, gq, gk, gv);
            return;
        }
        bool aligned = IsAligned(q) && IsAligned(k) && IsAligned(v) && IsAligned(gy) && IsAligned(gq) && IsAligned(gk) && IsAligned(gv);
        AttentionTile? forQueries = AttentionTile.GradQuery(type, g.HeadDim), forKeys = AttentionTile.GradKeyValue(type, g.HeadDim);
        string? problem = AttentionProblem(g, type, aligned, forQueries) ?? AttentionProblem(g, type, aligned, forKeys);
        bool tensorCores = rung is null ? HasTensorCoresFor(type) && problem is null : !ReferenceEquals(rung, AttentionLadder.FlashGrad);
        if (rung is not null && tensorCores)
            RequireAttention(rung, type, problem);
        LaunchDelta(tensorCores && type == DType.Float32 ? s_attentionDeltaTf32 : s_attentionDelta, g, y, gy, delta.Pointer);
        if (y.Length > 0)
        {
            if (tensorCores)
                LaunchAttention(forQueries!, g, g.QueryLength, P(q), P(k), P(v), P(logSumExp), delta.Pointer, P(gy), P(gq));
            else
                LaunchFlash(s_attentionGradQuery, type, g, g.QueryLength, P(q), P(k), P(v), P(logSumExp), delta.Pointer, P(gy), P(gq));
        }
        if (gk.Length > 0)
        {
            if (tensorCores)
                LaunchAttention(forKeys!, g, g.KeyLength, P(q), P(k), P(v), P(logSumExp), delta.Pointer, P(gy), P(gk), P(gv));
            else
                LaunchFlash(s_attentionGradKeyValue, type, g, g.KeyLength, P(q), P(k), P(v), P(logSumExp), delta.Pointer, P(gy), P(gk), P(gv));
        }
    }

    private static KernelSlot[] AttentionSlots(string what) => Array.ConvertAll([32, 64, 128], columns => new KernelSlot("attention.cu", $"attention_{what}_{columns}"));

    private static KernelSlot NaiveAttentionSlot(string what) => new(AttentionLadder.Naive.File, $"attention_naive_{what}");

    private static bool IsAligned(Storage storage) => P(storage).Address % 16 == 0;

    /// <summary>Whether products of this type may be made by tensor cores, as far as the device and its settings go.</summary>
    private bool HasTensorCoresFor(DType type) => Capability >= 80 && (type == DType.BFloat16 || AllowTf32);

    /// <summary>Why a kernel cannot do it, or null.</summary>
    private string? AttentionProblem(in AttentionGeometry g, DType type, bool aligned, AttentionTile? tile)
    {
        if (tile is null || g.HeadDim < NarrowestTensorHead)
            return $"heads have {NarrowestTensorHead} elements or more, up to the widest kernel";
        if (!aligned || g.HeadDim * type.Size() % 16 != 0)
            return "vectors of heads must begin at multiples of 16 bytes";
        return tile.SharedBytes > Context.MaxSharedBytes ? "heads this wide need more shared memory than the device has for a block" : null;
    }

    /// <summary>The kernel for tensor cores that is best for a shape, or null where <c>attention.cu</c> is.</summary>
    private AttentionTile? BestAttention(in AttentionGeometry g, DType type, bool aligned)
    {
        if (!HasTensorCoresFor(type))
            return null;
        var tile = AttentionTile.Forward(type, g.HeadDim);
        if (AttentionProblem(g, type, aligned, tile) is not null)
            return null;
        // Twice the rows to a warp halve the reads of shared memory, where there are enough blocks for all multiprocessors still.
        return AttentionTile.TwoStrips(type, g.HeadDim) is { } larger && larger.Width == tile!.Width
            && g.QueryLength >= ManyQueries && AttentionBlocks(larger, g, g.QueryLength) >= Context.Multiprocessors ? larger : tile;
    }

    /// <summary>The kernel of a rung, or null for the one without tensor cores.</summary>
    /// <exception cref="NotSupportedException">The rung cannot do it.</exception>
    private AttentionTile? ForcedAttention(Rung rung, in AttentionGeometry g, DType type, bool aligned)
    {
        if (ReferenceEquals(rung, AttentionLadder.Flash))
            return null;
        bool twoStrips = ReferenceEquals(rung, AttentionLadder.TwoStripsTf32) || ReferenceEquals(rung, AttentionLadder.TwoStripsBFloat16);
        var tile = twoStrips ? AttentionTile.TwoStrips(type, g.HeadDim) : AttentionTile.Forward(type, g.HeadDim);
        RequireAttention(rung, type, AttentionProblem(g, type, aligned, tile));
        return tile;
    }

    private static void RequireAttention(Rung rung, DType type, string? problem)
    {
        var takes = rung.Precision == Precision.BFloat16 ? DType.BFloat16 : DType.Float32;
        if (type != takes)
            problem = $"it takes {takes.Name()} tensors, not {type.Name()}";
        if (problem is not null)
            throw new NotSupportedException($"{rung}: {problem}.");
    }

    private static long AttentionBlocks(AttentionTile tile, in AttentionGeometry g, int length) =>
        (long)g.Batch * g.Heads * CeilDiv(length, tile.Rows) * CeilDiv(g.HeadDim, tile.Columns);

    /// <summary>Queues a kernel for tensor cores, which writes rows of <paramref name="length"/> queries or keys for every sample and head.</summary>
    private void LaunchAttention(AttentionTile tile, in AttentionGeometry g, int length, params ReadOnlySpan<KernelArg> rest)
    {
        int blocks = checked(g.Batch * g.Heads * CeilDiv(length, tile.Rows));
        _kernels[tile.Slot, tile.Type].LaunchWith(g, (blocks, CeilDiv(g.HeadDim, tile.Columns)), AttentionTile.Threads, tile.SharedBytes, rest);
    }

    private void LaunchDelta(KernelSlot slot, in AttentionGeometry g, Storage y, Storage gy, DevicePointer delta)
    {
        if (y.Length > 0)
            _kernels[slot, y.DType].LaunchWith(g, WarpGrid(g.Batch * g.QueryLength * g.Heads), WarpBlock, 0, P(y), P(gy), delta);
    }

    /// <summary>The same for a kernel of <c>attention.cu</c>.</summary>
    private void LaunchFlash(KernelSlot[] slots, DType type, in AttentionGeometry g, int length, params ReadOnlySpan<KernelArg> rest)
    {
        int size = g.HeadDim <= 32 ? 0 : g.HeadDim <= 64 ? 1 : 2, columns = 32 << size;
        int blocks = checked(g.Batch * g.Heads * CeilDiv(length, AttentionRows));
        _kernels[slots[size], type].LaunchWith(g, (blocks, CeilDiv(g.HeadDim, columns)), AttentionThreads, 0, rest);
    }

    private void NaiveAttention(in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp)
    {
        int count = Scores(g), rows = logSumExp.Length;
        using var scores = Scratch(count);
        LaunchElementsWith(_kernels[s_naiveScores, q.DType], g, count, count, P(q), P(k), scores.Pointer);
        _kernels[s_naiveSoftmax].Launch(CeilDiv(rows, BlockSize / WarpSize), BlockSize, 0, rows, g.KeyLength, scores.Pointer, P(logSumExp));
        LaunchElementsWith(_kernels[s_naiveValues, q.DType], g, y.Length, y.Length, scores.Pointer, P(v), P(y));
    }

    private void NaiveAttentionGrad(
        in AttentionGeometry g, Storage q, Storage k, Storage v, Storage logSumExp, DevicePointer delta, Storage gy, Storage gq, Storage gk, Storage gv)
    {
        int count = Scores(g);
        using DeviceBuffer probabilities = Scratch(count), gradients = Scratch(count);
        DevicePointer p = probabilities.Pointer, ds = gradients.Pointer;
        LaunchElementsWith(_kernels[s_naiveGradScores, q.DType], g, count, count, P(q), P(k), P(v), P(logSumExp), delta, P(gy), p, ds);
        LaunchElementsWith(_kernels[s_naiveValues, q.DType], g, gq.Length, gq.Length, ds, P(k), P(gq));
        LaunchElementsWith(_kernels[s_naiveGradKey, q.DType], g, gk.Length, gk.Length, ds, P(q), P(gk));
        LaunchElementsWith(_kernels[s_naiveGradKey, q.DType], g, gv.Length, gv.Length, p, P(gy), P(gv));
    }

    /// <summary>Elements of the matrix of scores.</summary>
    /// <exception cref="NotSupportedException">They are too many to be stored.</exception>
    private static int Scores(in AttentionGeometry g)
    {
        long count = (long)g.Batch * g.Heads * g.QueryLength * g.KeyLength;
        return count <= int.MaxValue ? (int)count : throw new NotSupportedException($"{AttentionLadder.Naive}: {count} scores are too many to store.");
    }
}
