using System.Text.RegularExpressions;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cuda;

namespace RawDiffusion.Tests.Kernels;

/// <summary><c>kernels/README.md</c> is the map of kernels: it names every one, in the section of its file, and nothing else.</summary>
public partial class KernelMapTests
{
    private static readonly string s_folder = Path.Combine(Repository.Root, "kernels");

    /// <summary>The compiler says which kernels a file has, since some are declared by macros.</summary>
    [SkippableFact]
    public void TheMapListsEveryKernelOfEveryFile()
    {
        TestNvrtc.Require();
        var inSources = new SortedSet<string>(StringComparer.Ordinal);
        foreach (string file in KernelLibrary.Files)
        {
            string[][] variants = file == "elementwise.cu" ? [[], [KernelLibrary.UnaryOption("x")], [KernelLibrary.BinaryOption("x")]] : [[]];
            foreach (string[] options in variants)
            {
                // Kernels exist for what a GPU has, and for what it lacks.
                foreach (string architecture in (string[])["sm_75", "sm_80"])
                {
                    var compiled = new KernelCompiler().Compile(KernelLibrary.Source(file), new KernelTarget(architecture), options);
                    inSources.UnionWith(compiled.Resources.Select(kernel => $"{file} {kernel.Kernel}"));
                }
            }
        }
        Assert.Equal(inSources, InMap().Order(StringComparer.Ordinal));
    }

    /// <summary>The comment that a reader meets first says what is computed, how it is launched, what it moves and what limits it.</summary>
    [Fact]
    public void EveryFileOpensWithItsLaunchItsBytesAndFlopsAndItsLimit()
    {
        foreach (string path in Directory.EnumerateFiles(s_folder, "*.cu"))
        {
            string comment = string.Join('\n', File.ReadLines(path).TakeWhile(line => line.StartsWith("//", StringComparison.Ordinal)));
            foreach (string part in (string[])["launch", "bytes", "flops", "limit"])
                Assert.True(comment.Contains(part, StringComparison.OrdinalIgnoreCase), $"{Path.GetFileName(path)} does not say '{part}' at its beginning");
        }
    }

    private static List<string> InMap()
    {
        var names = new List<string>();
        string file = "";
        foreach (string line in File.ReadLines(Path.Combine(s_folder, "README.md")))
        {
            if (Section().Match(line) is { Success: true } section)
                file = section.Groups[1].Value;
            else if (Row().Match(line) is { Success: true } row)
                names.AddRange(Alternatives(row.Groups[1].Value).Select(name => $"{file} {name}"));
        }
        return names;
    }

    /// <summary><c>a_{x,y}_b</c> stands for a_x_b and a_y_b.</summary>
    private static IEnumerable<string> Alternatives(string pattern)
    {
        int open = pattern.IndexOf('{'), close = pattern.IndexOf('}');
        return open < 0 ? [pattern] : pattern[(open + 1)..close].Split(',').SelectMany(part => Alternatives(pattern[..open] + part + pattern[(close + 1)..]));
    }

    [GeneratedRegex(@"^## (\w+\.cu)")]
    private static partial Regex Section();

    [GeneratedRegex(@"^\| `([\w{},]+)` \|")]
    private static partial Regex Row();
}
