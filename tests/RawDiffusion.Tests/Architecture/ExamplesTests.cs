using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace RawDiffusion.Tests;

/// <summary>The programs of <c>examples/</c> compile against the libraries as they are. Running them takes up to minutes and is left to the reader.</summary>
public class ExamplesTests
{
    // What <ImplicitUsings> adds to every file.
    private const string ImplicitUsings = """
        global using System;
        global using System.Collections.Generic;
        global using System.IO;
        global using System.Linq;
        global using System.Net.Http;
        global using System.Threading;
        global using System.Threading.Tasks;
        """;

    private static readonly CSharpParseOptions s_language = new CSharpParseOptions(LanguageVersion.CSharp14)
        .WithFeatures([new KeyValuePair<string, string>("FileBasedProgram", "true")]);

    // All that this process could load: .NET, the libraries, their packages.
    private static readonly Lazy<MetadataReference[]> s_references = new(() =>
        [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(path => MetadataReference.CreateFromFile(path))]);

    public static TheoryData<string> All =>
        [.. Directory.GetFiles(Path.Combine(Repository.Root, "examples"), "*.cs").Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(All))]
    public void EveryExampleCompiles(string file)
    {
        string text = File.ReadAllText(Path.Combine(Repository.Root, "examples", file));
        var compilation = CSharpCompilation.Create(
            "Example",
            [CSharpSyntaxTree.ParseText(text, s_language, file), CSharpSyntaxTree.ParseText(ImplicitUsings, s_language)],
            s_references.Value,
            new CSharpCompilationOptions(OutputKind.ConsoleApplication, nullableContextOptions: NullableContextOptions.Enable, allowUnsafe: true));
        Assert.Empty(compilation.GetDiagnostics().Where(diagnostic => diagnostic.Severity >= DiagnosticSeverity.Warning));
    }
}
