using System.Text.RegularExpressions;
using RawDiffusion.Cuda;

namespace RawDiffusion.Cli.Kernels;

/// <summary>A file of CUDA C++ that is not ours.</summary>
internal static partial class UserKernel
{
    // What host code includes and device code does not need; NVRTC brings no headers.
    private static readonly string[] s_hostHeaders =
    [
        "cuda.h", "cuda_runtime.h", "cuda_runtime_api.h", "device_launch_parameters.h", "stdio.h", "stdlib.h", "string.h", "math.h", "assert.h", "time.h",
        "cstdio", "cstdlib", "cstring", "cmath", "cassert", "ctime", "iostream", "vector", "algorithm", "random", "chrono",
    ];

    private const string FixedWidthIntegers = """
        typedef signed char int8_t; typedef short int16_t; typedef int int32_t; typedef long long int64_t;
        typedef unsigned char uint8_t; typedef unsigned short uint16_t; typedef unsigned uint32_t; typedef unsigned long long uint64_t;
        """;

    /// <summary>Reads a file with the files of its folder that it includes.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static KernelSource Read(string path)
    {
        if (!File.Exists(path))
            throw new FileNotFoundException($"{path}: there is no such file");
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!, text = File.ReadAllText(path);
        var headers = s_hostHeaders.ToDictionary(name => name, _ => "", StringComparer.Ordinal);
        headers["stdint.h"] = headers["cstdint"] = FixedWidthIntegers;
        var pending = new Stack<string>([text]);
        while (pending.TryPop(out string? including))
        {
            foreach (Match match in Include().Matches(including))
            {
                string name = match.Groups[1].Value, file = Path.Combine(folder, name);
                if (!File.Exists(file) || headers.TryGetValue(name, out string? known) && known.Length > 0)
                    continue;
                pending.Push(headers[name] = File.ReadAllText(file));
            }
        }
        return new KernelSource(Path.GetFileName(path), text, headers);
    }

    /// <summary>
    /// The compiled name of a kernel. One that is not <c>extern "C"</c> carries its parameters in it, as the Itanium C++ ABI says:
    /// <c>_Z5scalePfi</c>.
    /// </summary>
    /// <param name="name">As the source writes it; null: the only one there is.</param>
    /// <exception cref="ArgumentException">There is no such kernel, or more than one.</exception>
    public static string Find(string ptx, string? name, string file)
    {
        string[] entries = [.. Entry().Matches(ptx).Select(match => match.Groups[1].Value)];
        string[] found = [.. entries.Where(entry => name is null || entry == name || PlainName(entry) == name)];
        string list = string.Join(", ", entries.Select(PlainName).Distinct());
        return found.Length switch
        {
            1 => found[0],
            0 when entries.Length == 0 => throw new ArgumentException($"{file} holds no kernel; one is declared __global__, and a template must be instantiated"),
            0 => throw new ArgumentException($"{file} holds no kernel '{name}'; there are: {list}"),
            _ when name is null => throw new ArgumentException($"{file} holds several kernels; name one with --kernel: {list}"),
            _ => throw new ArgumentException($"{file} holds several kernels '{name}'; name one as it is compiled: {string.Join(", ", found)}"),
        };
    }

    /// <summary>The name in the source: what the length in a mangled name spans.</summary>
    public static string PlainName(string entry) =>
        Mangled().Match(entry) is { Success: true } match && int.Parse(match.Groups[1].ValueSpan) is var length && length <= match.Groups[2].Length
            ? match.Groups[2].Value[..length]
            : entry;

    [GeneratedRegex("""^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]""", RegexOptions.Multiline)]
    private static partial Regex Include();

    [GeneratedRegex(@"\.entry\s+([\w$]+)")]
    private static partial Regex Entry();

    [GeneratedRegex(@"^_Z(\d+)(\w+)$")]
    private static partial Regex Mangled();
}
