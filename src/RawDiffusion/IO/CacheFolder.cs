namespace RawDiffusion.IO;

/// <summary>Where the program keeps what it can fetch or make again.</summary>
public static class CacheFolder
{
    /// <summary>
    /// The folder RAWDIFFUSION_HOME where that is set, else <c>rawdiffusion</c> in XDG_CACHE_HOME, else <c>.cache/rawdiffusion</c> in
    /// the user's home. It need not exist yet.
    /// </summary>
    /// <exception cref="DirectoryNotFoundException">None of them is set and the user has no home.</exception>
    public static string Find() =>
        Find(Environment.GetEnvironmentVariable, Environment.GetFolderPath(Environment.SpecialFolder.UserProfile, Environment.SpecialFolderOption.DoNotVerify));

    internal static string Find(Func<string, string?> variable, string home)
    {
        if (variable("RAWDIFFUSION_HOME") is { Length: > 0 } own)
            return Path.GetFullPath(own);
        // The XDG specification has relative paths ignored.
        if (variable("XDG_CACHE_HOME") is { Length: > 0 } cache && Path.IsPathFullyQualified(cache))
            return Path.Combine(cache, "rawdiffusion");
        return home.Length > 0
            ? Path.Combine(home, ".cache", "rawdiffusion")
            : throw new DirectoryNotFoundException("there is no home folder to keep files in; set RAWDIFFUSION_HOME to a folder");
    }
}
