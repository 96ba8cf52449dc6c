namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    /// <summary>Threads of a block of <c>indexing_embedding_grad</c>, and indices that it looks at at a time.</summary>
    private const int EmbeddingGradBlock = 128;

    private static readonly KernelSlot s_oneHot = new("indexing.cu", "indexing_one_hot");
    private static readonly KernelSlot s_gatherGrad = new("indexing.cu", "indexing_gather_grad");
    private static readonly PackedSlots s_embeddingGrad = new("indexing.cu", "indexing_embedding_grad");
    private static readonly UnitSlots s_embedding = new("indexing.cu", "indexing_embedding");
    private static readonly UnitSlots s_gather = new("indexing.cu", "indexing_gather");

    public override void Embedding(in GatherGeometry g, Storage x, Storage index, Storage y)
    {
        int unit = UnitOf(P(x), P(y), (ulong)((long)g.Inner * y.DType.Size()));
        int inner = (int)((long)g.Inner * y.DType.Size() / unit), count = g.Count * inner;
        LaunchElements(_kernels[s_embedding[unit]], count, g.Count, inner, P(x), P(index), P(y));
    }

    public override void EmbeddingGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx)
    {
        if (gx.Length == 0)
            return;
        bool packed = IsPackedAlong(g.Inner, gy, gx);
        int threads = packed ? g.Inner / PackSize(gx.DType) : g.Inner;
        _kernels[s_embeddingGrad[packed], gx.DType].Launch(
            checked(g.Rows * CeilDiv(threads, EmbeddingGradBlock)), EmbeddingGradBlock, 0, g.Inner, g.Count, P(gy), P(index), P(gx));
    }

    public override void Gather(in GatherGeometry g, Storage x, Storage index, Storage y) =>
        LaunchElements(_kernels[s_gather[y.DType.Size()]], y.Length, y.Length, g.Rows, g.Inner, g.Count, P(x), P(index), P(y));

    public override void GatherGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx)
    {
        // Sums are in float32.
        var sums = gx.DType == DType.Float32 ? gx : Allocate(DType.Float32, gx.Length);
        Fill(sums, 0);
        int columns = g.Outer * g.Inner;
        LaunchElements(_kernels[s_gatherGrad, gy.DType], columns, columns, g.Rows, g.Inner, g.Count, P(gy), P(index), P(sums));
        if (ReferenceEquals(sums, gx))
            return;
        Cast(sums, gx);
        Release(sums);
    }

    public override void OneHot(int count, int classes, Storage index, Storage y) =>
        LaunchElements(_kernels[s_oneHot], FoursOf(y), count, classes, P(index), P(y));
}
