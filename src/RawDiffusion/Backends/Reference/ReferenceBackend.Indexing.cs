namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void Embedding(in GatherGeometry g, Storage x, Storage index, Storage y)
    {
        Span<double> from = D(x), to = D(y);
        var rows = I(index);
        for (int j = 0; j < g.Count; j++)
        {
            for (int i = 0; i < g.Inner; i++)
                to[j * g.Inner + i] = from[rows[j] * g.Inner + i];
        }
    }

    public override void EmbeddingGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx)
    {
        Span<double> from = D(gy), to = D(gx);
        var rows = I(index);
        to.Clear();
        for (int j = 0; j < g.Count; j++)
        {
            for (int i = 0; i < g.Inner; i++)
                to[rows[j] * g.Inner + i] += from[j * g.Inner + i];
        }
    }

    public override void Gather(in GatherGeometry g, Storage x, Storage index, Storage y)
    {
        Span<double> from = D(x), to = D(y);
        var rows = I(index);
        for (int o = 0; o < g.Outer; o++)
        {
            for (int j = 0; j < g.Count; j++)
            {
                for (int i = 0; i < g.Inner; i++)
                {
                    int at = (o * g.Count + j) * g.Inner + i;
                    to[at] = from[(o * g.Rows + rows[at]) * g.Inner + i];
                }
            }
        }
    }

    public override void GatherGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx)
    {
        Span<double> from = D(gy), to = D(gx);
        var rows = I(index);
        to.Clear();
        for (int o = 0; o < g.Outer; o++)
        {
            for (int j = 0; j < g.Count; j++)
            {
                for (int i = 0; i < g.Inner; i++)
                {
                    int at = (o * g.Count + j) * g.Inner + i;
                    to[(o * g.Rows + rows[at]) * g.Inner + i] += from[at];
                }
            }
        }
    }

    public override void OneHot(int count, int classes, Storage index, Storage y)
    {
        var to = D(y);
        var hot = I(index);
        for (int n = 0; n < count; n++)
        {
            for (int c = 0; c < classes; c++)
                to[n * classes + c] = hot[n] == c ? 1 : 0;
        }
    }
}
