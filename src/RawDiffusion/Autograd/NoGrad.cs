
namespace RawDiffusion;

/// <summary>While it lives, operations on this thread are not recorded: <c>using (new NoGrad()) { ... }</c>.</summary>
public readonly struct NoGrad : IDisposable
{
    private readonly bool _before;

    public NoGrad() => _before = GradMode.Set(false);

    public void Dispose() => GradMode.Set(_before);
}
