namespace RawDiffusion.Nn;

/// <summary>x sigmoid(x).</summary>
public sealed class SiLU : Layer
{
    public override Tensor Forward(Tensor x) => F.Silu(x);
}

/// <summary>x times the distribution function of the standard normal at x.</summary>
public sealed class GELU : Layer
{
    public override Tensor Forward(Tensor x) => F.Gelu(x);
}

/// <summary>max(x, 0).</summary>
public sealed class ReLU : Layer
{
    public override Tensor Forward(Tensor x) => F.Relu(x);
}
