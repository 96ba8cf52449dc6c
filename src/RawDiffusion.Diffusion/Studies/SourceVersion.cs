using System.Reflection;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>Which code this is, for whoever wants to repeat a measurement.</summary>
public static class SourceVersion
{
    /// <summary>The commit that was built, where it was built in a checkout; elsewhere the product's version.</summary>
    public static string Commit { get; } = OfVersion(
        typeof(SourceVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown");

    // The compiler is told VERSION+COMMIT.
    internal static string OfVersion(string version)
    {
        int plus = version.IndexOf('+', StringComparison.Ordinal);
        return plus < 0 || plus == version.Length - 1 ? version.TrimEnd('+') : version[(plus + 1)..];
    }
}
