namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <summary>
    /// Elements of one piece of an elementwise loop. Up to two pieces run on the calling thread alone: waking another costs
    /// about as much as the work.
    /// </summary>
    private const int ElementwiseGrain = 8 * 1024;

    public override void Unary<TOp>(Storage x, Storage y, double a, double b)
    {
        if (VectorBits == 512)
            Elementwise(y.Length, ElementwiseGrain, new UnaryLoop<TOp, Simd512>(F(x), F(y), (float)a, (float)b));
        else if (VectorBits == 256)
            Elementwise(y.Length, ElementwiseGrain, new UnaryLoop<TOp, Simd256>(F(x), F(y), (float)a, (float)b));
        else
            Elementwise(y.Length, ElementwiseGrain, new UnaryLoop<TOp, Simd128>(F(x), F(y), (float)a, (float)b));
    }

    public override void Binary<TOp>(in BroadcastGeometry g, Storage x, Storage y, Storage z, double a)
    {
        int grain = BroadcastWalk.Grain(g, ElementwiseGrain);
        if (VectorBits == 512)
            Elementwise(g.Count, grain, new BinaryLoop<TOp, Simd512>(g, F(x), F(y), F(z), (float)a));
        else if (VectorBits == 256)
            Elementwise(g.Count, grain, new BinaryLoop<TOp, Simd256>(g, F(x), F(y), F(z), (float)a));
        else
            Elementwise(g.Count, grain, new BinaryLoop<TOp, Simd128>(g, F(x), F(y), F(z), (float)a));
    }

    public override void Where(Storage condition, Storage x, Storage y, Storage z)
    {
        if (VectorBits == 512)
            Elementwise(z.Length, ElementwiseGrain, new WhereLoop<Simd512>(F(condition), F(x), F(y), F(z)));
        else if (VectorBits == 256)
            Elementwise(z.Length, ElementwiseGrain, new WhereLoop<Simd256>(F(condition), F(x), F(y), F(z)));
        else
            Elementwise(z.Length, ElementwiseGrain, new WhereLoop<Simd128>(F(condition), F(x), F(y), F(z)));
    }

    public override void Broadcast(in BroadcastGeometry g, Storage x, Storage y) =>
        Elementwise(g.Count, BroadcastWalk.Grain(g, ElementwiseGrain), new BroadcastLoop(g, I(x), I(y)));

    /// <summary>Runs a loop over [0, count): in pieces on all cores, or at once on this thread when there is little to do.</summary>
    private static void Elementwise<TBody>(int count, int grain, TBody body) where TBody : struct, IRangeBody
    {
        if (count <= 2 * grain)
        {
            if (count > 0)
                body.Run(0, count, 0);
        }
        else
        {
            Workers.ForRange(count, grain, body);
        }
    }
}
