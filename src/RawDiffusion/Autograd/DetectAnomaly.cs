namespace RawDiffusion;

/// <summary>
/// While it lives, the first operation on this thread whose result or gradient is NaN or infinite throws an
/// <see cref="AnomalyException"/> that names it: <c>using (new DetectAnomaly()) { ... }</c>. Slow; for finding out.
/// </summary>
public readonly struct DetectAnomaly : IDisposable
{
    private readonly bool _before;

    public DetectAnomaly()
        : this(true)
    {
    }

    /// <summary>With false, operations are not watched while it lives.</summary>
    public DetectAnomaly(bool enabled) => _before = AnomalyMode.Set(enabled);

    public void Dispose() => AnomalyMode.Set(_before);
}
