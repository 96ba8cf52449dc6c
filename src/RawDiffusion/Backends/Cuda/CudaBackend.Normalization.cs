using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    private static readonly KernelSlot s_groupNorm = new("groupnorm.cu", "groupnorm_whole_forward");
    private static readonly KernelSlot s_groupNormGrad = new("groupnorm.cu", "groupnorm_whole_grad");
    private static readonly KernelSlot s_groupNormMoments = new("groupnorm.cu", "groupnorm_split_moments");
    private static readonly KernelSlot s_groupNormJoin = new("groupnorm.cu", "groupnorm_split_join");
    private static readonly KernelSlot s_groupNormApply = new("groupnorm.cu", "groupnorm_split_apply");
    private static readonly KernelSlot s_groupNormGradSums = new("groupnorm.cu", "groupnorm_split_grad_sums");
    private static readonly KernelSlot s_groupNormGradMeans = new("groupnorm.cu", "groupnorm_split_grad_means");
    private static readonly KernelSlot s_groupNormGradApply = new("groupnorm.cu", "groupnorm_split_grad_apply");
    private static readonly KernelSlot s_groupNormNaive = new("groupnorm_naive.cu", "groupnorm_naive_forward");
    private static readonly KernelSlot s_groupNormNaiveGradSums = new("groupnorm_naive.cu", "groupnorm_naive_grad_sums");
    private static readonly KernelSlot s_groupNormNaiveGradInput = new("groupnorm_naive.cu", "groupnorm_naive_grad_input");

    /// <summary>Packs of 16 bytes that a thread of a group norm holds of x, and in the gradient of x and of gy; <c>groupnorm.cu</c> says the same.</summary>
    private const int GroupNormPacks = 8, GroupNormGradPacks = 4;

    /// <summary>Threads of the largest block of the naive group norm.</summary>
    private const int GroupNormThreads = 256;

    public override void GroupNorm(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd)
    {
        if (mean.Length == 0)
            return;
        var way = GroupNormWayFor(g, silu, x.DType, GroupNormPacks, IsPacked(x) && IsPacked(y), out var slabs);
        int withSilu = silu ? 1 : 0;
        switch (way)
        {
            case GroupNormWay.Naive:
                _kernels[s_groupNormNaive, x.DType].LaunchWith(
                    g, mean.Length, GroupNormBlock(g), 0, withSilu, P(x), P(gamma), P(beta), P(y), P(mean), P(rstd));
                break;
            case GroupNormWay.OnePass:
                _kernels[s_groupNorm, x.DType].LaunchWith(
                    g, slabs.Grid, slabs.Block, 0, withSilu, P(x), P(gamma), P(beta), P(y), P(mean), P(rstd));
                break;
            default:
                using (var moments = Scratch(2L * mean.Length * slabs.Parts))
                {
                    _kernels[s_groupNormMoments, x.DType].LaunchWith(g, slabs.Grid, slabs.Block, 0, P(x), moments.Pointer);
                    _kernels[s_groupNormJoin].LaunchWith(
                        g, WarpGrid(mean.Length), WarpBlock, 0, slabs.Parts, moments.Pointer, P(mean), P(rstd));
                    _kernels[s_groupNormApply, x.DType].LaunchWith(
                        g, slabs.Grid, slabs.Block, 0, withSilu, P(x), P(gamma), P(beta), P(mean), P(rstd), P(y));
                }
                break;
        }
    }

    public override void GroupNormGrad(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta)
    {
        if (g.Channels == 0)
            return;
        int count = checked(g.Batch * g.Channels);
        using var sums = Scratch(2L * count);
        if (count > 0)
            GroupNormGradients(g, silu, x, gamma, beta, mean, rstd, gy, sums.Pointer, gx);
        SumTwo(g.Batch, g.Channels, sums.Pointer, gBeta, gGamma);
    }

    /// <summary>gx, and sums[0 and 1][Batch, Channels] as <c>groupnorm.cu</c> defines them.</summary>
    private void GroupNormGradients(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage mean, Storage rstd, Storage gy,
        DevicePointer sums, Storage gx)
    {
        var way = GroupNormWayFor(g, silu, x.DType, GroupNormGradPacks, IsPacked(x) && IsPacked(gy) && IsPacked(gx), out var slabs);
        int withSilu = silu ? 1 : 0;
        switch (way)
        {
            case GroupNormWay.Naive:
                int columns = Math.Min(WarpSize, PowerOfTwo(g.Channels));
                int rows = Math.Min(BlockSize / columns, PowerOfTwo(Math.Min(g.Spatial, BlockSize)));
                _kernels[s_groupNormNaiveGradSums, x.DType].LaunchWith(
                    g, checked(g.Batch * CeilDiv(g.Channels, columns)), (columns, rows), 0,
                    withSilu, P(x), P(gamma), P(beta), P(mean), P(rstd), P(gy), sums);
                if (g.Spatial > 0)
                {
                    _kernels[s_groupNormNaiveGradInput, x.DType].LaunchWith(
                        g, mean.Length, GroupNormBlock(g), 0, withSilu, P(x), P(gamma), P(beta), P(mean), P(rstd), P(gy), sums, P(gx));
                }
                break;
            case GroupNormWay.OnePass:
                _kernels[s_groupNormGrad, x.DType].LaunchWith(
                    g, slabs.Grid, slabs.Block, 0, withSilu, P(x), P(gamma), P(beta), P(mean), P(rstd), P(gy), sums, P(gx));
                break;
            default:
                var parts = new ReduceGeometry(2 * g.Batch, slabs.Parts, g.Channels);
                using (var partial = Scratch(2L * g.Batch * slabs.Parts * g.Channels))
                using (var means = Scratch(2L * mean.Length))
                {
                    _kernels[s_groupNormGradSums, x.DType].LaunchWith(
                        g, slabs.Grid, slabs.Block, 0, withSilu, P(x), P(gamma), P(beta), P(mean), P(rstd), P(gy), partial.Pointer);
                    Reduce(ReduceOp.Sum, parts, ReduceCut.Whole(parts, DType.Float32), partial.Pointer, DType.Float32, sums, DType.Float32);
                    _kernels[s_groupNormGradMeans].LaunchWith(g, WarpGrid(mean.Length), WarpBlock, 0, P(gamma), sums, means.Pointer);
                    _kernels[s_groupNormGradApply, x.DType].LaunchWith(
                        g, slabs.Grid, slabs.Block, 0, withSilu, P(x), P(gamma), P(beta), P(mean), P(rstd), P(gy), means.Pointer, P(gx));
                }
                break;
        }
    }

    /// <summary>The rung that was asked for, or the best one that can.</summary>
    /// <exception cref="NotSupportedException">The one that was asked for cannot.</exception>
    private GroupNormWay GroupNormWayFor(in GroupNormGeometry g, bool silu, DType type, int packs, bool isPacked, out GroupNormSlabs slabs)
    {
        var ladder = silu ? NormLadders.GroupNormSilu : NormLadders.GroupNorm;
        var asked = Chosen(ladder);
        GroupNormWay? only = asked is null ? null : NormLadders.WayOf(ladder, asked);
        slabs = default;
        if (isPacked && (only ?? GroupNormWay.OnePass) == GroupNormWay.OnePass && GroupNormSlabs.Whole(g, type, packs) is { } whole)
        {
            slabs = whole;
            return GroupNormWay.OnePass;
        }
        if (isPacked && (only ?? GroupNormWay.Split) == GroupNormWay.Split && GroupNormSlabs.Split(g, type, packs) is { } split)
        {
            slabs = split;
            return GroupNormWay.Split;
        }
        if (asked is not null && only != GroupNormWay.Naive)
        {
            throw new NotSupportedException(
                $"{asked} does not do [{g.Batch}, {g.Spatial}, {g.Channels}] in {g.Groups} groups of {type.Name()}: "
                + (only == GroupNormWay.OnePass ? "a block's registers hold " : "a block takes ")
                + "whole groups in whole packs of 16 bytes, from a window that begins at one" + (only == GroupNormWay.OnePass ? ", for all pixels." : "."));
        }
        return GroupNormWay.Naive;
    }

    /// <summary>Whether packs of 16 bytes can be read from the storage's beginning on.</summary>
    private static bool IsPacked(Storage storage) => P(storage).Address % 16 == 0;

    /// <summary>Threads for a group: whole warps, and no more of them than the group has values for.</summary>
    private static int GroupNormBlock(in GroupNormGeometry g) =>
        Math.Clamp(CeilDiv(g.Spatial * (g.Channels / g.Groups), WarpSize) * WarpSize, WarpSize, GroupNormThreads);
}
