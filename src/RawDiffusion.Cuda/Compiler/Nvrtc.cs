using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;

namespace RawDiffusion.Cuda;

/// <summary>
/// NVIDIA's run-time compiler of CUDA C++, versions 11.8 to 13. It needs no GPU and no driver. Everything here loads it when first
/// called and throws <see cref="CudaLibraryNotFoundException"/> where it is not installed.
/// </summary>
public static unsafe partial class Nvrtc
{
    private static readonly Lazy<(Version Version, int[] Architectures)> s_library = new(Open);

    /// <summary>Major and minor number of the CUDA release.</summary>
    public static Version Version => s_library.Value.Version;

    /// <summary>The compute capabilities (80, 90, ...) it makes code for, ascending.</summary>
    public static IReadOnlyList<int> Architectures => s_library.Value.Architectures;

    /// <summary>Whether it is installed; where it is not, the message of the error that every other member throws.</summary>
    public static bool IsAvailable(out string? problem)
    {
        try
        {
            CudaLibraries.Nvrtc.Load();
            problem = null;
            return true;
        }
        catch (CudaLibraryNotFoundException e)
        {
            problem = e.Message;
            return false;
        }
    }

    /// <summary>
    /// The nearest target that this version can make: itself; without the letter where the version is too old for it; for a GPU that is
    /// newer than the compiler, PTX of the newest architecture, which the driver translates.
    /// </summary>
    /// <exception cref="NotSupportedException">The GPU is older than what the compiler knows.</exception>
    public static KernelTarget Nearest(KernelTarget target)
    {
        int capability = target.ComputeCapability;
        string prefix = target.IsCubin ? "sm_" : "compute_";
        if (Architectures.Contains(capability))
        {
            // Code for one architecture alone (90a) came with CUDA 12.0, for a family (100f) with 12.9.
            bool known = !char.IsAsciiLetter(target.Architecture[^1]) || Version >= (target.Architecture[^1] == 'f' ? new Version(12, 9) : new Version(12, 0));
            return known ? target : new KernelTarget(prefix + capability);
        }
        int nearest = Architectures.LastOrDefault(architecture => architecture < capability);
        if (nearest == 0)
        {
            throw new NotSupportedException($"NVRTC {Version} makes code for {prefix}{Architectures[0]} and newer, not for {target}: "
                + $"an older NVRTC is needed for this GPU (NVRTC 12 knows sm_50 to sm_90, NVRTC 13 sm_75 and newer); name its folder in {SearchPlaces.Variable}.");
        }
        return new KernelTarget("compute_" + nearest);
    }

    /// <summary>Compiles to what the target says: a cubin or PTX.</summary>
    /// <param name="options">As NVRTC takes them: <c>--fmad=false</c>, <c>-DTILE=64</c>. The architecture is added.</param>
    /// <exception cref="KernelCompilationException">The source, an option or the architecture was refused; the log says where and why.</exception>
    public static CompiledKernels Compile(KernelSource source, KernelTarget target, params ReadOnlySpan<string> options)
    {
        // The version is asked for first: it loads the library together with its builtins.
        _ = s_library.Value;
        using var text = new Utf8Strings();
        IReadOnlyList<string> names = source.Included();
        byte** headers = text.Array([.. names.Select(name => source.Headers[name])]);
        byte** includes = text.Array(names);
        byte** flags = text.Array([$"--gpu-architecture={target.Architecture}", .. options]);

        nint program;
        Check(source, target, LibNvrtc.nvrtcCreateProgram(&program, text.Add(source.Text), text.Add(source.Name), names.Count, headers, includes), "");
        try
        {
            int result = LibNvrtc.nvrtcCompileProgram(program, options.Length + 1, flags);
            string log = Log(program);
            Check(source, target, result, log);
            nuint size;
            byte[] image;
            if (target.IsCubin)
            {
                Check(source, target, LibNvrtc.nvrtcGetCUBINSize(program, &size), log);
                image = new byte[size];
                fixed (byte* start = image)
                    Check(source, target, LibNvrtc.nvrtcGetCUBIN(program, start), log);
            }
            else
            {
                Check(source, target, LibNvrtc.nvrtcGetPTXSize(program, &size), log);
                image = new byte[size];
                fixed (byte* start = image)
                    Check(source, target, LibNvrtc.nvrtcGetPTX(program, start), log);
                image = WithPlainNames(image.AsSpan().TrimEnd((byte)0));
            }
            return new CompiledKernels(source.Name, target, image, log);
        }
        finally
        {
            LibNvrtc.nvrtcDestroyProgram(&program);
        }
    }

