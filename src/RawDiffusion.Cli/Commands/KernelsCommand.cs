using System.CommandLine;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cli.Kernels;
using RawDiffusion.Cli.Output;
using RawDiffusion.Cuda;
using RawDiffusion.Verification;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion kernels</c>: what the GPU executes, seen without one.</summary>
internal static class KernelsCommand
{
    public static Command Create() => new("kernels", "List, compile and show the CUDA kernels; execute any kernel on the emulated GPU.")
    {
        List(), KernelsCompileCommand.Create(), Ptx(), KernelsRunCommand.Create(),
    };

    /// <summary>The kernels whose name or file contains one of the texts; all where there is none.</summary>
    /// <exception cref="ArgumentException">A text matches nothing.</exception>
    internal static List<KernelEntry> Select(string[] names)
    {
        List<KernelEntry> all = [.. KernelLibrary.Files.SelectMany(file => new KernelIndex(KernelLibrary.Source(file)).Kernels)];
        foreach (string name in names)
        {
            if (!all.Exists(kernel => Matches(kernel, name)))
                throw new ArgumentException($"there is no kernel and no file '{name}'; {NearestName.Hint(name, [.. all.Select(kernel => kernel.Name), .. KernelLibrary.Files])}rawdiffusion kernels list shows them");
        }
        return names.Length == 0 ? all : all.FindAll(kernel => names.Any(name => Matches(kernel, name)));
    }

    private static bool Matches(KernelEntry kernel, string name) => kernel.Name.Contains(name, StringComparison.Ordinal) || kernel.File == name;

    private static Command List()
    {
        var command = new Command("list", "List the kernels by file, each with a sentence.");
        var names = Names();
        command.Arguments.Add(names);
        command.SetAction(parsed =>
        {
            var rows = new List<string[]>();
            foreach (var file in Select(parsed.GetValue(names) ?? []).GroupBy(kernel => kernel.File))
            {
                rows.Add([file.Key, "", new KernelIndex(KernelLibrary.Source(file.Key)).About]);
                rows.AddRange(file.Select(kernel => new[] { kernel.File, NameOf(kernel), kernel.Description }));
            }
            Grid.Write(["file", "kernel", "computes"], rows);
            return 0;
        });
        return command.WithExamples("kernels list", "kernels list softmax");
    }

    internal static string NameOf(KernelEntry kernel) => kernel.Condition is { } macro
        ? $"{kernel.Name} ({Operators.ByMacro[macro].Count()} operators)"
        : kernel.Name;

    private static Command Ptx()
    {
        var command = new Command("ptx", "Show a kernel as PTX, the instructions that a driver translates for its GPU and that the emulator executes.");
        var name = new Argument<string>("NAME") { Description = "A kernel, or a file for all that is in it." };
        var architecture = new Option<string>("--arch") { Description = "The instruction set: compute_80, ...", DefaultValueFactory = _ => "compute_80" };
        var operation = new Option<string?>("--operator") { Description = "For the elementwise kernels, which are made for one operator each: silu, add, ..." };
        command.Arguments.Add(name);
        command.Options.Add(architecture);
        command.Options.Add(operation);
        command.SetAction(parsed =>
        {
            Console.Out.WriteLine(PtxOf(parsed.GetValue(name)!, parsed.GetValue(architecture)!, parsed.GetValue(operation)));
            return 0;
        });
        return command.WithExamples("kernels ptx softmax_forward_f32", "kernels ptx elementwise_unary_f32 --operator silu --arch compute_75", "kernels ptx shaping.cu");
    }

    private static string PtxOf(string name, string architecture, string? operation)
    {
        var target = new KernelTarget(architecture);
        if (target.IsCubin)
            throw new ArgumentException($"{architecture} is machine code; PTX is made for compute_{target.ComputeCapability}");
        if (KernelLibrary.Files.Contains(name) && operation is null)
            return new KernelCompiler().Compile(KernelLibrary.Source(name), target).Ptx;

        var kernel = Select([name]).Find(kernel => kernel.Name == name)
            ?? throw new ArgumentException($"'{name}' is only a part of a name; there are: {string.Join(", ", Select([name]).Select(kernel => kernel.Name))}");
        var compiled = new KernelCompiler().Compile(KernelLibrary.Source(kernel.File), target, [.. OptionsFor(kernel, operation)]);
        return PtxText.OfKernel(compiled.Ptx, name);
    }

    private static IEnumerable<string> OptionsFor(KernelEntry kernel, string? operation)
    {
        if (kernel.Condition is not { } macro)
            return operation is null ? [] : throw new ArgumentException($"{kernel.Name} is not made for operators; --operator does not apply to it");
        var found = Operators.ByMacro[macro].FirstOrDefault(candidate => candidate.Name == operation).Option;
        return found is not null ? [found] : throw new ArgumentException(
            $"{kernel.Name} is made for each operator; give --operator, one of: {string.Join(", ", Operators.ByMacro[macro].Select(candidate => candidate.Name))}");
    }

    internal static Argument<string[]> Names() => new("NAME")
    {
        Description = "Part of a kernel's name, or a file; all kernels where none is given.",
        Arity = ArgumentArity.ZeroOrMore,
    };
}
