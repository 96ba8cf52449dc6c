namespace RawDiffusion.Verification.Rows;

internal static class ConvolutionRows
{
    private static readonly int[] s_channels = [1, 2, 3, 5, 8, 16, 17];

    public static IEnumerable<OperationCase> Cases()
    {
        // Every pair of small channel counts: the first and last layers of networks, and tails of vectors.
        foreach (int cin in s_channels)
        {
            foreach (int cout in s_channels)
                yield return Case(1, 4, 5, cin, cout, 3, 3, new() { Padding = 1 });
        }

        // Kernel, stride and padding in all combinations that fit a 6 x 7 image.
        foreach (int kernel in new[] { 1, 2, 3, 4, 5 })
        {
            for (int stride = 1; stride <= 3; stride++)
            {
                for (int padding = 0; padding <= 2; padding++)
                    yield return Case(2, 6, 7, 3, 4, kernel, kernel, new() { Stride = stride, Padding = padding });
            }
        }

        // Both axes differ.
        foreach (var (kernelHeight, kernelWidth) in new[] { (1, 3), (3, 1), (2, 5), (1, 7) })
        {
            foreach (var (strideHeight, strideWidth) in new[] { (1, 1), (1, 2), (3, 1), (2, 3) })
            {
                yield return Case(1, 5, 7, 2, 3, kernelHeight, kernelWidth, new() { StrideHeight = strideHeight, StrideWidth = strideWidth });
                yield return Case(2, 5, 7, 4, 2, kernelHeight, kernelWidth, new()
                {
                    StrideHeight = strideHeight,
                    StrideWidth = strideWidth,
                    PadTop = 2,
                    PadLeft = 1,
                    PadRight = 3,
                });
            }
        }

        // Each side padded alone: (0, 1, 0, 1) is what diffusers' downsampling does.
        for (int side = 0; side < 4; side++)
        {
            foreach (int stride in new[] { 1, 2 })
            {
                yield return Case(1, 4, 4, 3, 2, 3, 3, new()
                {
                    Stride = stride,
                    PadTop = side == 0 ? 2 : 0,
                    PadBottom = side == 1 ? 2 : 0,
                    PadLeft = side == 2 ? 2 : 0,
                    PadRight = side == 3 ? 2 : 0,
                });
            }
        }
        yield return Case(2, 6, 6, 4, 4, 3, 3, new() { Stride = 2, PadBottom = 1, PadRight = 1 });

        // Groups, up to depthwise and with a channel multiplier.
        foreach (var (cin, cout, groups) in new[] { (4, 4, 2), (4, 4, 4), (3, 6, 3), (6, 3, 3), (8, 4, 2), (6, 9, 3), (17, 17, 17), (32, 34, 2) })
        {
            yield return Case(1, 4, 3, cin, cout, 3, 3, new() { Padding = 1, Groups = groups });
            yield return Case(2, 5, 4, cin, cout, 2, 2, new() { Stride = 2, Groups = groups });
            yield return Case(1, 3, 3, cin, cout, 1, 1, new() { Groups = groups });
        }

        // 1 x 1 kernels are matrix products over pixels; with a stride they are not.
        foreach (var (cin, cout) in new[] { (1, 1), (3, 16), (16, 3), (31, 7), (32, 8), (33, 5), (7, 31), (8, 32), (5, 33) })
        {
            yield return Case(2, 3, 3, cin, cout, 1, 1, new());
            yield return Case(1, 4, 5, cin, cout, 1, 1, new() { Stride = 2 });
        }

        // Widths around the number of pixels a kernel does at once.
        for (int width = 1; width <= 13; width++)
        {
            yield return Case(1, 1, width, 2, 3, 3, 3, new() { Padding = 1 });
            yield return Case(1, 2, width, 3, 2, 2, 2, new() { Padding = 1, Stride = 2 });
        }

        // Kernels larger than the image, and outputs that read nothing but padding.
        yield return Case(1, 2, 2, 2, 3, 5, 5, new() { Padding = 2 });
        yield return Case(2, 1, 1, 3, 2, 3, 3, new() { Padding = 1 });
        yield return Case(1, 1, 2, 2, 2, 7, 7, new() { Padding = 3 });
        yield return Case(1, 2, 2, 2, 2, 1, 1, new() { Padding = 2 });
        yield return Case(1, 2, 3, 2, 2, 2, 2, new() { Padding = 3, Stride = 2 });
        yield return Case(1, 3, 3, 1, 1, 1, 1, new() { Stride = 5 });

        // Everything that is added in the same pass, together and each alone, for every kernel there is: whole and broken panels of
        // channels, few channels out, few channels in, groups, a stride, a matrix product; pixels of two samples in one tile.
        foreach (var addends in new[] { Addends.SampleBias, Addends.Residual, Addends.SampleBias | Addends.Residual, Addends.Bias | Addends.SampleBias, Addends.Bias | Addends.Residual, Addends.All })
        {
            yield return Case(3, 5, 5, 6, 32, 3, 3, new() { Padding = 1 }, addends);
            yield return Case(3, 5, 3, 16, 7, 3, 3, new() { Padding = 1 }, addends);
            yield return Case(2, 3, 5, 16, 3, 3, 3, new() { Padding = 1 }, addends);
            yield return Case(2, 5, 5, 1, 34, 3, 3, new() { Padding = 1 }, addends);
            yield return Case(2, 5, 5, 4, 6, 3, 3, new() { Stride = 2, Padding = 1, Groups = 2 }, addends);
            yield return Case(3, 3, 5, 17, 33, 1, 1, new(), addends);
            yield return Case(5, 9, 7, 33, 34, 3, 3, new() { Padding = 1 }, addends);
        }
        yield return Case(0, 4, 4, 3, 2, 3, 3, new() { Padding = 1 }, Addends.All | Addends.Silu);

        // SiLU of all that: in whole vectors and their tails, with few outputs, groups, a 1 x 1 kernel and Winograd's tiles.
        foreach (var addends in new[] { Addends.Silu, Addends.All | Addends.Silu })
        {
            yield return Case(3, 5, 5, 6, 32, 3, 3, new() { Padding = 1 }, addends);
            yield return Case(2, 3, 5, 16, 3, 3, 3, new() { Padding = 1 }, addends);
            yield return Case(2, 5, 5, 1, 34, 3, 3, new() { Padding = 1 }, addends);
            yield return Case(2, 5, 5, 4, 6, 3, 3, new() { Stride = 2, Padding = 1, Groups = 2 }, addends);
            yield return Case(3, 3, 5, 17, 33, 1, 1, new(), addends);
            yield return Case(5, 9, 7, 33, 34, 3, 3, new() { Padding = 1 }, addends);
        }
        yield return Case(4, 8, 8, 32, 64, 3, 3, new() { Padding = 1 }, Addends.Bias | Addends.Silu);

        // Channels and pixels enough for Winograd's tiles of 4 x 4: whole tiles and broken ones, every kind of padding, tiles that
        // see nothing but padding, and sums of more channels than are taken at once.
        foreach (var (height, width) in new[] { (4, 4), (3, 5), (6, 9), (7, 8), (12, 3), (1, 16) })
            yield return Case(12, height, width, 16, 32, 3, 3, new() { Padding = 1 });
        yield return Case(9, 6, 6, 32, 16, 3, 3, new());
        yield return Case(6, 5, 6, 16, 17, 3, 3, new() { PadTop = 2, PadRight = 1 });
        yield return Case(6, 6, 5, 18, 16, 3, 3, new() { PadBottom = 2, PadLeft = 3 });
        yield return Case(4, 2, 3, 16, 20, 3, 3, new() { Padding = 7 });
        yield return Case(3, 11, 9, 200, 16, 3, 3, new() { Padding = 1 });
        yield return Case(3, 11, 9, 16, 200, 3, 3, new() { Padding = 1 });
        yield return Case(4, 9, 9, 16, 32, 6, 6, new() { Padding = 2, Stride = 2 });

        // Nothing at all.
        yield return Case(0, 4, 4, 3, 2, 3, 3, new() { Padding = 1 });
        yield return Case(0, 5, 5, 16, 16, 1, 1, new());
        yield return Case(2, 0, 3, 2, 2, 3, 3, new() { Padding = 2 });

        // Large enough for blocks, several threads and sums in several parts.
        yield return Case(3, 9, 11, 31, 33, 3, 3, new() { Padding = 1 });
        yield return Case(5, 8, 8, 32, 32, 3, 3, new() { Padding = 1 });
        yield return Case(2, 14, 13, 33, 48, 3, 3, new() { Stride = 2, Padding = 1 });
        yield return Case(4, 28, 28, 1, 16, 3, 3, new() { Padding = 1 });
        yield return Case(4, 28, 28, 16, 1, 3, 3, new() { Padding = 1 });
        yield return Case(9, 28, 28, 3, 8, 5, 5, new() { Stride = 2, Padding = 2 });
        yield return Case(33, 7, 7, 17, 31, 3, 3, new() { Padding = 1 });
        yield return Case(3, 16, 16, 64, 24, 1, 1, new());
        yield return Case(1, 5, 5, 128, 130, 3, 3, new() { Padding = 1 });
        yield return Case(1, 4, 4, 260, 40, 3, 3, new() { Padding = 1 });
    }

