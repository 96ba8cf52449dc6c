namespace RawDiffusion.Nn;

/// <summary>In training, zeroes each element with probability p and divides the others by 1 - p; in evaluation, nothing.</summary>
/// <param name="p">In [0, 1].</param>
/// <param name="generator">Draws the masks; share it with nothing whose numbers should not depend on them.</param>
public sealed class Dropout(double p, Generator generator) : Layer
{
    private readonly double _p = p is >= 0 and <= 1
        ? p
        : throw new ArgumentOutOfRangeException(nameof(p), $"Dropout: the probability must lie in [0, 1], not {p}.");

    public override Tensor Forward(Tensor x) => F.Dropout(x, _p, generator, IsTraining);

    protected override string Describe() => $"p {_p}";
}
