namespace RawDiffusion.Nn;

/// <summary>Layers one after the other. Parameters are named by position: <c>0.weight</c>, <c>2.bias</c>.</summary>
public sealed class Sequential(params Layer[] layers) : Layer
{
    // Without a name of its own, so that positions follow directly on the name of the Sequential, as in PyTorch.
    [Name("")]
    private readonly Layer[] _layers = layers;

    public IReadOnlyList<Layer> Layers => _layers;

    public override Tensor Forward(Tensor x)
    {
        foreach (var layer in _layers)
            x = layer.Forward(x);
        return x;
    }
}