    private static (Version, int[]) Open()
    {
        CudaLibraries.Nvrtc.Load();
        int major, minor, count = 0;
        int result = LibNvrtc.nvrtcVersion(&major, &minor);
        if (result == 0)
            result = LibNvrtc.nvrtcGetNumSupportedArchs(&count);
        if (result != 0)
            throw new InvalidOperationException($"{CudaLibraries.Nvrtc.Path} does not say which version it is: {Name(result)}.");
        int[] architectures = new int[count];
        fixed (int* start = architectures)
            result = LibNvrtc.nvrtcGetSupportedArchs(start);
        if (result != 0)
            throw new InvalidOperationException($"{CudaLibraries.Nvrtc.Path} does not list its architectures: {Name(result)}.");
        Array.Sort(architectures);
        LoadBuiltins(new Version(major, minor));
        return (new Version(major, minor), architectures);
    }

    /// <summary>
    /// NVRTC opens its second library by name when it compiles, and its own folder is not where the loader looks. Loaded from there by
    /// full path first, it is found.
    /// </summary>
    private static void LoadBuiltins(Version version)
    {
        string folder = Path.GetDirectoryName(CudaLibraries.Nvrtc.Path!) ?? "";
        string name = OperatingSystem.IsWindows()
            ? $"nvrtc-builtins64_{version.Major}{version.Minor}.dll"
            : $"libnvrtc-builtins.so.{version.Major}.{version.Minor}";
        string path = Path.Combine(folder, name);
        if (File.Exists(path))
            NativeLibrary.Load(path);
    }

    /// <summary>
    /// PTX that names files as they were given. NVRTC puts the current folder before a name that is not a path, so that the text, and
    /// whatever it is kept in, would depend on where the compiler was called.
    /// </summary>
    private static byte[] WithPlainNames(ReadOnlySpan<byte> ptx)
    {
        string folder = Environment.CurrentDirectory.Replace('\\', '/').TrimEnd('/');
        return Encoding.UTF8.GetBytes(FileDirective().Replace(Encoding.UTF8.GetString(ptx), match =>
            match.Groups[2].Value.StartsWith(folder + "/", StringComparison.Ordinal)
                ? $"{match.Groups[1].Value}\"{match.Groups[2].Value[(folder.Length + 1)..]}\""
                : match.Value));
    }

    [GeneratedRegex(@"^(\s*\.file\s+\d+\s+)""([^""]*)""", RegexOptions.Multiline)]
    private static partial Regex FileDirective();

    private static string Log(nint program)
    {
        nuint size;
        if (LibNvrtc.nvrtcGetProgramLogSize(program, &size) != 0 || size <= 1)
            return "";
        byte[] log = new byte[size];
        fixed (byte* start = log)
        {
            if (LibNvrtc.nvrtcGetProgramLog(program, start) != 0)
                return "";
        }
        return Encoding.UTF8.GetString(log).TrimEnd('\0', '\n', '\r', ' ');
    }

    private static void Check(KernelSource source, KernelTarget target, int result, string log)
    {
        if (result != 0)
            throw new KernelCompilationException(source, target, $"NVRTC {Version} says {Name(result)}.", log);
    }

    private static string Name(int result) => Marshal.PtrToStringUTF8((nint)LibNvrtc.nvrtcGetErrorString(result)) ?? $"error {result}";

    /// <summary>Texts with a zero at the end in memory that does not move, for the length of one call.</summary>
    private sealed class Utf8Strings : IDisposable
    {
        private readonly List<nint> _memory = [];

        public byte* Add(string text)
        {
            nint memory = Marshal.StringToCoTaskMemUTF8(text);
            _memory.Add(memory);
            return (byte*)memory;
        }

        public byte** Array(IReadOnlyList<string> texts)
        {
            nint memory = Marshal.AllocCoTaskMem(Math.Max(1, texts.Count) * sizeof(byte*));
            _memory.Add(memory);
            for (int i = 0; i < texts.Count; i++)
                ((byte**)memory)[i] = Add(texts[i]);
            return (byte**)memory;
        }

        public void Dispose()
        {
            foreach (nint memory in _memory)
                Marshal.FreeCoTaskMem(memory);
        }
    }
}
