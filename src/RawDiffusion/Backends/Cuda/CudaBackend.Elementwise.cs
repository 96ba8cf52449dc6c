namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    public override void Unary<TOp>(Storage x, Storage y, double a, double b) =>
        LaunchElements(_kernels.Unary<TOp>(), y.Length, y.Length, P(x), P(y), (float)a, (float)b);

    public override void Binary<TOp>(in BroadcastGeometry g, Storage x, Storage y, Storage z, double a)
    {
        if (g.Rank == 1 && g.StrideA(0) == 1 && g.StrideB(0) == 1)
            LaunchElements(_kernels.Binary<TOp>(broadcast: false), g.Count, g.Count, P(x), P(y), P(z), (float)a);
        else
            LaunchElementsWith(_kernels.Binary<TOp>(broadcast: true), new StridedWalk(g), g.Count, P(x), P(y), P(z), (float)a);
    }

    public override void Where(Storage condition, Storage x, Storage y, Storage z) =>
        LaunchElements(_kernels.Kernel("elementwise.cu", "elementwise_where_f32"), z.Length, z.Length, P(condition), P(x), P(y), P(z));

    public override void Broadcast(in BroadcastGeometry g, Storage x, Storage y)
    {
        // The output is contiguous; strides B are not those of anything here.
        var walk = new StridedWalk(g);
        for (int i = 0, stride = 1; i < walk.Rank; stride *= walk.Extent[i++])
            walk.StrideB[i] = stride;
        CopyStrided(walk, P(x), P(y));
    }
}
