namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    // All three visit every product of the convolution,
    //     y[n, oh, ow, co] += x[n, oh * stride - padTop + kh, ow * stride - padLeft + kw, ci] * w[co, kh, kw, ci],
    // and add it to whichever of the three is sought. Pixels outside the image are zeros and are skipped.

    public override void Conv2d(in Conv2dGeometry g, Storage x, Storage w, in ConvEpilogue epilogue, Storage y)
    {
        Span<double> xs = D(x), ws = D(w), ys = D(y);
        var (bias, sampleBias, residual, silu, sums) = epilogue;
        int sample = g.OutHeight * g.OutWidth * g.OutChannels;
        for (int i = 0; i < ys.Length; i++)
        {
            int channel = i % g.OutChannels;
            ys[i] = bias is null ? 0 : D(bias)[channel];
            ys[i] += sampleBias is null ? 0 : D(sampleBias)[i / sample * g.OutChannels + channel];
            ys[i] += residual is null ? 0 : D(residual)[i];
        }
        foreach (var (xi, wi, yi, channels) in Runs(g))
        {
            for (int c = 0; c < channels; c++)
                ys[yi] += xs[xi + c] * ws[wi + c];
        }
        if (!silu)
            return;
        if (sums is not null)
            ys.CopyTo(D(sums));
        foreach (ref double value in ys)
            value /= 1 + Math.Exp(-value);
    }

    public override void Conv2dGradInput(in Conv2dGeometry g, Storage gy, Storage w, Storage gx)
    {
        Span<double> gxs = D(gx), ws = D(w), gys = D(gy);
        gxs.Clear();
        foreach (var (xi, wi, yi, channels) in Runs(g))
        {
            for (int c = 0; c < channels; c++)
                gxs[xi + c] += gys[yi] * ws[wi + c];
        }
    }

    public override void Conv2dGradWeight(in Conv2dGeometry g, Storage x, Storage gy, Storage gw)
    {
        Span<double> xs = D(x), gws = D(gw), gys = D(gy);
        gws.Clear();
        foreach (var (xi, wi, yi, channels) in Runs(g))
        {
            for (int c = 0; c < channels; c++)
                gws[wi + c] += gys[yi] * xs[xi + c];
        }
    }

    /// <summary>
    /// For every output element and every tap inside the image: where the run of a group's input channels starts in x and in w,
    /// the output element, and the length of the run.
    /// </summary>
    private static IEnumerable<(int X, int W, int Y, int Channels)> Runs(Conv2dGeometry g)
    {
        int inGroup = g.InChannels / g.Groups, outGroup = g.OutChannels / g.Groups;
        int y = 0;
        for (int n = 0; n < g.Batch; n++)
        for (int oh = 0; oh < g.OutHeight; oh++)
        for (int ow = 0; ow < g.OutWidth; ow++)
        for (int co = 0; co < g.OutChannels; co++, y++)
        for (int kh = 0; kh < g.KernelHeight; kh++)
        for (int kw = 0; kw < g.KernelWidth; kw++)
        {
            int h = oh * g.StrideHeight - g.PadTop + kh;
            int v = ow * g.StrideWidth - g.PadLeft + kw;
            if (h < 0 || h >= g.Height || v < 0 || v >= g.Width)
                continue;
            int x = ((n * g.Height + h) * g.Width + v) * g.InChannels + co / outGroup * inGroup;
            int w = ((co * g.KernelHeight + kh) * g.KernelWidth + kw) * inGroup;
            yield return (x, w, y, inGroup);
        }
    }
}
