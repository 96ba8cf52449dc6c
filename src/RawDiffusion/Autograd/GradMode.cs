namespace RawDiffusion;

/// <summary>Whether operations on this thread are recorded on the tape.</summary>
public static class GradMode
{
    [ThreadStatic]
    private static bool s_disabled;

    public static bool IsEnabled => !s_disabled;

    internal static bool Set(bool enabled)
    {
        bool before = !s_disabled;
        s_disabled = !enabled;
        return before;
    }
}
