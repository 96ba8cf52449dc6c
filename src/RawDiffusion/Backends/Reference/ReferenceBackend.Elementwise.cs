namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void Unary<TOp>(Storage x, Storage y, double a, double b)
    {
        Span<double> from = D(x), to = D(y);
        for (int i = 0; i < to.Length; i++)
            to[i] = TOp.Reference(from[i], a, b);
    }

    public override void Binary<TOp>(in BroadcastGeometry g, Storage x, Storage y, Storage z, double a)
    {
        Span<double> left = D(x), right = D(y), to = D(z);
        for (int i = 0; i < g.Count; i++)
        {
            var (offsetX, offsetY) = Offsets(g, i);
            to[i] = TOp.Reference(left[offsetX], right[offsetY], a);
        }
    }

    public override void Where(Storage condition, Storage x, Storage y, Storage z)
    {
        Span<double> asked = D(condition), left = D(x), right = D(y), to = D(z);
        for (int i = 0; i < to.Length; i++)
            to[i] = asked[i] != 0 ? left[i] : right[i];
    }

    public override void Broadcast(in BroadcastGeometry g, Storage x, Storage y)
    {
        for (int i = 0; i < g.Count; i++)
        {
            int offset = Offsets(g, i).A;
            if (x.DType == DType.Int32)
                I(y)[i] = I(x)[offset];
            else
                D(y)[i] = D(x)[offset];
        }
    }

    /// <summary>Where output element <paramref name="i"/> finds its two inputs: its coordinates times the strides.</summary>
    private static (int A, int B) Offsets(in BroadcastGeometry g, int i)
    {
        int a = 0, b = 0;
        for (int axis = g.Rank - 1; axis >= 0; axis--)
        {
            int coordinate = i % g.Extent(axis);
            i /= g.Extent(axis);
            a += coordinate * g.StrideA(axis);
            b += coordinate * g.StrideB(axis);
        }
        return (a, b);
    }
}
