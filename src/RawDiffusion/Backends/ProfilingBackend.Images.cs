namespace RawDiffusion.Backends;

// Products, convolutions, resampling and shaping.
public sealed partial class ProfilingBackend
{
    public override void MatMul(in MatMulGeometry g, Storage a, Storage b, Storage? bias, Storage c)
    {
        using var call = Begin(Describe(g), 2.0 * g.Batch * g.M * g.N * g.K, Bytes(a, b, bias, c));
        inner.MatMul(in g, a, b, bias, c);
    }

    public override void Conv2d(in Conv2dGeometry g, Storage x, Storage w, in ConvEpilogue epilogue, Storage y)
    {
        using var call = Begin(Describe(g), g.Flops, Bytes(x, w, epilogue.Bias, epilogue.SampleBias, epilogue.Residual, epilogue.Sums, y));
        inner.Conv2d(in g, x, w, in epilogue, y);
    }

    public override void Conv2dGradInput(in Conv2dGeometry g, Storage gy, Storage w, Storage gx)
    {
        using var call = Begin(Describe(g), g.Flops, Bytes(gy, w, gx));
        inner.Conv2dGradInput(in g, gy, w, gx);
    }

    public override void Conv2dGradWeight(in Conv2dGeometry g, Storage x, Storage gy, Storage gw)
    {
        using var call = Begin(Describe(g), g.Flops, Bytes(x, gy, gw));
        inner.Conv2dGradWeight(in g, x, gy, gw);
    }

    public override void UpsampleNearest(in ResampleGeometry g, Storage x, Storage y)
    {
        using var call = Begin(Describe(g), 0, Bytes(x, y));
        inner.UpsampleNearest(in g, x, y);
    }

    public override void PoolSum(in ResampleGeometry g, double scale, Storage x, Storage y)
    {
        using var call = Begin(Describe(g), 0, Bytes(x, y));
        inner.PoolSum(in g, scale, x, y);
    }

    public override void PoolSumGrad(in ResampleGeometry g, double scale, Storage gy, Storage gx)
    {
        using var call = Begin(Describe(g), 0, Bytes(gy, gx));
        inner.PoolSumGrad(in g, scale, gy, gx);
    }

    public override void Permute(Shape shape, ReadOnlySpan<int> axes, Storage x, Storage y)
    {
        using var call = Begin($"{shape} to ({string.Join(", ", axes.ToArray())})", 0, Bytes(x, y));
        inner.Permute(shape, axes, x, y);
    }

    public override void CopyRegion(
        Shape sourceShape, ReadOnlySpan<int> sourceStart, Storage x,
        Shape destinationShape, ReadOnlySpan<int> destinationStart, Storage y, Shape extent)
    {
        using var call = Begin($"{extent}", 0, 2.0 * extent.Count * sizeof(float));
        inner.CopyRegion(sourceShape, sourceStart, x, destinationShape, destinationStart, y, extent);
    }

    public override void Join(int rows, int left, int right, Storage a, Storage b, Storage y)
    {
        using var call = Begin($"{rows} x ({left} and {right})", 0, Bytes(a, b, y));
        inner.Join(rows, left, right, a, b, y);
    }

    public override void Split(int rows, int left, int right, Storage y, Storage a, Storage b)
    {
        using var call = Begin($"{rows} x ({left} and {right})", 0, Bytes(y, a, b));
        inner.Split(rows, left, right, y, a, b);
    }

    private static string Describe(in MatMulGeometry g) =>
        $"{(g.Batch == 1 ? "" : $"{g.Batch} x ")}{g.M} x {g.N} x {g.K}{(g.TransposeA ? ", A transposed" : "")}{(g.TransposeB ? ", B transposed" : "")}";

    private static string Describe(in Conv2dGeometry g) =>
        $"{g.Batch}x{g.Height}x{g.Width}, {g.InChannels} -> {g.OutChannels}, {g.KernelHeight}x{g.KernelWidth}{(g.StrideHeight == 1 ? "" : $", stride {g.StrideHeight}")}";

    private static string Describe(in ResampleGeometry g) => $"{g.Batch}x{g.Height}x{g.Width}x{g.Channels} by {g.FactorHeight}x{g.FactorWidth}";
}
