namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void Conv2d(in Conv2dGeometry g, Storage x, Storage w, Storage? bias, Storage y)
    {
        for (int i = 0; i < y.Length; i++)
            F(y)[i] = bias is null ? 0 : F(bias)[i % g.OutChannels];
        Workers.For(g.Batch, new ConvLoop(g, F(x), F(w), F(y), 0));
    }

    public override void Conv2dGradInput(in Conv2dGeometry g, Storage gy, Storage w, Storage gx)
    {
        Fill(gx, 0);
        Workers.For(g.Batch, new ConvLoop(g, F(gx), F(w), F(gy), 1));
    }

    public override void Conv2dGradWeight(in Conv2dGeometry g, Storage x, Storage gy, Storage gw)
    {
        Fill(gw, 0);
        Workers.For(g.OutChannels, new ConvLoop(g, F(x), F(gw), F(gy), 2));
    }

    private readonly struct ConvLoop(Conv2dGeometry g, float* x, float* w, float* y, int pass) : IParallelBody
    {
        public void Run(int index, int worker)
        {
            int inGroup = g.InChannels / g.Groups, outGroup = g.OutChannels / g.Groups;
            int firstImage = pass == 2 ? 0 : index, lastImage = pass == 2 ? g.Batch - 1 : index;
            int firstChannel = pass == 2 ? index : 0, lastChannel = pass == 2 ? index : g.OutChannels - 1;
            for (int n = firstImage; n <= lastImage; n++)
            for (int oh = 0; oh < g.OutHeight; oh++)
            for (int ow = 0; ow < g.OutWidth; ow++)
            for (int kh = 0; kh < g.KernelHeight; kh++)
            for (int kw = 0; kw < g.KernelWidth; kw++)
            {
                int h = oh * g.StrideHeight - g.PadTop + kh, v = ow * g.StrideWidth - g.PadLeft + kw;
                if ((uint)h >= (uint)g.Height || (uint)v >= (uint)g.Width)
                    continue;
                for (int co = firstChannel; co <= lastChannel; co++)
                {
                    float* xs = x + ((n * g.Height + h) * g.Width + v) * g.InChannels + co / outGroup * inGroup;
                    float* ws = w + ((co * g.KernelHeight + kh) * g.KernelWidth + kw) * inGroup;
                    float* ys = y + ((n * g.OutHeight + oh) * g.OutWidth + ow) * g.OutChannels + co;
                    for (int c = 0; c < inGroup; c++)
                    {
                        if (pass == 0)
                            *ys += xs[c] * ws[c];
                        else if (pass == 1)
                            xs[c] += *ys * ws[c];
                        else
                            ws[c] += *ys * xs[c];
                    }
                }
            }
        }
    }
}
