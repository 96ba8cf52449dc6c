namespace RawDiffusion.Nn;

/// <summary>In training, zeroes each element with probability p and divides the others by 1 - p; in evaluation, nothing.</summary>
/// <param name="generator">Draws the masks; share it with nothing whose numbers should not depend on them.</param>
public sealed class Dropout(double p, Generator generator) : Layer
{
    public override Tensor Forward(Tensor x) => F.Dropout(x, p, generator, IsTraining);

    protected override string Describe() => $"p {p}";
}
