using System.Collections.Concurrent;
using System.CommandLine;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cli.Kernels;
using RawDiffusion.Cli.Output;
using RawDiffusion.Cuda;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion kernels compile</c>: what each kernel needs on each architecture.</summary>
internal static class KernelsCompileCommand
{
    private static readonly string[] s_architectures = ["sm_75", "sm_80", "sm_90a"];

    public static Command Create()
    {
        var command = new Command("compile", "Compile the kernels and show the registers and the memory that they need. Fails when registers are spilled.");
        var names = KernelsCommand.Names();
        var architectures = new Option<string>("--arch")
        {
            Description = "GPU architectures, with commas between them.",
            DefaultValueFactory = _ => string.Join(',', s_architectures),
        };
        command.Arguments.Add(names);
        command.Options.Add(architectures);
        command.SetAction(parsed => Run(
            KernelsCommand.Select(parsed.GetValue(names) ?? []),
            [.. parsed.GetValue(architectures)!.Split(',', StringSplitOptions.TrimEntries).Select(Target).Distinct()]));
        return command.WithExamples("kernels compile", "kernels compile softmax matmul --arch sm_80", "kernels compile convolution.cu --arch sm_90a,sm_120");
    }

    private static KernelTarget Target(string architecture)
    {
        var target = new KernelTarget(architecture);
        return target.IsCubin ? target : throw new ArgumentException($"{architecture} is PTX, which has no registers yet; compile makes machine code: sm_{target.ComputeCapability}");
    }

    private static int Run(List<KernelEntry> kernels, KernelTarget[] targets)
    {
        foreach (var target in targets)
        {
            if (Nvrtc.Nearest(target) != target)
                throw new ArgumentException($"NVRTC {Nvrtc.Version} makes no machine code for {target}; it knows {string.Join(", ", Nvrtc.Architectures.Select(each => $"sm_{each}"))}");
        }
        List<Unit> units = [.. kernels.Select(kernel => (kernel.File, kernel.Condition)).Distinct().SelectMany(UnitsOf)];
        var reporter = ConsoleReporter.ForStandardOutput();
        reporter.Line($"{kernels.Count} kernels for {string.Join(", ", targets)} with NVRTC {Nvrtc.Version} ({CudaLibraries.Nvrtc.Path})");
        reporter.Begin("compile", units.Count * targets.Length, unit: "units");
        var results = CompileAll(units, targets, reporter);
        reporter.End();

        return Show(kernels, targets, results, reporter);
    }

    /// <summary>Shows the table.</summary>
    /// <returns>The exit code: 1 where a kernel spills.</returns>
    internal static int Show(
        List<KernelEntry> kernels, KernelTarget[] targets, Dictionary<(string File, string? Condition, KernelTarget Target), List<KernelResources>> results,
        Diffusion.Training.IRunReporter reporter)
    {
        string[][] cells = [.. kernels.Select(kernel => targets.Select(target => Cell(results[(kernel.File, kernel.Condition, target)], kernel)).ToArray())];
        if (Array.FindIndex(cells, row => row.All(cell => cell == Absent)) is >= 0 and var missing)
            throw new InvalidOperationException($"{kernels[missing].File} was compiled, and {kernels[missing].Name} is not in it.");
        Grid.Write(
            ["kernel", .. targets.Select(target => target.Architecture)],
            [.. kernels.Select((kernel, i) => (string[])[KernelsCommand.NameOf(kernel), .. cells[i]])]);
        reporter.Line("registers per thread / bytes of static shared memory per block / bytes of stack per thread; of a kernel with operators, the most that any needs");
        int spilling = cells.Count(row => row.Any(cell => cell.Contains("SPILLS", StringComparison.Ordinal)));
        if (cells.Any(row => row.Contains(Absent)))
            reporter.Line($"{Absent}: needs instructions that this architecture does not have");
        reporter.Line(spilling == 0 ? "no spills" : $"{spilling} kernels spill registers to local memory");
        return spilling == 0 ? 0 : 1;
    }

    /// <summary>What is compiled together: a file, or the part of it that is made for one operator.</summary>
    private sealed record Unit(string File, string? Condition, string[] Options);

    private static IEnumerable<Unit> UnitsOf((string File, string? Condition) part) => part.Condition is not { } macro
        ? [new Unit(part.File, null, [])]
        : Operators.ByMacro[macro].Select(each => new Unit(part.File, macro, [each.Option]));

    private static Dictionary<(string File, string? Condition, KernelTarget Target), List<KernelResources>> CompileAll(
        List<Unit> units, KernelTarget[] targets, Diffusion.Training.IRunReporter reporter)
    {
        var compiler = new KernelCompiler();
        var results = new ConcurrentBag<((string, string?, KernelTarget), IReadOnlyList<KernelResources>)>();
        int done = 0;
        try
        {
            Parallel.ForEach(units.SelectMany(unit => targets.Select(target => (unit, target))), work =>
            {
                var (unit, target) = work;
                var compiled = compiler.Compile(KernelLibrary.Source(unit.File), target, unit.Options);
                results.Add(((unit.File, unit.Condition, target), compiled.Resources));
                lock (compiler)
                    reporter.Report(++done);
            });
        }
        catch (AggregateException e)
        {
            throw e.InnerExceptions[0];
        }
        return results.GroupBy(result => result.Item1).ToDictionary(group => group.Key, group => group.SelectMany(result => result.Item2).ToList());
    }

    /// <summary>Some kernels need tensor cores or asynchronous copies and are not compiled for older architectures.</summary>
    private const string Absent = "-";

    private static string Cell(List<KernelResources> compiled, KernelEntry kernel)
    {
        var own = compiled.FindAll(resources => resources.Kernel == kernel.Name);
        if (own.Count == 0)
            return Absent;
        int spilled = own.Max(resources => resources.SpillStoreBytes + resources.SpillLoadBytes);
        string spills = spilled == 0 ? "" : $" SPILLS {spilled}";
        return $"{own.Max(r => r.Registers)} / {own.Max(r => r.SharedBytes)} / {own.Max(r => r.StackBytes)}{spills}";
    }
}
