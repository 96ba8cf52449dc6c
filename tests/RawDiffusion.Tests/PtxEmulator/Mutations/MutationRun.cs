using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.Verification;
using Xunit.Abstractions;

namespace RawDiffusion.Tests;

/// <summary>
/// Are mistakes in kernels noticed? Every kernel file is damaged in one place at a time, and of all <see cref="Probe"/>s those that execute
/// the damaged line (<see cref="KernelReach"/>) are run with it on the emulated device in checked mode, until something objects: a hazard,
/// or a result that is wrong. What changes no result may still read twice or element by element: the tests of what kernels move
/// (<see cref="TrafficSamples"/>) are asked last. Takes many minutes, so it is made by its own command:
/// <c>RAWDIFFUSION_MUTATIONS=report.md dotnet test -c Release --filter MutationRun</c>; the report lists the survivors, and until it is
/// written the file has a line for every mutant that is done.
/// RAWDIFFUSION_MUTATIONS_PART=3/20 takes every 20th mutant, from the third on, and
/// RAWDIFFUSION_MUTATIONS_FILE=softmax those of files with such a name.
/// </summary>
public sealed class MutationRun : IDisposable
{
    private enum Outcome
    {
        /// <summary>The compiler refused it, or made the same code of it.</summary>
        NoMutant,
        Hazard,
        WrongResult,

        /// <summary>More bytes or more instructions than the kernel is to move them with.</summary>
        MoreWork,
        Survived,
    }

    private readonly TemporaryFolder _cache = new();
    private readonly KernelCompiler _compiler;
    private readonly ITestOutputHelper _output;

    /// <summary>What undamaged kernels give a probe that objected to damaged ones.</summary>
    private readonly ConcurrentDictionary<Probe, Lazy<CheckResult?>> _undamaged = new();

    public MutationRun(ITestOutputHelper output) => (_output, _compiler) = (output, new KernelCompiler(_cache.Path));

    public void Dispose() => _cache.Dispose();

    [SkippableFact]
    public void UndamagedKernelsGiveNoReasonToObject()
    {
        var device = Kernels.Emulated.Plain.Device;
        foreach (var sample in BackendSamples.All)
            Check.Passes(sample.Run(device)!.Value);
    }

