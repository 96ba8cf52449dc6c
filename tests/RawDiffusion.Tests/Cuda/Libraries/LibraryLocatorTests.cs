using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>Where libraries are sought, on machines made up in a folder. A library that can be loaded is a copy of one of .NET's own.</summary>
public class LibraryLocatorTests : IDisposable
{
    private static readonly string[] s_names = ["libmadeup.so.2", "libmadeup.so.1"];

    private readonly TemporaryFolder _machine = new();
    private readonly Dictionary<string, string> _environment = [];

    public void Dispose() => _machine.Dispose();

    [SkippableFact]
    public void AMissingLibraryIsAnErrorThatNamesEveryPlaceAndWhatToInstall()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "the places are those of Linux");
        var locator = Locator();
        Assert.False(locator.TryLoad(out _));
        string message = Assert.Throws<CudaLibraryNotFoundException>(() => locator.Load()).Message;
        Assert.Equal(
            "The library (libmadeup.so.2, libmadeup.so.1) was not found in: RAWDIFFUSION_CUDA_LIBRARIES (not set); the program's folder (not there); "
            + "the system's loader (no); CUDA_PATH (not set); CUDA_HOME (not set); /usr/local/cuda* (none); /usr/lib/wsl/lib (none); "
            + "/usr/local/nvidia/lib64 (none); Python packages in site-packages/nvidia (none); CONDA_PREFIX (not set). Install it.", message);
        Assert.Null(locator.Path);
    }

    [SkippableTheory]
    [InlineData("chosen", "RAWDIFFUSION_CUDA_LIBRARIES", "chosen")]
    [InlineData("toolkit/lib64", "CUDA_PATH", "toolkit")]
    [InlineData("toolkit/targets/x86_64-linux/lib", "CUDA_HOME", "toolkit")]
    [InlineData("usr/local/cuda/lib64", null, null)]
    [InlineData("usr/local/cuda-13.0/lib64", null, null)]
    [InlineData("usr/local/nvidia/lib64", null, null)]
    [InlineData("venv/lib/python3.12/site-packages/nvidia/wheel/lib", "VIRTUAL_ENV", "venv")]
    [InlineData("venv/lib/python3.12/site-packages/nvidia/cu13/lib", "VIRTUAL_ENV", "venv")]
    [InlineData("usr/local/lib/python3.11/dist-packages/nvidia/wheel/lib", null, null)]
    [InlineData("home/.local/lib/python3.11/site-packages/nvidia/wheel/lib", "HOME", "home")]
    [InlineData("conda/lib", "CONDA_PREFIX", "conda")]
    [InlineData("conda/lib/python3.10/site-packages/nvidia/wheel/lib", "CONDA_PREFIX", "conda")]
    public void ALibraryIsFoundWhereItUsuallyLies(string folder, string? variable, string? value)
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "the places are those of Linux");
        string path = Library(folder, s_names[1]);
        if (variable is not null)
            _environment[variable] = Path.Combine(_machine.Path, value!);
        var locator = Locator();
        Assert.NotEqual(0, locator.Load());
        Assert.Equal(path, locator.Path);
        Assert.EndsWith($"({path})", locator.Looked[^1]);
    }

    /// <summary>The folders of Windows, searched here: the made-up machine has them too.</summary>
    [SkippableTheory]
    [InlineData("toolkit/bin", "CUDA_PATH", "toolkit")]
    [InlineData("toolkit/bin/x64", "CUDA_PATH", "toolkit")]
    [InlineData("venv/Lib/site-packages/nvidia/wheel/bin", "VIRTUAL_ENV", "venv")]
    [InlineData("venv/Lib/site-packages/nvidia/cu13/bin/x86_64", "VIRTUAL_ENV", "venv")]
    [InlineData("conda/Library/bin", "CONDA_PREFIX", "conda")]
    public void OnWindowsItIsFoundWhereItLiesThere(string folder, string variable, string value)
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "the library is one of Linux");
        string path = Library(folder, s_names[0]);
        _environment[variable] = Path.Combine(_machine.Path, value);
        _environment["PATH"] = @"C:\Windows;C:\Windows\System32";
        var locator = Locator(windows: true);
        locator.Load();
        Assert.Equal(path, locator.Path);
        Assert.DoesNotContain(locator.Looked, place => place.StartsWith("/usr", StringComparison.Ordinal));
    }

    [SkippableFact]
    public void ThePythonOnThePathShowsItsPackages()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "the places are those of Linux");
        string path = Library("python/lib/python3.13/site-packages/nvidia/wheel/lib", s_names[0]);
        Directory.CreateDirectory(Path.Combine(_machine.Path, "python/bin"));
        File.WriteAllText(Path.Combine(_machine.Path, "python/bin/python3"), "");
        _environment["PATH"] = "/nowhere:" + Path.Combine(_machine.Path, "python/bin");
        Assert.NotEqual(0, Locator().Load());
        var locator = Locator();
        locator.Load();
        Assert.Equal(path, locator.Path);
    }

    [SkippableFact]
    public void TheChosenFolderComesFirstAndTheNewestVersionBeforeOlderOnes()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "the places are those of Linux");
        Library("usr/local/cuda-9.2/lib64", s_names[0]);
        string toolkit = Library("usr/local/cuda-12.4/lib64", s_names[0]);
        Assert.Equal(toolkit, Loaded());

        string newest = Library("usr/local/cuda-13.0/lib64", s_names[0]);
        Library("usr/local/cuda-13.0/lib64", s_names[1]);
        Assert.Equal(newest, Loaded());

        string plain = Library("usr/local/cuda/lib64", s_names[1]);
        Assert.Equal(plain, Loaded());

        string chosen = Library("chosen", s_names[1]);
        _environment["RAWDIFFUSION_CUDA_LIBRARIES"] = "/nowhere:" + Path.Combine(_machine.Path, "chosen");
        Assert.Equal(chosen, Loaded());

        string? Loaded()
        {
            var locator = Locator();
            locator.Load();
            return locator.Path;
        }
    }

    [SkippableFact]
    public void AFileThatCannotBeLoadedIsNamedAndPassedOver()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "the places are those of Linux");
        string broken = Path.Combine(_machine.Path, "chosen", s_names[0]);
        Directory.CreateDirectory(Path.GetDirectoryName(broken)!);
        File.WriteAllText(broken, "no library");
        _environment["RAWDIFFUSION_CUDA_LIBRARIES"] = Path.GetDirectoryName(broken)!;
        string message = Assert.Throws<CudaLibraryNotFoundException>(() => Locator().Load()).Message;
        Assert.Contains($"({broken} cannot be loaded: ", message);

        string good = Library("usr/local/cuda/lib64", s_names[0]);
        var locator = Locator();
        locator.Load();
        Assert.Equal(good, locator.Path);
    }

    [SkippableFact]
    public void WhatWasMissingIsSoughtAgainWhatWasFoundIsNot()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "the places are those of Linux");
        var locator = Locator();
        Assert.False(locator.TryLoad(out _));
        string path = Library("usr/local/cuda/lib64", s_names[0]);
        Assert.True(locator.TryLoad(out nint handle));
        File.Delete(path);
        Assert.Equal(handle, locator.Load());
    }

    [Fact]
    public void TheErrorsOfTheRealLibrariesSayWhatToInstall()
    {
        Assert.Contains("libnvrtc12", CudaLibraries.Nvrtc.Advice);
        Assert.Contains("nvidia-cuda-nvrtc-cu12", CudaLibraries.Nvrtc.Advice);
        Assert.Contains("tests/fetch-nvrtc.sh", CudaLibraries.Nvrtc.Advice);
        Assert.Contains("--device cpu", CudaLibraries.Driver.Advice);
        Assert.Contains("libcublas12", CudaLibraries.Cublas.Advice);
    }

    private LibraryLocator Locator(bool windows = false) => new("The library", () => s_names, "wheel", "Install it.",
        new SearchPlaces(name => _environment.GetValueOrDefault(name), _machine.Path, windows));

    private string Library(string folder, string name)
    {
        string path = Path.Combine(_machine.Path, folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.Copy(Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "libSystem.Native.so"), path);
        return path;
    }
}
