using System.Reflection;
using System.Runtime.InteropServices;

namespace RawDiffusion.Cuda;

/// <summary>The native libraries that this assembly binds. None is loaded before a function of it is called.</summary>
public static class CudaLibraries
{
    // The names that the import declarations carry; the resolver turns them into what the locators found.
    internal const string DriverImport = "rawdiffusion-cuda-driver";
    internal const string NvrtcImport = "rawdiffusion-nvrtc";
    internal const string CublasImport = "rawdiffusion-cublas";

    private static readonly bool s_windows = OperatingSystem.IsWindows();
    private static int s_resolver;

    /// <summary>libcuda: comes with NVIDIA's display driver.</summary>
    public static LibraryLocator Driver { get; } = new(
        "The CUDA driver", () => [s_windows ? "nvcuda.dll" : "libcuda.so.1"], null,
        "It comes with NVIDIA's display driver: install that (Debian: libcuda1 and nvidia-driver from non-free; Ubuntu: nvidia-driver-NNN, "
        + "or libnvidia-compute-NNN in a container), or use --device cpu or --device emulated.",
        SearchPlaces.ThisMachine);

    /// <summary>The compiler of CUDA C++: needs no GPU.</summary>
    public static LibraryLocator Nvrtc { get; } = new(
        "NVRTC", () => Versions(("libnvrtc.so.13", "nvrtc64_130_0.dll", 13), ("libnvrtc.so.12", "nvrtc64_120_0.dll", 12), ("libnvrtc.so.11.2", "nvrtc64_112_0.dll", 11)),
        "cuda_nvrtc",
        "It compiles the kernels and needs no GPU. Install one of: the packages libnvrtc12 and libnvrtc-builtins12.4 (Debian: non-free; Ubuntu: "
        + "multiverse), the Python package nvidia-cuda-nvrtc-cu12 (for CUDA 13: nvidia-cuda-nvrtc), NVIDIA's CUDA toolkit; or name the folder "
        + "that holds it in " + SearchPlaces.Variable + ". In a clone of the repository tests/fetch-nvrtc.sh fetches it on Debian and Ubuntu.",
        SearchPlaces.ThisMachine);

    /// <summary>The library below cuBLAS, which looks for it by name: it is loaded first, from wherever it lies.</summary>
    public static LibraryLocator CublasLt { get; } = new(
        "cuBLASLt", () => Versions(("libcublasLt.so.13", "cublasLt64_13.dll", 13), ("libcublasLt.so.12", "cublasLt64_12.dll", 12)), "cublas",
        CublasAdvice("libcublaslt12"), SearchPlaces.ThisMachine);

    /// <summary>NVIDIA's matrix products, to compare with.</summary>
    public static LibraryLocator Cublas { get; } = new(
        "cuBLAS", () => Versions(("libcublas.so.13", "cublas64_13.dll", 13), ("libcublas.so.12", "cublas64_12.dll", 12)), "cublas",
        CublasAdvice("libcublas12"), SearchPlaces.ThisMachine, () => CublasLt.TryLoad(out _));

    /// <summary>All of them, in the order of a report.</summary>
    public static IReadOnlyList<LibraryLocator> All { get; } = [Driver, Nvrtc, CublasLt, Cublas];

    /// <summary>
    /// The major version of the loaded driver, where one is: libraries of a newer major version make code that it cannot run, and are
    /// passed over.
    /// </summary>
    internal static int NewestMajor { get; set; } = int.MaxValue;

    /// <summary>Called by every class of imports before its first import.</summary>
    internal static void UseResolver()
    {
        if (Interlocked.Exchange(ref s_resolver, 1) == 0)
            NativeLibrary.SetDllImportResolver(typeof(CudaLibraries).Assembly, Resolve);
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) => name switch
    {
        DriverImport => Driver.Load(),
        NvrtcImport => Nvrtc.Load(),
        CublasImport => Cublas.Load(),
        _ => 0,
    };

    private static string[] Versions(params ReadOnlySpan<(string Linux, string Windows, int Major)> all)
    {
        var names = new List<string>();
        foreach (var (linux, windows, major) in all)
        {
            if (major <= NewestMajor)
                names.Add(s_windows ? windows : linux);
        }
        return [.. names];
    }

    private static string CublasAdvice(string package) =>
        $"It is only compared with. Install the package {package} (Debian: non-free; Ubuntu: multiverse), the Python package nvidia-cublas-cu12 "
        + $"(for CUDA 13: nvidia-cublas), or NVIDIA's CUDA toolkit; or name its folder in {SearchPlaces.Variable}.";
}
