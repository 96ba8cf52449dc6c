namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void Embedding(in GatherGeometry g, Storage x, Storage index, Storage y) => throw new NotImplementedException();

    public override void EmbeddingGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx) => throw new NotImplementedException();

    public override void Gather(in GatherGeometry g, Storage x, Storage index, Storage y) => throw new NotImplementedException();

    public override void GatherGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx) => throw new NotImplementedException();

    public override void OneHot(int count, int classes, Storage index, Storage y) => throw new NotImplementedException();
}
