using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    public override void Embedding(in GatherGeometry g, Storage x, Storage index, Storage y) =>
        LaunchElements(IndexingKernel("indexing_embedding_f32"), y.Length, g.Count, g.Inner, P(x), P(index), P(y));

    public override void EmbeddingGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx) =>
        LaunchElements(IndexingKernel("indexing_embedding_grad_f32"), gx.Length, g.Rows, g.Inner, g.Count, P(gy), P(index), P(gx));

    public override void Gather(in GatherGeometry g, Storage x, Storage index, Storage y) =>
        LaunchElements(IndexingKernel("indexing_gather_f32"), y.Length, y.Length, g.Rows, g.Inner, g.Count, P(x), P(index), P(y));

    public override void GatherGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx)
    {
        Fill(gx, 0);
        int columns = g.Outer * g.Inner;
        LaunchElements(IndexingKernel("indexing_gather_grad_f32"), columns, columns, g.Rows, g.Inner, g.Count, P(gy), P(index), P(gx));
    }

    public override void OneHot(int count, int classes, Storage index, Storage y) =>
        LaunchElements(IndexingKernel("indexing_one_hot_f32"), y.Length, count, classes, P(index), P(y));

    private CudaKernel IndexingKernel(string name) => _kernels.Kernel("indexing.cu", name);
}
