namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    /// <summary>Blocks that a gradient of a weight is shared out to where its tiles are fewer: enough for the multiprocessors of any GPU.</summary>
    private const int GradWeightBlocks = 512;

    /// <summary>Pixels that a part of a gradient of a weight sums at least: fewer, and adding the parts up would cost more than making them.</summary>
    private const int GradWeightPixels = 256;

    public override void Conv2d(in Conv2dGeometry g, Storage x, Storage w, in ConvEpilogue epilogue, Storage y)
    {
        int rows = g.Batch * g.OutHeight * g.OutWidth, columns = g.OutChannels / g.Groups;
        var tile = ProductTile.For(rows, columns);
        LaunchProduct("convolution.cu", $"conv2d_forward_{tile}_f32", g, tile, g.Groups, rows, columns,
            P(x), P(w), PointerOrNull(epilogue.Bias), PointerOrNull(epilogue.SampleBias), PointerOrNull(epilogue.Residual), P(y));
    }

    public override void Conv2dGradInput(in Conv2dGeometry g, Storage gy, Storage w, Storage gx)
    {
        int rows = g.Batch * CeilDiv(g.Height, g.StrideHeight) * CeilDiv(g.Width, g.StrideWidth), columns = g.InChannels / g.Groups;
        var tile = ProductTile.For(rows, columns);
        LaunchProduct("convolution.cu", $"conv2d_grad_input_{tile}_f32", g, tile, (long)g.Groups * g.StrideHeight * g.StrideWidth, rows, columns,
            P(gy), P(w), P(gx));
    }

    public override void Conv2dGradWeight(in Conv2dGeometry g, Storage x, Storage gy, Storage gw)
    {
        int rows = g.OutChannels / g.Groups, columns = g.KernelHeight * g.KernelWidth * (g.InChannels / g.Groups);
        int pixels = g.Batch * g.OutHeight * g.OutWidth;
        if (gw.Length == 0)
            return;
        // The number of parts follows from the shape alone, so that every device sums in the same order.
        var tile = ProductTile.For(rows, columns);
        int parts = (int)Math.Max(1, Math.Min(GradWeightBlocks / tile.Blocks(g.Groups, rows, columns), pixels / GradWeightPixels));
        int pixelsPerPart = CeilDiv(pixels, parts);
        string name = $"conv2d_grad_weight_{tile}_f32";
        if (parts == 1)
        {
            LaunchProduct("convolution.cu", name, g, tile, g.Groups, rows, columns, pixelsPerPart, P(x), P(gy), P(gw));
            return;
        }
        var partial = Allocate(DType.Float32, checked(parts * gw.Length));
        LaunchProduct("convolution.cu", name, g, tile, (long)g.Groups * parts, rows, columns, pixelsPerPart, P(x), P(gy), P(partial));
        Reduce(ReduceOp.Sum, new ReduceGeometry(1, parts, gw.Length), partial, gw);
        Release(partial);
    }
}
