using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    /// <summary>Pixels that a part of a gradient of a weight sums at least: fewer, and adding the parts up would cost more than making them.</summary>
    private const int GradWeightPixels = 256;

    private static readonly KernelSlot s_convForwardNaive = new("convolution.cu", "conv2d_forward_naive");
    private static readonly KernelSlot s_convGradInputNaive = new("convolution.cu", "conv2d_grad_input_naive");
    private static readonly KernelSlot s_convGradWeightNaive = new("convolution.cu", "conv2d_grad_weight_naive");

    public override void Conv2d(in Conv2dGeometry g, Storage x, Storage w, in ConvEpilogue epilogue, Storage y)
    {
        var rung = ConvolutionRung(ConvolutionLadders.Forward, x.DType);
        int rows = g.Batch * g.OutHeight * g.OutWidth, columns = g.OutChannels / g.Groups, silu = epilogue.Silu ? 1 : 0;
        var arguments = new ConvolutionArguments(g);
        if (rung.Name == ConvolutionLadders.Naive)
        {
            LaunchElementsWith(
                _kernels[s_convForwardNaive, x.DType], arguments, y.Length, P(x), P(w),
                PointerOrNull(epilogue.Bias), PointerOrNull(epilogue.SampleBias), PointerOrNull(epilogue.Residual), silu, PointerOrNull(epilogue.Sums), P(y));
            return;
        }
        var tile = TileOf(rung, g.InChannels / g.Groups, g.InChannels / g.Groups, x, w, g.Groups, rows, columns);
        long blocks = tile.Blocks(g.Groups, rows, columns);
        if (blocks > 0)
        {
            _kernels[tile.Forward, x.DType].LaunchWith(
                arguments, checked((int)blocks), tile.Threads, tile.SharedBytes(throughShared: true), P(x), P(w),
                PointerOrNull(epilogue.Bias), PointerOrNull(epilogue.SampleBias), PointerOrNull(epilogue.Residual), silu, PointerOrNull(epilogue.Sums), P(y));
        }
    }

    public override void Conv2dGradInput(in Conv2dGeometry g, Storage gy, Storage w, Storage gx)
    {
        var rung = ConvolutionRung(ConvolutionLadders.GradInput, gy.DType);
        var arguments = new ConvolutionArguments(g);
        if (rung.Name == ConvolutionLadders.Naive)
        {
            LaunchElementsWith(_kernels[s_convGradInputNaive, gy.DType], arguments, gx.Length, P(gy), P(w), P(gx));
            return;
        }
        int rows = g.Batch * CeilDiv(g.Height, g.StrideHeight) * CeilDiv(g.Width, g.StrideWidth), columns = g.InChannels / g.Groups;
        long products = (long)g.Groups * g.StrideHeight * g.StrideWidth;
        var tile = TileOf(rung, g.OutChannels / g.Groups, g.InChannels / g.Groups, gy, w, products, rows, columns);
        long blocks = tile.Blocks(products, rows, columns);
        if (blocks > 0)
            _kernels[tile.GradInput, gy.DType].LaunchWith(arguments, checked((int)blocks), tile.Threads, tile.SharedBytes(throughShared: true), P(gy), P(w), P(gx));
    }

    public override void Conv2dGradWeight(in Conv2dGeometry g, Storage x, Storage gy, Storage gw)
    {
        if (gw.Length == 0)
            return;
        var rung = ConvolutionRung(ConvolutionLadders.GradWeight, x.DType);
        var arguments = new ConvolutionArguments(g);
        if (rung.Name == ConvolutionLadders.Naive)
        {
            LaunchElementsWith(_kernels[s_convGradWeightNaive, x.DType], arguments, gw.Length, P(x), P(gy), P(gw));
            return;
        }
        int rows = g.KernelHeight * g.KernelWidth * (g.InChannels / g.Groups), columns = g.OutChannels / g.Groups;
        int pixels = g.Batch * g.OutHeight * g.OutWidth, mostParts = Math.Max(1, pixels / GradWeightPixels);
        // The number of parts follows from the shape alone, so that every device sums in the same order.
        var tile = TileOf(rung, g.InChannels / g.Groups, g.OutChannels / g.Groups, x, gy, (long)g.Groups * mostParts, rows, columns);
        int parts = (int)Math.Clamp(tile.WantedBlocks / tile.Blocks(g.Groups, rows, columns), 1, mostParts);
        var partial = parts == 1 ? gw : Allocate(DType.Float32, checked(parts * gw.Length));
        _kernels[tile.GradWeight, x.DType].LaunchWith(
            arguments, checked((int)tile.Blocks((long)g.Groups * parts, rows, columns)), tile.Threads, tile.SharedBytes(throughShared: false),
            CeilDiv(pixels, parts), P(x), P(gy), P(partial));
        if (parts == 1)
            return;
        Reduce(ReduceOp.Sum, new ReduceGeometry(1, parts, gw.Length), partial, gw);
        Release(partial);
    }

    /// <summary>The rung that computes a pass for activations of a type.</summary>
    /// <exception cref="NotSupportedException">The one that was asked for multiplies another type.</exception>
    private Rung ConvolutionRung(Ladder ladder, DType type)
    {
        if (Chosen(ladder) is { } chosen)
        {
            bool fits = chosen.Precision switch
            {
                Precision.BFloat16 => type == DType.BFloat16,
                Precision.Tf32 => type == DType.Float32,
                _ => true,
            };
            return fits ? chosen : throw new NotSupportedException($"{chosen} does not multiply {type.Name()}.");
        }
        bool tensorCores = Capability >= ladder.Rungs[^1].MinimumCapability && (type == DType.BFloat16 || AllowTf32);
        return ladder.Rungs[!tensorCores ? 1 : type == DType.BFloat16 ? 3 : 2];
    }

    /// <summary>The tile of a rung for two operands with runs of so many neighbours.</summary>
    private static ConvolutionTile TileOf(Rung rung, int runA, int runB, Storage a, Storage b, long products, int rows, int columns)
    {
        if (rung.Name == ConvolutionLadders.ImplicitGemm)
            return ConvolutionTile.Gemm(a.DType, columns);
        int chunk = 16 / a.DType.Size();
        bool whole = runA % chunk == 0 && runB % chunk == 0 && P(a).Address % 16 == 0 && P(b).Address % 16 == 0;
        return ConvolutionTile.Mma(whole, products, rows, columns);
    }
}
