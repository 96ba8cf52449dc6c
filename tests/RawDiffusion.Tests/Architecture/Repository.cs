using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace RawDiffusion.Tests;

/// <summary>The source files of this repository, for tests of its structure.</summary>
internal static partial class Repository
{
    public static string Root { get; } = FindRoot();

    /// <summary>The C# files below a folder given from the root.</summary>
    public static IEnumerable<string> Sources(string folder) => Directory
        .EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories)
        .Where(path => !path.Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj"));

    /// <summary>C# without comments and without the contents of string literals, so that only code is left to search.</summary>
    public static string Code(string source) => Noise().Replace(source, match => match.Value[0] == '/' ? " " : "\"\"");

    /// <summary>Whether code mentions a name as a whole word; a dotted name as it stands.</summary>
    public static bool Mentions(string code, string name) => Regex.IsMatch(code, $@"(?<![\w.]){Regex.Escape(name)}(?!\w)");

    [GeneratedRegex("""//[^\n]*|/\*.*?\*/|"{3,}.*?"{3,}|@"(?:""|[^"])*"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'""", RegexOptions.Singleline)]
    private static partial Regex Noise();

    private static string FindRoot([CallerFilePath] string thisFile = "")
    {
        for (var folder = Path.GetDirectoryName(thisFile); folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "RawDiffusion.sln")))
                return folder;
        }
        throw new DirectoryNotFoundException($"No RawDiffusion.sln above {thisFile}; these tests read the sources they were built from.");
    }
}
