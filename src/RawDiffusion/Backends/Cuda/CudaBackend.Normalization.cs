using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    /// <summary>Threads of the largest block that normalizes a group.</summary>
    private const int GroupNormThreads = 256;

    public override void GroupNorm(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd)
    {
        if (mean.Length > 0)
            GroupNormKernel(silu, "forward").LaunchWith(g, mean.Length, GroupNormBlock(g), 0, P(x), P(gamma), P(beta), P(y), P(mean), P(rstd));
    }

    public override void GroupNormGrad(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta)
    {
        if (g.Channels == 0)
            return;
        int count = checked(g.Batch * g.Channels);
        var sums = Allocate(DType.Float32, checked(2 * count));
        if (count > 0)
        {
            int columns = Math.Min(WarpSize, PowerOfTwo(g.Channels));
            int rows = Math.Min(BlockSize / columns, PowerOfTwo(Math.Min(g.Spatial, BlockSize)));
            GroupNormKernel(silu, "grad_sums").LaunchWith(
                g, checked(g.Batch * CeilDiv(g.Channels, columns)), (columns, rows), 0, P(x), P(gamma), P(beta), P(mean), P(rstd), P(gy), P(sums));
            if (g.Spatial > 0)
            {
                GroupNormKernel(silu, "grad_input").LaunchWith(
                    g, mean.Length, GroupNormBlock(g), 0, P(x), P(gamma), P(beta), P(mean), P(rstd), P(gy), P(sums), P(gx));
            }
        }
        Reduce(ReduceOp.Sum, new ReduceGeometry(1, g.Batch, g.Channels), sums.Slice(0, count), gBeta);
        Reduce(ReduceOp.Sum, new ReduceGeometry(1, g.Batch, g.Channels), sums.Slice(count, count), gGamma);
        Release(sums);
    }

    /// <summary>Threads for a group: whole warps, and no more of them than the group has values for.</summary>
    private static int GroupNormBlock(in GroupNormGeometry g) =>
        Math.Clamp(CeilDiv(g.Spatial * (g.Channels / g.Groups), WarpSize) * WarpSize, WarpSize, GroupNormThreads);

    private CudaKernel GroupNormKernel(bool silu, string what) => _kernels.Kernel("groupnorm.cu", $"groupnorm_{(silu ? "silu_" : "")}{what}_f32");
}
