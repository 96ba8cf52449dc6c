namespace RawDiffusion.Nn;

/// <summary>Means over windows side by side: [N, H, W, C] -> [N, H / window, W / window, C].</summary>
public sealed class AvgPool2d(int window) : Layer
{
    public override Tensor Forward(Tensor x) => F.AvgPool2d(x, window);

    protected override string Describe() => $"{window}x{window}";
}

/// <summary>Repeats every pixel: [N, H, W, C] -> [N, H factor, W factor, C].</summary>
public sealed class UpsampleNearest(int factor) : Layer
{
    public override Tensor Forward(Tensor x) => F.UpsampleNearest(x, factor);

    protected override string Describe() => $"{factor}x";
}

/// <summary>All axes after the first in one: [N, ...] -> [N, features].</summary>
public sealed class Flatten : Layer
{
    public override Tensor Forward(Tensor x) => x.Reshape([x.Shape[0], x.Shape.Product(1, x.Rank)]);
}
