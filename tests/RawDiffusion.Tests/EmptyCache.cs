using System.Runtime.CompilerServices;

namespace RawDiffusion.Tests;

/// <summary>Tests and the processes that they start see an empty cache folder instead of the user's, whose data they must not depend on.</summary>
internal static class EmptyCache
{
    private static readonly TemporaryFolder s_folder = new();

    [ModuleInitializer]
    public static void Begin()
    {
        Environment.SetEnvironmentVariable("RAWDIFFUSION_HOME", s_folder.Path);
        AppDomain.CurrentDomain.ProcessExit += (_, _) => s_folder.Dispose();
    }
}
