namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    private static readonly KernelSlot s_layerNorm = new("layernorm.cu", "layernorm_forward");
    private static readonly KernelSlot s_layerNormGrad = new("layernorm.cu", "layernorm_grad");
    private static readonly KernelSlot s_layerNormGradInput = new("layernorm.cu", "layernorm_grad_input");
    private static readonly KernelSlot s_layerNormGradParts = new("layernorm.cu", "layernorm_grad_parts");

    /// <summary>
    /// Threads that have sums of their own for the gradients of a layer norm's weight and bias, at most: 500 for each multiprocessor of a
    /// large GPU. It decides how sums are cut, so it does not depend on the device.
    /// </summary>
    private const int LayerNormSums = 1 << 16;

    public override void LayerNorm(in LayerNormGeometry g, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd)
    {
        if (g.Rows == 0)
            return;
        var block = RowBlock(g.Columns, x.DType);
        _kernels[s_layerNorm, x.DType].LaunchWith(g, CeilDiv(g.Rows, block.Y), block, 0, P(x), P(gamma), P(beta), P(y), P(mean), P(rstd));
    }

    public override void LayerNormGrad(
        in LayerNormGeometry g, Storage x, Storage gamma, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta)
    {
        if (g.Columns == 0)
            return;
        var block = RowBlock(g.Columns, x.DType);
        int parts = Math.Clamp(CeilDiv(g.Rows, block.Y), 1, LayerNormSums / (int)block.Count), count = checked(parts * g.Columns);
        using var partial = Scratch(2L * count);
        if (g.Columns <= LongestHeldRow)
        {
            _kernels[s_layerNormGrad, x.DType].LaunchWith(
                g, parts, block, 0, P(x), P(gamma), P(mean), P(rstd), P(gy), P(gx), partial.Pointer);
        }
        else
        {
            if (g.Rows > 0)
                _kernels[s_layerNormGradInput, x.DType].LaunchWith(g, g.Rows, block, 0, P(x), P(gamma), P(mean), P(rstd), P(gy), P(gx));
            _kernels[s_layerNormGradParts, x.DType].LaunchWith(
                g, (CeilDiv(g.Columns, WarpSize), parts), (WarpSize, 8), 0,
                CeilDiv(g.Rows, parts), P(x), P(mean), P(rstd), P(gy), partial.Pointer);
        }
        SumTwo(parts, g.Columns, partial.Pointer, gBeta, gGamma);
    }
}
