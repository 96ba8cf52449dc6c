using System.Reflection;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cuda;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// Every file of <c>kernels/</c> becomes machine code for a GPU of 2018, of 2020 and of 2022, and no kernel needs more registers than
/// there are: spilled ones would go through memory.
/// </summary>
public class CompileTests
{
    private static readonly string[] s_architectures = ["sm_75", "sm_80", "sm_90a"];

    public static TheoryData<string> Files => [.. KernelLibrary.Files];

    public static TheoryData<string> Operators
    {
        get
        {
            var options = new SortedSet<string>(StringComparer.Ordinal);
            foreach (var type in typeof(Backend).Assembly.GetTypes().Where(type => type.IsValueType))
            {
                if (typeof(IUnaryOperator).IsAssignableFrom(type))
                    options.Add(KernelLibrary.UnaryOption(Expression(type)));
                if (typeof(IBinaryOperator).IsAssignableFrom(type))
                    options.Add(KernelLibrary.BinaryOption(Expression(type)));
            }
            return [.. options];
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Files))]
    public void EveryFileCompilesWithoutSpills(string file)
    {
        foreach (string architecture in s_architectures)
            Compile(file, architecture);
    }

    /// <summary>One architecture: the expressions hold nothing that depends on it.</summary>
    [SkippableTheory]
    [MemberData(nameof(Operators))]
    public void EveryOperatorCompiles(string option) => Compile("elementwise.cu", "sm_80", option);

    private static void Compile(string file, string architecture, params string[] options)
    {
        TestNvrtc.Require();
        var compiled = new KernelCompiler().Compile(KernelLibrary.Source(file), new KernelTarget(architecture), options);
        // What needs tensor cores alone is left out for a GPU without them.
        Assert.True(compiled.Resources.Count > 0 || compiled.Target.ComputeCapability < 80, $"{file} has no kernel for {architecture}");
        Assert.DoesNotContain("warning", compiled.Log);
        foreach (var kernel in compiled.Resources)
            Assert.True(kernel.SpillStoreBytes == 0 && kernel.SpillLoadBytes == 0, $"{architecture}: {kernel}");
    }

    private static string Expression(Type type) =>
        (string)type.GetProperty("Cuda", BindingFlags.Public | BindingFlags.Static)!.GetValue(null)!;
}
