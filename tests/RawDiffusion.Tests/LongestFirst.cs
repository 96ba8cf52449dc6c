using Xunit.Abstractions;

[assembly: TestCollectionOrderer("RawDiffusion.Tests.LongestFirst", "RawDiffusion.Tests")]

namespace RawDiffusion.Tests;

/// <summary>
/// Begins with the classes that take longest, so that none of them is alone at the end while the other processors have nothing to do. The
/// rest follows as it comes. Measured by <c>dotnet test --logger trx</c>; a name that is no class's fails <see cref="LongestFirstTests"/>.
/// </summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    internal static readonly string[] Names =
    [
        "StudyTests", "RungTests", "EmulatedTableTests", "EmulatedOrderTests", "OperationTableTests", "StrictDriverTests", "CompileTests",
        "EmulatedTrainingTests", "GpuScriptTests", "EmulatedPrecisionTests", "ResumeTests", "BenchTests", "MatMulLadderTests", "SignalTests",
        "SafetensorsFuzzTests", "ConversionTests", "AttentionRungTests", "KernelsRunTests", "KernelsTests", "IntegerTests",
        "EmulatedApproximationTests", "CrashTests", "FloatArithmeticTests", "VocabularyTests", "DoctorTests", "ExamplesTests", "PtxFuzzTests",
        "DeviceChoiceTests", "CublasTests", "WinogradTests", "SampleTests", "CorrectKernelTests",
    ];

    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections) =>
        testCollections.OrderBy(Place).ThenBy(collection => collection.DisplayName, StringComparer.Ordinal);

    /// <summary>Where the collection's class stands among the names. xunit calls it "Test collection for NAMESPACE.CLASS".</summary>
    private static int Place(ITestCollection collection)
    {
        string name = collection.DisplayName;
        int place = Array.IndexOf(Names, name[(name.LastIndexOfAny(['.', ' ']) + 1)..]);
        return place < 0 ? Names.Length : place;
    }
}

public class LongestFirstTests
{
    [Fact]
    public void EveryNameIsThatOfAClass()
    {
        var classes = typeof(LongestFirst).Assembly.GetTypes().Select(type => type.Name).ToHashSet();
        Assert.All(LongestFirst.Names, name => Assert.Contains(name, classes));
    }
}
