using System.Reflection;

namespace RawDiffusion.Tests;

/// <summary>
/// Who may know whom: Cli -> Diffusion -> RawDiffusion -> Cuda; PtxEmulator -> Cuda; Verification -> RawDiffusion. Inside
/// RawDiffusion: Nn and Optim -> Tensor and Ops -> Autograd and Backends, and only Backends/Cuda names RawDiffusion.Cuda.
/// </summary>
public class DependencyTests
{
    /// <summary>What each project of src may reference; one that is not listed fails.</summary>
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["RawDiffusion.Cuda"] = [],
        ["RawDiffusion.PtxEmulator"] = ["RawDiffusion.Cuda"],
        ["RawDiffusion"] = ["RawDiffusion.Cuda"],
        ["RawDiffusion.Diffusion"] = ["RawDiffusion"],
        ["RawDiffusion.Verification"] = ["RawDiffusion"],
        ["RawDiffusion.Cli"] =
            ["RawDiffusion", "RawDiffusion.Diffusion", "RawDiffusion.Verification", "RawDiffusion.PtxEmulator", "RawDiffusion.Cuda"],
    };

    public static TheoryData<string> Projects() =>
        new(Directory.EnumerateDirectories(Path.Combine(Repository.Root, "src")).Select(folder => Path.GetFileName(folder)));

    [Theory]
    [MemberData(nameof(Projects))]
    public void AssembliesReferenceOnlyWhatTheyMayKnow(string project)
    {
        var references = Assembly.Load(new AssemblyName(project)).GetReferencedAssemblies()
            .Select(reference => reference.Name!)
            .Where(name => name.StartsWith("RawDiffusion", StringComparison.Ordinal));
        Assert.Empty(references.Except(Allowed[project]));
    }

    /// <summary>Compilers drop references that nothing uses, so the project files are read too.</summary>
    [Theory]
    [MemberData(nameof(Projects))]
    public void ProjectsReferenceOnlyWhatTheyMayKnow(string project)
    {
        var document = System.Xml.Linq.XDocument.Load(Path.Combine(Repository.Root, "src", project, project + ".csproj"));
        var references = document.Descendants("ProjectReference")
            .Select(reference => Path.GetFileNameWithoutExtension(reference.Attribute("Include")!.Value.Replace('\\', '/')));
        Assert.Empty(references.Except(Allowed[project]));
    }

    /// <summary>Backends compute on storages. Of what is above them they know the scope that will hand a storage back, no more.</summary>
    [Fact]
    public void BackendsKnowNothingOfTensors()
    {
        string[] above =
        [
            "Tensor", "Parameter", "Function", "GradMode", "Autograd", "Generator",
            "RawDiffusion.Ops", "RawDiffusion.Nn", "RawDiffusion.Optim", "RawDiffusion.IO",
        ];
        AssertNone(Violations("src/RawDiffusion/Backends", above));
        AssertNone(Violations("src/RawDiffusion/Backends", ["MemoryScope"]).Where(violation => !violation.Contains("Storage.cs")));
    }

    [Fact]
    public void AutogradKnowsNeitherOperationsNorModules() =>
        AssertNone(Violations("src/RawDiffusion/Autograd", ["RawDiffusion.Ops", "RawDiffusion.Nn", "RawDiffusion.Optim", "RawDiffusion.IO"]));

    [Fact]
    public void OperationsKnowNoModules() =>
        AssertNone(Violations("src/RawDiffusion/Ops", ["RawDiffusion.Nn", "RawDiffusion.Optim", "RawDiffusion.IO"]));

    [Fact]
    public void ModulesKnowNoOptimizers() => AssertNone(Violations("src/RawDiffusion/Nn", ["RawDiffusion.Optim"]));

    [Fact]
    public void OnlyTheCudaBackendNamesCuda()
    {
        string cuda = Path.Combine("RawDiffusion", "Backends", "Cuda");
        AssertNone(Violations("src/RawDiffusion", ["RawDiffusion.Cuda"]).Where(violation => !violation.Contains(cuda)));
        AssertNone(Violations("src/RawDiffusion.Diffusion", ["RawDiffusion.Cuda"]));
    }

    [Fact]
    public void CudaKnowsNoTensorsAndNoEmulator() => AssertNone(Violations("src/RawDiffusion.Cuda",
        ["RawDiffusion.Backends", "RawDiffusion.IO", "RawDiffusion.PtxEmulator", "Tensor", "Storage", "Backend"]));

    [Fact]
    public void TheEmulatorKnowsOnlyCuda()
    {
        if (Directory.Exists(Path.Combine(Repository.Root, "src/RawDiffusion.PtxEmulator")))
            AssertNone(Violations("src/RawDiffusion.PtxEmulator", ["RawDiffusion.Backends", "RawDiffusion.IO", "Tensor", "Storage", "Backend"]));
    }

    [Fact]
    public void TheLibraryKnowsNothingOfWhatStandsOnIt() =>
        AssertNone(Violations("src/RawDiffusion", ["RawDiffusion.Diffusion", "RawDiffusion.Verification", "RawDiffusion.Cli"]));

    [Fact]
    public void DiffusionKnowsNeitherVerificationNorTheCommandLine() =>
        AssertNone(Violations("src/RawDiffusion.Diffusion", ["RawDiffusion.Verification", "RawDiffusion.Cli", "System.CommandLine", "Spectre.Console"]));

    /// <summary>The search behind these tests finds what it should and is not misled by comments and messages.</summary>
    [Theory]
    [InlineData("using RawDiffusion.Nn;", "RawDiffusion.Nn", true)]
    [InlineData("var x = RawDiffusion.Nn.Init.Zeros();", "RawDiffusion.Nn", true)]
    [InlineData("Tensor x;", "Tensor", true)]
    [InlineData("void F(Tensor[] x)", "Tensor", true)]
    [InlineData("// a Tensor\n/* Tensor */ /// <see cref=\"Tensor\"/>", "Tensor", false)]
    [InlineData("throw new Exception(\"a \\\" Tensor\");", "Tensor", false)]
    [InlineData("var c = '\"'; Tensor x;", "Tensor", true)]
    [InlineData("using System.Numerics.Tensors; TensorShape s;", "Tensor", false)]
    [InlineData("using RawDiffusion.Nnue;", "RawDiffusion.Nn", false)]
    public void TheSearchFindsCode(string source, string name, bool found) =>
        Assert.Equal(found, Repository.Mentions(Repository.Code(source), name));

    private static void AssertNone(IEnumerable<string> violations)
    {
        string message = string.Join('\n', violations);
        Assert.True(message.Length == 0, message);
    }

    private static List<string> Violations(string folder, string[] names)
    {
        var violations = new List<string>();
        foreach (string path in Repository.Sources(folder))
        {
            string code = Repository.Code(File.ReadAllText(path));
            foreach (string name in names)
            {
                if (Repository.Mentions(code, name))
                    violations.Add($"{Path.GetRelativePath(Repository.Root, path)} mentions {name}");
            }
        }
        return violations;
    }
}
