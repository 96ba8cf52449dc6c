using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    /// <summary>Queries (or keys) of a block, and the threads of it.</summary>
    private const int AttentionTile = 32, AttentionThreads = 256;

    public override void Attention(in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp)
    {
        if (y.Length > 0)
            LaunchAttention("forward", g, g.QueryLength, P(q), P(k), P(v), P(y), P(logSumExp));
    }

    public override void AttentionGrad(
        in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp, Storage gy,
        Storage gq, Storage gk, Storage gv)
    {
        var delta = Allocate(DType.Float32, logSumExp.Length);
        if (y.Length > 0)
        {
            int rows = logSumExp.Length;
            _kernels.Kernel("attention.cu", "attention_grad_delta_f32").LaunchWith(g, WarpGrid(rows), WarpBlock, 0, P(y), P(gy), P(delta));
            LaunchAttention("grad_query", g, g.QueryLength, P(q), P(k), P(v), P(logSumExp), P(delta), P(gy), P(gq));
        }
        if (gk.Length > 0)
            LaunchAttention("grad_key_value", g, g.KeyLength, P(q), P(k), P(v), P(logSumExp), P(delta), P(gy), P(gk), P(gv));
        Release(delta);
    }

    /// <summary>Queues a kernel that writes rows of <paramref name="length"/> queries or keys for every sample and head.</summary>
    private void LaunchAttention(string what, in AttentionGeometry g, int length, params ReadOnlySpan<KernelArg> rest)
    {
        int columns = g.HeadDim <= 32 ? 32 : g.HeadDim <= 64 ? 64 : 128;
        int blocks = checked(g.Batch * g.Heads * CeilDiv(length, AttentionTile));
        _kernels.Kernel("attention.cu", $"attention_{what}_{columns}_f32")
            .LaunchWith(g, (blocks, CeilDiv(g.HeadDim, columns)), AttentionThreads, 0, rest);
    }
}
