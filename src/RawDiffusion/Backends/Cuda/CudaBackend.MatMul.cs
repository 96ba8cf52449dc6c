namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    public override void MatMul(in MatMulGeometry g, Storage a, Storage b, Storage? bias, Storage c)
    {
        var tile = ProductTile.For(g.M, g.N);
        string layout = $"{(g.TransposeA ? 't' : 'n')}{(g.TransposeB ? 't' : 'n')}";
        LaunchProduct("matmul.cu", $"matmul_{layout}_{tile}_f32", g, tile, g.Batch, g.M, g.N, P(a), P(b), PointerOrNull(bias), P(c));
    }
}
