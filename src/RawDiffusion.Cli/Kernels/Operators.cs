using System.Reflection;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;

namespace RawDiffusion.Cli.Kernels;

/// <summary>The elementwise operators, each of which makes kernels of its own from <c>elementwise.cu</c>.</summary>
internal static class Operators
{
    /// <summary>By the macro that carries their expressions, UNARY or BINARY: the operator's name and the compiler's option.</summary>
    public static ILookup<string, (string Name, string Option)> ByMacro { get; } = Find().ToLookup(found => found.Macro, found => (found.Name, found.Option));

    private static IEnumerable<(string Macro, string Name, string Option)> Find()
    {
        var types = typeof(Backend).Assembly.GetTypes().Where(type => type is { IsValueType: true, IsGenericTypeDefinition: false });
        foreach (var type in types.OrderBy(type => type.Name, StringComparer.Ordinal))
        {
            if (typeof(IUnaryOperator).IsAssignableFrom(type))
                yield return ("UNARY", Text(type, nameof(IUnaryOperator.Name)), KernelLibrary.UnaryOption(Text(type, nameof(IUnaryOperator.Cuda))));
            if (typeof(IBinaryOperator).IsAssignableFrom(type))
                yield return ("BINARY", Text(type, nameof(IBinaryOperator.Name)), KernelLibrary.BinaryOption(Text(type, nameof(IBinaryOperator.Cuda))));
        }
    }

    private static string Text(Type type, string property) =>
        (string)type.GetProperty(property, BindingFlags.Public | BindingFlags.Static)!.GetValue(null)!;
}