    [SkippableFact]
    public void NineOfTenMistakesAreNoticed()
    {
        string? path = Environment.GetEnvironmentVariable("RAWDIFFUSION_MUTATIONS");
        Skip.If(string.IsNullOrEmpty(path), "takes many minutes: set RAWDIFFUSION_MUTATIONS to the file for the report");
        TestNvrtc.Require();
        var watch = Stopwatch.StartNew();
        File.WriteAllText(path, "");
        Probe[] probes = [.. Probe.All];
        var reach = KernelReach.Measure(probes, _compiler);
        File.AppendAllText(path, $"{probes.Length} probes counted in {watch.Elapsed.TotalSeconds:0} s\n");
        var (part, parts) = Part();
        string only = Environment.GetEnvironmentVariable("RAWDIFFUSION_MUTATIONS_FILE") ?? "";
        Mutant[] mutants = [.. KernelLibrary.Source(KernelLibrary.Files[0]).Headers
            .Where(file => reach.Knows(file.Key)).OrderBy(file => file.Key, StringComparer.Ordinal)
            .SelectMany(file => Mutant.Of(file.Key, file.Value))
            .Where((mutant, index) => index % parts == part - 1 && mutant.File.Contains(only))];
        var results = new ConcurrentDictionary<Mutant, (Outcome Outcome, string Detail)>();
        Parallel.ForEach(Partitioner.Create(mutants, EnumerablePartitionerOptions.NoBuffering),
            new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount },
            mutant =>
            {
                var started = Stopwatch.GetTimestamp();
                var result = results[mutant] = Try(mutant, reach.For(mutant.File, mutant.Line));
                lock (results)
                {
                    File.AppendAllText(path,
                        $"{results.Count}/{mutants.Length} {Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s {result.Outcome} {mutant} {result.Detail.Split('\n')[0]}\n");
                }
            });
        string report = Report(mutants, results, watch.Elapsed, reach);
        File.WriteAllText(path, report);
        _output.WriteLine(report);
        int caught = results.Values.Count(result => result.Outcome is Outcome.Hazard or Outcome.WrongResult or Outcome.MoreWork);
        int survived = results.Values.Count(result => result.Outcome == Outcome.Survived);
        Assert.True(caught >= 9 * survived, $"{survived} of {caught + survived} mistakes were not noticed; {path} lists them");
    }

    private static (int Part, int Parts) Part()
    {
        string[] numbers = (Environment.GetEnvironmentVariable("RAWDIFFUSION_MUTATIONS_PART") ?? "1/1").Split('/');
        return (int.Parse(numbers[0]), int.Parse(numbers[1]));
    }

    private (Outcome, string) Try(Mutant mutant, Probe[] probes)
    {
        KernelSource Damaged(string file)
        {
            var source = KernelLibrary.Source(file);
            var headers = source.Headers.ToDictionary(header => header.Key, header => header.Key == mutant.File ? mutant.Text : header.Value);
            return new KernelSource(file, file == mutant.File ? mutant.Text : source.Text, headers);
        }

        using var driver = NewDriver();
        using var backend = new CudaBackend(driver, 0, _compiler, Damaged);
        foreach (var probe in probes)
        {
            if (probe.Run(backend)?.Failure is not { } failure)
                continue;
            if (failure.Contains(nameof(KernelCompilationException)))
                return (Outcome.NoMutant, "refused by the compiler");
            // What objects to undamaged kernels would object to all.
            if (_undamaged.GetOrAdd(probe, each => new(() => RunUndamaged(each))).Value is { } undamaged)
                Check.Passes(undamaged);
            return (failure.Contains("CUDA_ERROR") || failure.Contains("HazardReport") ? Outcome.Hazard : Outcome.WrongResult, failure);
        }
        if (IsTheSameCode(mutant, Damaged))
            return (Outcome.NoMutant, "the same code");
        return TrafficSamples.Failure(mutant.File, _compiler, Damaged) is { } more ? (Outcome.MoreWork, more) : (Outcome.Survived, $"{probes.Length} probes");
    }

    private CheckResult? RunUndamaged(Probe probe)
    {
        using var driver = NewDriver();
        using var backend = new CudaBackend(driver, 0, _compiler, KernelLibrary.Source);
        return probe.Run(backend);
    }

    /// <summary>Whether the compiler makes of every file what it makes of the undamaged one.</summary>
    private bool IsTheSameCode(Mutant mutant, Func<string, KernelSource> damaged)
    {
        var target = new KernelTarget("compute_80");
        foreach (string file in KernelLibrary.Files)
        {
            var source = KernelLibrary.Source(file);
            if (file != mutant.File && !source.Included().Contains(mutant.File))
                continue;
            string[] variants = file == "elementwise.cu" ? ["", KernelLibrary.UnaryOption("-x"), KernelLibrary.BinaryOption("x + y")] : [""];
            foreach (string option in variants)
            {
                string[] options = option.Length == 0 ? [] : [option];
                if (Code(_compiler.Compile(source, target, options).Ptx) != Code(_compiler.Compile(damaged(file), target, options).Ptx))
                    return false;
            }
        }
        return true;
    }

    /// <summary>The PTX without what only tells of lines.</summary>
    private static string Code(string ptx) => string.Join('\n', ptx.Split('\n').Where(line => !line.TrimStart().StartsWith(".loc") && !line.StartsWith("//")));

    private static EmulatedCudaDriver NewDriver() => new(new EmulatorOptions
    {
        Mode = ExecutionMode.Checked, Workers = 1, InstructionBudget = 4 * KernelReach.LongestBlock, MemoryBytes = 1L << 30,
    });

    private static string Report(Mutant[] mutants, ConcurrentDictionary<Mutant, (Outcome Outcome, string Detail)> results, TimeSpan time, KernelReach reach)
    {
        var text = new StringBuilder("# Mistakes in kernels, and what notices them\n\n");
        text.Append("| mistake | mutants | hazard reported | wrong result | more work | survived |\n|---|---|---|---|---|---|\n");
        Mutant[] real = [.. mutants.Where(mutant => results[mutant].Outcome != Outcome.NoMutant)];
        foreach (var kind in real.GroupBy(mutant => mutant.Kind).Append(null))
        {
            Mutant[] of = kind is null ? real : [.. kind];
            int Count(Outcome outcome) => of.Count(mutant => results[mutant].Outcome == outcome);
            text.Append($"| {kind?.Key ?? "all"} | {of.Length} | {Count(Outcome.Hazard)} | {Count(Outcome.WrongResult)} | {Count(Outcome.MoreWork)} | {Count(Outcome.Survived)} |\n");
        }
        text.Append($"\n{mutants.Length - real.Length} more changed nothing or were refused by the compiler. {time.TotalMinutes:0} minutes.\n\n## Survivors\n\n");
        foreach (var mutant in real.Where(mutant => results[mutant].Outcome == Outcome.Survived))
            text.Append($"- {mutant}{(reach.Reaches(mutant.File, mutant.Line) ? "" : ", a line that nothing executes")}\n");
        return text.ToString();
    }
}
