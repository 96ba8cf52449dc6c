namespace RawDiffusion;

public partial class Tensor
{
    /// <summary>Sums over the axes along which <paramref name="shape"/> was broadcast to this tensor's shape: the gradient of broadcasting.</summary>
    public Tensor SumTo(Shape shape) => Shape == shape ? this : throw new NotImplementedException();
}
