namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void UpsampleNearest(in ResampleGeometry g, Storage x, Storage y)
    {
        Span<double> from = D(x), to = D(y);
        int height = g.Height * g.FactorHeight, width = g.Width * g.FactorWidth;
        for (int n = 0; n < g.Batch; n++)
        {
            for (int h = 0; h < height; h++)
            {
                for (int w = 0; w < width; w++)
                {
                    for (int c = 0; c < g.Channels; c++)
                        to[((n * height + h) * width + w) * g.Channels + c] = from[Pixel(g, n, h / g.FactorHeight, w / g.FactorWidth) + c];
                }
            }
        }
    }

    public override void PoolSum(in ResampleGeometry g, double scale, Storage x, Storage y)
    {
        Span<double> from = D(x), to = D(y);
        int height = g.Height / g.FactorHeight, width = g.Width / g.FactorWidth;
        to.Clear();
        for (int n = 0; n < g.Batch; n++)
        {
            for (int h = 0; h < height * g.FactorHeight; h++)
            {
                for (int w = 0; w < width * g.FactorWidth; w++)
                {
                    for (int c = 0; c < g.Channels; c++)
                        to[((n * height + h / g.FactorHeight) * width + w / g.FactorWidth) * g.Channels + c] += scale * from[Pixel(g, n, h, w) + c];
                }
            }
        }
    }

    public override void PoolSumGrad(in ResampleGeometry g, double scale, Storage gy, Storage gx)
    {
        Span<double> from = D(gy), to = D(gx);
        int height = g.Height / g.FactorHeight, width = g.Width / g.FactorWidth;
        to.Clear();
        for (int n = 0; n < g.Batch; n++)
        {
            for (int h = 0; h < height * g.FactorHeight; h++)
            {
                for (int w = 0; w < width * g.FactorWidth; w++)
                {
                    for (int c = 0; c < g.Channels; c++)
                        to[Pixel(g, n, h, w) + c] = scale * from[((n * height + h / g.FactorHeight) * width + w / g.FactorWidth) * g.Channels + c];
                }
            }
        }
    }

    /// <summary>Offset of the first channel of a pixel of x[Batch, Height, Width, Channels].</summary>
    private static int Pixel(in ResampleGeometry g, int n, int h, int w) => ((n * g.Height + h) * g.Width + w) * g.Channels;
}
