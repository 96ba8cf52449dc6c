using System.Numerics;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    private const int WarpSize = 32;

    /// <summary>Threads of the largest block that normalizes a group.</summary>
    private const int GroupNormThreads = 256;

    /// <summary>Parts that the gradients of a layer norm's weight and bias are summed in at most, and rows that a part has at least.</summary>
    private const int LayerNormParts = 64, LayerNormRows = 64;

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
            int rows = Math.Min(BlockSize / columns, PowerOfTwo(g.Spatial));
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

    public override void LayerNorm(in LayerNormGeometry g, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd)
    {
        if (g.Rows > 0)
            LayerNormKernel("forward").LaunchWith(g, WarpGrid(g.Rows), WarpBlock, 0, P(x), P(gamma), P(beta), P(y), P(mean), P(rstd));
    }

    public override void LayerNormGrad(
        in LayerNormGeometry g, Storage x, Storage gamma, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta)
    {
        if (g.Columns == 0)
            return;
        if (g.Rows > 0)
            LayerNormKernel("grad_input").LaunchWith(g, WarpGrid(g.Rows), WarpBlock, 0, P(x), P(gamma), P(mean), P(rstd), P(gy), P(gx));
        int parts = Math.Clamp(g.Rows / LayerNormRows, 1, LayerNormParts), count = checked(parts * g.Columns);
        var partial = Allocate(DType.Float32, checked(2 * count));
        LayerNormKernel("grad_parts").LaunchWith(
            g, (CeilDiv(g.Columns, WarpSize), parts), (WarpSize, 8), 0, CeilDiv(g.Rows, parts), P(x), P(mean), P(rstd), P(gy), P(partial));
        Reduce(ReduceOp.Sum, new ReduceGeometry(1, parts, g.Columns), partial.Slice(0, count), gBeta);
        Reduce(ReduceOp.Sum, new ReduceGeometry(1, parts, g.Columns), partial.Slice(count, count), gGamma);
        Release(partial);
    }

    /// <summary>Threads of a block of kernels that have a warp for each row.</summary>
    private const int WarpBlock = 128;

    private static int WarpGrid(int rows) => CeilDiv(rows, WarpBlock / WarpSize);

    /// <summary>Threads for a group: whole warps, and no more of them than the group has values for.</summary>
    private static int GroupNormBlock(in GroupNormGeometry g) =>
        Math.Clamp(CeilDiv(g.Spatial * (g.Channels / g.Groups), WarpSize) * WarpSize, WarpSize, GroupNormThreads);

    /// <summary>The smallest power of two that is not less.</summary>
    private static int PowerOfTwo(int x) => x > BlockSize ? BlockSize : (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(1, x));

    private CudaKernel GroupNormKernel(bool silu, string what) => _kernels.Kernel("groupnorm.cu", $"groupnorm_{(silu ? "silu_" : "")}{what}_f32");

    private CudaKernel LayerNormKernel(string what) => _kernels.Kernel("layernorm.cu", $"layernorm_{what}_f32");
}