    /// <summary>What becomes of the sums of a convolution.</summary>
    [Flags]
    private enum Addends
    {
        None = 0,
        Bias = 1,
        SampleBias = 2,
        Residual = 4,
        All = Bias | SampleBias | Residual,
        Silu = 8,
    }

    private static OperationCase Case(
        int batch, int height, int width, int inChannels, int outChannels, int kernelHeight, int kernelWidth, Conv2dOptions options,
        Addends? addends = null)
    {
        int inGroup = inChannels / options.Groups;
        int outHeight = (height + options.PadTop + options.PadBottom - kernelHeight) / options.StrideHeight + 1;
        int outWidth = (width + options.PadLeft + options.PadRight - kernelWidth) / options.StrideWidth + 1;
        int taps = kernelHeight * kernelWidth;
        // Unless something else is asked for, every other shape has a bias, so that both ways are seen with all sizes.
        bool even = (height + width + inChannels + outChannels + kernelHeight + options.StrideWidth) % 2 == 0;
        var added = addends ?? (even ? Addends.Bias : Addends.None);
        bool silu = added.HasFlag(Addends.Silu);
        // What SiLU is taken of is of size 1, as it is behind the initial weights of a layer: where its slope changes. Sums of size sqrt(terms)
        // would bring errors as large, which the gradient, a product of that slope and nothing summed, cannot hide.
        double bound = 1 / Math.Sqrt(taps * inGroup);
        var weight = silu
            ? InputSpec.Uniform(-bound, bound, outChannels, kernelHeight, kernelWidth, inGroup)
            : InputSpec.Normal(outChannels, kernelHeight, kernelWidth, inGroup);
        List<InputSpec> inputs = [InputSpec.Normal(batch, height, width, inChannels), weight.Parameter()];
        int Position(Addends addend, params ReadOnlySpan<int> shape)
        {
            if (!added.HasFlag(addend))
                return -1;
            inputs.Add(InputSpec.Normal(shape) with { IsParameter = addend == Addends.Bias });
            return inputs.Count - 1;
        }
        int bias = Position(Addends.Bias, outChannels);
        int sampleBias = Position(Addends.SampleBias, batch, outChannels);
        int residual = Position(Addends.Residual, batch, outHeight, outWidth, outChannels);
        return new OperationCase
        {
            Operation = "conv2d",
            Description =
                $"[{batch},{height},{width},{inChannels}] -> {outChannels}, k{kernelHeight}x{kernelWidth} s{options.StrideHeight}x{options.StrideWidth}"
                + $" p{options.PadTop},{options.PadBottom},{options.PadLeft},{options.PadRight}"
                + (options.Groups > 1 ? $" g{options.Groups}" : "") + (bias < 0 ? "" : " bias")
                + (sampleBias < 0 ? "" : " sampleBias") + (residual < 0 ? "" : " residual") + (silu ? " silu" : ""),
            Inputs = [.. inputs],
            Run = t => F.Conv2d(
                t[0], t[1], bias < 0 ? null : t[bias], options, sampleBias < 0 ? null : t[sampleBias], residual < 0 ? null : t[residual], silu),
            ReductionLength = taps * inGroup + inputs.Count - 2,
            GradientReductionLength = Math.Max(1, Math.Max(batch * outHeight * outWidth, taps * (outChannels / options.Groups))),
            SecondOrder = true,
        };
    }
}
