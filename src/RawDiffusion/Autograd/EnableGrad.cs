namespace RawDiffusion;

/// <summary>While it lives, operations on this thread are recorded again within a <see cref="NoGrad"/>.</summary>
public readonly struct EnableGrad : IDisposable
{
    private readonly bool _before;

    public EnableGrad() => _before = GradMode.Set(true);

    public void Dispose() => GradMode.Set(_before);
}
