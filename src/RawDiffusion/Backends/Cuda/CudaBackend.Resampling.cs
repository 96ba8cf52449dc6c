using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    private static readonly PackedSlots s_upsampleNearest = new("resampling.cu", "resampling_upsample_nearest");
    private static readonly PackedSlots s_poolSum = new("resampling.cu", "resampling_pool_sum");
    private static readonly PackedSlots s_poolSumGrad = new("resampling.cu", "resampling_pool_sum_grad");

    /// <summary>A kernel for single elements and one for the 16 bytes that a thread reads or writes at a time.</summary>
    private sealed class PackedSlots(string file, string name)
    {
        private readonly KernelSlot _single = new(file, name), _packed = new(file, $"{name}_packed");

        public KernelSlot this[bool packed] => packed ? _packed : _single;
    }

    public override void UpsampleNearest(in ResampleGeometry g, Storage x, Storage y)
    {
        // The kernels know the large image.
        var large = g with { Height = g.Height * g.FactorHeight, Width = g.Width * g.FactorWidth };
        bool packed = IsPackedAlong(g.Channels, x, y);
        LaunchElementsWith(_kernels[s_upsampleNearest[packed], y.DType], large, Threads(packed, x), x.Length, P(x), P(y));
    }

    public override void PoolSum(in ResampleGeometry g, double scale, Storage x, Storage y)
    {
        bool packed = IsPackedAlong(g.Channels, x, y);
        LaunchElementsWith(_kernels[s_poolSum[packed], y.DType], g, Threads(packed, y), y.Length, (float)scale, P(x), P(y));
    }

    public override void PoolSumGrad(in ResampleGeometry g, double scale, Storage gy, Storage gx)
    {
        bool packed = IsPackedAlong(g.Channels, gy, gx);
        // Windows that the border cuts count too: they are set to 0.
        int count = g.Batch * CeilDiv(g.Height, g.FactorHeight) * CeilDiv(g.Width, g.FactorWidth) * g.Channels;
        LaunchElementsWith(
            _kernels[s_poolSumGrad[packed], gx.DType], g, packed ? count / PackSize(gx.DType) : count, count, (float)scale, P(gy), P(gx));
    }

    /// <summary>Whether the last axis of both arrays has whole 16 bytes at 16-byte addresses.</summary>
    private static bool IsPackedAlong(int extent, Storage x, Storage y) => extent % PackSize(y.DType) == 0 && IsPacked(P(x)) && IsPacked(P(y));

    private static int Threads(bool packed, Storage small) => packed ? small.Length / PackSize(small.DType) : small.Length;
}
