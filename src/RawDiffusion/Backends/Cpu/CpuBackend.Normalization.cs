namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <summary>A layer-norm piece in the gradient: few enough that their partial sums stay small, many enough for all cores.</summary>
    private const int LayerNormPieces = 64;

    /// <summary>Elements of a layer-norm piece in the forward pass.</summary>
    private const int LayerNormGrain = 8192;

    public override void GroupNorm(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd)
    {
        if (g.Batch == 0 || g.Channels == 0)
            return;
        if (g.Spatial == 0)
        {
            Fill(mean, 0);
            Fill(rstd, 1 / Math.Sqrt(g.Epsilon));
            return;
        }
        if (VectorBits == 512)
            GroupNormForward<Simd512>.Run(this, g, silu, F(x), F(gamma), F(beta), F(y), F(mean), F(rstd));
        else if (VectorBits == 256)
            GroupNormForward<Simd256>.Run(this, g, silu, F(x), F(gamma), F(beta), F(y), F(mean), F(rstd));
        else
            GroupNormForward<Simd128>.Run(this, g, silu, F(x), F(gamma), F(beta), F(y), F(mean), F(rstd));
    }

    public override void GroupNormGrad(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta)
    {
        if (g.Batch == 0 || g.Spatial == 0 || g.Channels == 0)
        {
            Fill(gGamma, 0);
            Fill(gBeta, 0);
            return;
        }
        if (VectorBits == 512)
            GroupNormBackward<Simd512>.Run(this, g, silu, F(x), F(gamma), F(beta), F(mean), F(rstd), F(gy), F(gx), F(gGamma), F(gBeta));
        else if (VectorBits == 256)
            GroupNormBackward<Simd256>.Run(this, g, silu, F(x), F(gamma), F(beta), F(mean), F(rstd), F(gy), F(gx), F(gGamma), F(gBeta));
        else
            GroupNormBackward<Simd128>.Run(this, g, silu, F(x), F(gamma), F(beta), F(mean), F(rstd), F(gy), F(gx), F(gGamma), F(gBeta));
    }

    public override void LayerNorm(in LayerNormGeometry g, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd)
    {
        if (g.Columns == 0)
        {
            Fill(mean, 0);
            Fill(rstd, 1 / Math.Sqrt(g.Epsilon));
            return;
        }
        int grain = Math.Max(1, LayerNormGrain / g.Columns);
        if (VectorBits == 512)
            Workers.ForRange(g.Rows, grain, new LayerNormForward<Simd512>(g, F(x), F(gamma), F(beta), F(y), F(mean), F(rstd)));
        else if (VectorBits == 256)
            Workers.ForRange(g.Rows, grain, new LayerNormForward<Simd256>(g, F(x), F(gamma), F(beta), F(y), F(mean), F(rstd)));
        else
            Workers.ForRange(g.Rows, grain, new LayerNormForward<Simd128>(g, F(x), F(gamma), F(beta), F(y), F(mean), F(rstd)));
    }

    public override void LayerNormGrad(
        in LayerNormGeometry g, Storage x, Storage gamma, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta)
    {
        if (g.Rows == 0 || g.Columns == 0)
        {
            Fill(gGamma, 0);
            Fill(gBeta, 0);
            return;
        }
        int pieceRows = Math.Max((g.Rows + LayerNormPieces - 1) / LayerNormPieces, Math.Max(1, LayerNormGrain / g.Columns));
        int pieces = (g.Rows + pieceRows - 1) / pieceRows;
        var affine = (CpuStorage)Allocate(DType.Float32, checked(2 * pieces * g.Columns));
        if (VectorBits == 512)
            Workers.For(pieces, new LayerNormBackward<Simd512>(g, pieceRows, F(x), F(gamma), F(mean), F(rstd), F(gy), F(gx), affine.Floats));
        else if (VectorBits == 256)
            Workers.For(pieces, new LayerNormBackward<Simd256>(g, pieceRows, F(x), F(gamma), F(mean), F(rstd), F(gy), F(gx), affine.Floats));
        else
            Workers.For(pieces, new LayerNormBackward<Simd128>(g, pieceRows, F(x), F(gamma), F(mean), F(rstd), F(gy), F(gx), affine.Floats));
        OrderedSum.Rows(affine.Floats, 2 * g.Columns, pieces, g.Columns, F(gGamma));
        OrderedSum.Rows(affine.Floats + g.Columns, 2 * g.Columns, pieces, g.Columns, F(gBeta));
        Release(affine);
    }
}
