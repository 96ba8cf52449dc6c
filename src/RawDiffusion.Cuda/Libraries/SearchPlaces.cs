namespace RawDiffusion.Cuda;

/// <summary>What a search depends on, so that a test can search a machine that it made up.</summary>
/// <param name="Environment">The value of an environment variable; null or empty: not set.</param>
/// <param name="Root">Put before absolute folders of the system: empty, or a folder that stands for the whole machine.</param>
/// <param name="Windows">Whether the folders of Windows are searched.</param>
internal sealed record SearchPlaces(Func<string, string?> Environment, string Root, bool Windows)
{
    /// <summary>The variable that names folders to look in first.</summary>
    public const string Variable = "RAWDIFFUSION_CUDA_LIBRARIES";

    public static SearchPlaces ThisMachine { get; } = new(System.Environment.GetEnvironmentVariable, "", OperatingSystem.IsWindows());

    /// <summary>The folders before the loader's own search: our variable, the program's folder.</summary>
    /// <returns>A name of the place, and its folders: none where it does not exist here.</returns>
    public IEnumerable<(string Place, string[] Folders)> BeforeTheLoader()
    {
        string? variable = Environment(Variable);
        yield return (Named(Variable, variable), Split(variable));
        yield return ("the program's folder", [AppContext.BaseDirectory]);
    }

    /// <summary>The folders after it: CUDA_PATH, CUDA_HOME, the usual places of the toolkit, Python packages, conda.</summary>
    /// <param name="wheel">The folder of the library's package below site-packages/nvidia: <c>cuda_nvrtc</c>; null where there is none.</param>
    public IEnumerable<(string Place, string[] Folders)> AfterTheLoader(string? wheel)
    {
        foreach (string name in (string[])["CUDA_PATH", "CUDA_HOME"])
        {
            string? value = Environment(name);
            yield return (Named(name, value), [.. Split(value).SelectMany(ToolkitFolders)]);
        }
        if (!Windows)
        {
            yield return ("/usr/local/cuda*", [.. Matching(Root + "/usr/local", "cuda*").SelectMany(ToolkitFolders)]);
            yield return ("/usr/lib/wsl/lib", Existing(Root + "/usr/lib/wsl/lib"));
            yield return ("/usr/local/nvidia/lib64", Existing(Root + "/usr/local/nvidia/lib64"));
        }
        if (wheel is not null)
            yield return ("Python packages in site-packages/nvidia", [.. SitePackages().SelectMany(site => WheelFolders(site, wheel))]);
        string? conda = Environment("CONDA_PREFIX");
        yield return (Named("CONDA_PREFIX", conda), [.. Split(conda).SelectMany(CondaFolders)]);
    }

    private static string Named(string variable, string? value) => string.IsNullOrEmpty(value) ? $"{variable} (not set)" : $"{variable}={value}";

    private string[] ToolkitFolders(string toolkit) => Windows
        ? Existing(Path.Combine(toolkit, "bin", "x64"), Path.Combine(toolkit, "bin"))
        : Existing(Path.Combine(toolkit, "lib64"), Path.Combine(toolkit, "lib"),
            Path.Combine(toolkit, "targets", "x86_64-linux", "lib"), Path.Combine(toolkit, "targets", "sbsa-linux", "lib"));

    private string[] CondaFolders(string prefix) => Windows
        ? Existing(Path.Combine(prefix, "Library", "bin", "x64"), Path.Combine(prefix, "Library", "bin"))
        : Existing(Path.Combine(prefix, "lib"), Path.Combine(prefix, "targets", "x86_64-linux", "lib"));

    /// <summary>CUDA 13's wheels share one folder, those of CUDA 12 have one each.</summary>
    private string[] WheelFolders(string site, string wheel) => Windows
        ? Existing(Path.Combine(site, "nvidia", "cu13", "bin", "x86_64"), Path.Combine(site, "nvidia", wheel, "bin"))
        : Existing(Path.Combine(site, "nvidia", "cu13", "lib"), Path.Combine(site, "nvidia", wheel, "lib"));

    private IEnumerable<string> SitePackages()
    {
        var prefixes = new List<string>();
        foreach (string variable in (string[])["VIRTUAL_ENV", "CONDA_PREFIX"])
            prefixes.AddRange(Split(Environment(variable)));
        // The folder above the one that holds a Python on the path: the prefix of its installation.
        foreach (string folder in (Environment("PATH") ?? "").Split(Windows ? ';' : ':', StringSplitOptions.RemoveEmptyEntries))
        {
            if (File.Exists(Path.Combine(folder, Windows ? "python.exe" : "python3")))
                prefixes.Add(Windows ? folder : Path.GetDirectoryName(folder.TrimEnd('/')) ?? "/");
        }
        if (!Windows)
        {
            prefixes.AddRange([Root + "/usr/local", Root + "/usr"]);
            if (Environment("HOME") is { Length: > 0 } home)
                prefixes.Add(Path.Combine(home, ".local"));
        }
        foreach (string prefix in prefixes.Distinct())
        {
            foreach (string folder in Existing(Path.Combine(prefix, "Lib", "site-packages")))
                yield return folder;
            foreach (string python in Matching(Path.Combine(prefix, "lib"), "python3*"))
            {
                foreach (string folder in Existing(Path.Combine(python, "site-packages"), Path.Combine(python, "dist-packages")))
                    yield return folder;
            }
        }
    }

    private string[] Split(string? value) => (value ?? "").Split(Windows ? ';' : ':', StringSplitOptions.RemoveEmptyEntries);

    private static string[] Existing(params string[] folders) => [.. folders.Where(Directory.Exists)];

    /// <summary>Newest first: cuda-13.0 before cuda-12.4, and the plain name, a link to the chosen one, before both.</summary>
    private static IEnumerable<string> Matching(string folder, string pattern)
    {
        if (!Directory.Exists(folder))
            return [];
        try
        {
            return Directory.EnumerateDirectories(folder, pattern)
                .OrderBy(path => Path.GetFileName(path).Length == pattern.Length - 1 ? 0 : 1)
                .ThenByDescending(VersionOf).ThenBy(path => path, StringComparer.Ordinal).ToArray();
        }
        catch (UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static Version VersionOf(string path)
    {
        string number = Path.GetFileName(path).TrimStart("abcdefghijklmnopqrstuvwxyz-".ToCharArray());
        return Version.TryParse(number.Contains('.') ? number : number + ".0", out var version) ? version : new Version(0, 0);
    }
}
