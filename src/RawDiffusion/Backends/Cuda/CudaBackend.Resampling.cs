namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    public override void UpsampleNearest(in ResampleGeometry g, Storage x, Storage y) =>
        LaunchElementsWith(_kernels.Kernel("resampling.cu", "resampling_upsample_nearest_f32"), g, y.Length, y.Length, P(x), P(y));

    public override void PoolSum(in ResampleGeometry g, double scale, Storage x, Storage y) =>
        LaunchElementsWith(_kernels.Kernel("resampling.cu", "resampling_pool_sum_f32"), g, y.Length, y.Length, (float)scale, P(x), P(y));

    public override void PoolSumGrad(in ResampleGeometry g, double scale, Storage gy, Storage gx) =>
        LaunchElementsWith(_kernels.Kernel("resampling.cu", "resampling_pool_sum_grad_f32"), g, gx.Length, gx.Length, (float)scale, P(gy), P(gx));
}
