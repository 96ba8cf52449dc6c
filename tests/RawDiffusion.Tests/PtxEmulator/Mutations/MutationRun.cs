using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.Verification;
using Xunit.Abstractions;

namespace RawDiffusion.Tests;

/// <summary>
/// Are mistakes in kernels noticed? Every kernel file is damaged in one place at a time, and the table of operations (with
/// <see cref="BackendSamples"/>) is run with it on the emulated device in checked mode, in every way in which the file's kernels are
/// launched: as the backend chooses in float32 and in bfloat16, and by every rung of a ladder. The run ends when something objects: a
/// hazard, or a result that is wrong. Takes many minutes, so it is made by its own command:
/// <c>RAWDIFFUSION_MUTATIONS=report.md dotnet test --filter MutationRun</c>; the report lists the survivors, and until it is written the
/// file has a line for every mutant that is done.
/// RAWDIFFUSION_MUTATIONS_PART=3/20 takes every 20th mutant, from the third on, and
/// RAWDIFFUSION_MUTATIONS_FILE=softmax those of files with such a name.
/// </summary>
public sealed class MutationRun : IDisposable
{
    private const int MostCases = 150;

    /// <summary>Rows of an operation, by one rung and in one precision, that show which files its kernels are in: the first and the largest.</summary>
    private const int Scouts = 3;

    private enum Outcome
    {
        /// <summary>The compiler refused it, or made the same code of it.</summary>
        NoMutant,
        Hazard, WrongResult, Survived,
    }

    /// <summary>A row of the table in one of the ways that it is computed in.</summary>
    /// <param name="Rung">The rung that has to compute it; null for what the backend chooses.</param>
    private sealed record Way(OperationCase Row, Rung? Rung, Precision Precision)
    {
        /// <summary>What is computed by the same kernels, more or less.</summary>
        public (string, Rung?, Precision) Kind => (Row.Operation, Rung, Precision);

        public static IEnumerable<Way> All =>
            OperationTable.All.Select(row => new Way(row, null, Precision.Float32))
                .Concat(OperationTable.All.Where(row => row.HasBFloat16).Select(row => new Way(row, null, Precision.BFloat16)))
                .Concat(Ladders.All.SelectMany(ladder => ladder.Rungs).SelectMany(
                    rung => Kernels.RungTests.RowsOf(rung.Operation, rung.Precision).Select(row => new Way(row, rung, rung.Precision))));

        /// <returns>Null where the rung is not for the row's shape.</returns>
        public CheckResult? Run(CudaBackend device)
        {
            if (Rung is null)
                return CaseVerifier.CompareWithReference(Row, device, Precision);
            using (device.Use(Rung))
                return Kernels.RungTests.Compare(Row, device, Rung);
        }
    }

    private readonly TemporaryFolder _cache = new();
    private readonly KernelCompiler _compiler;
    private readonly ITestOutputHelper _output;

    public MutationRun(ITestOutputHelper output) => (_output, _compiler) = (output, new KernelCompiler(_cache.Path));

    public void Dispose() => _cache.Dispose();

    [SkippableFact]
    public void UndamagedKernelsGiveNoReasonToObject() =>
        Assert.Null(BackendSamples.Failure(Kernels.Emulated.Plain.Device, [.. BackendSamples.Files]));

    [SkippableFact]
    public void NineOfTenMistakesAreNoticed()
    {
        string? path = Environment.GetEnvironmentVariable("RAWDIFFUSION_MUTATIONS");
        Skip.If(string.IsNullOrEmpty(path), "takes many minutes: set RAWDIFFUSION_MUTATIONS to the file for the report");
        TestNvrtc.Require();
        var users = FindUsers();
        var (part, parts) = Part();
        string only = Environment.GetEnvironmentVariable("RAWDIFFUSION_MUTATIONS_FILE") ?? "";
        Mutant[] mutants = [.. KernelLibrary.Source(KernelLibrary.Files[0]).Headers
            .Where(file => users.ContainsKey(file.Key)).OrderBy(file => file.Key, StringComparer.Ordinal)
            .SelectMany(file => Mutant.Of(file.Key, file.Value))
            .Where((mutant, index) => index % parts == part - 1 && mutant.File.Contains(only))];
        File.WriteAllText(path, "");
        var results = new ConcurrentDictionary<Mutant, (Outcome Outcome, string Detail)>();
        var watch = Stopwatch.StartNew();
        Parallel.ForEach(mutants, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount },
            mutant =>
            {
                var result = results[mutant] = Try(mutant, users[mutant.File]);
                lock (results)
                    File.AppendAllText(path, $"{results.Count}/{mutants.Length} {result.Outcome} {mutant} {result.Detail.Split('\n')[0]}\n");
            });
        string report = Report(mutants, results, watch.Elapsed);
        File.WriteAllText(path, report);
        _output.WriteLine(report);
        int caught = results.Values.Count(result => result.Outcome is Outcome.Hazard or Outcome.WrongResult);
        int survived = results.Values.Count(result => result.Outcome == Outcome.Survived);
        Assert.True(caught >= 9 * survived, $"{survived} of {caught + survived} mistakes were not noticed; {path} lists them");
    }

    private static (int Part, int Parts) Part()
    {
        string[] numbers = (Environment.GetEnvironmentVariable("RAWDIFFUSION_MUTATIONS_PART") ?? "1/1").Split('/');
        return (int.Parse(numbers[0]), int.Parse(numbers[1]));
    }

    /// <summary>For each file what runs its kernels and passes with undamaged ones: some of every kind first, then the others.</summary>
    private Dictionary<string, List<Way>> FindUsers()
    {
        var users = new Dictionary<string, List<Way>>();
        foreach (var kind in Way.All.GroupBy(way => way.Kind))
        {
            Way[] ways = [.. kind];
            var files = new ConcurrentDictionary<string, bool>();
            Run([ways[0], .. ways.OrderByDescending(way => way.Row.Inputs.Sum(input => (long)input.Shape.Count)).Take(Scouts - 1)], [], file =>
            {
                var source = KernelLibrary.Source(file);
                foreach (string name in source.Included().Append(file))
                    files[name] = true;
                return source;
            }, stopAtFailure: false);
            foreach (string file in files.Keys)
            {
                if (!users.TryGetValue(file, out var list))
                    users[file] = list = [];
                list.AddRange(ways);
            }
        }
        foreach (string file in BackendSamples.Files)
            users.TryAdd(file, []);
        foreach (var list in users.Values)
            Spread(list);
        // What objects to undamaged kernels would object to all. Rungs that are not for a row are left out here, once for all mutants.
        using var driver = NewDriver();
        using var backend = new CudaBackend(driver, 0, _compiler, KernelLibrary.Source);
        var results = users.Values.SelectMany(list => list).Distinct().ToDictionary(way => way, way => way.Run(backend));
        foreach (var result in results.Values.OfType<CheckResult>())
            Check.Passes(result);
        foreach (var list in users.Values)
            list.RemoveAll(way => results[way] is null);
        return users;
    }

    /// <summary>Takes the kinds in turn, of each the first, then those in between, and not more than <see cref="MostCases"/>.</summary>
    private static void Spread(List<Way> ways)
    {
        var spread = ways.GroupBy(way => way.Kind)
            .SelectMany(group => group.Select((way, i) => (way, Rank: (double)i * 7 % group.Count())))
            .OrderBy(entry => entry.Rank).Select(entry => entry.way).Take(MostCases).ToList();
        ways.Clear();
        ways.AddRange(spread);
    }

    private (Outcome, string) Try(Mutant mutant, List<Way> ways)
    {
        bool refused = false, different = false;
        string? failure = null;
        try
        {
            failure = Run(ways, [.. BackendSamples.Files.Where(file => file == mutant.File || KernelLibrary.Source(file).Included().Contains(mutant.File))], file =>
            {
                var source = KernelLibrary.Source(file);
                var headers = source.Headers.ToDictionary(header => header.Key, header => header.Key == mutant.File ? mutant.Text : header.Value);
                var changed = new KernelSource(file, file == mutant.File ? mutant.Text : source.Text, headers);
                if (file == mutant.File || source.Included().Contains(mutant.File))
                    (refused, different) = Compare(source, changed, refused, different);
                return changed;
            }, stopAtFailure: true);
        }
        catch (KernelCompilationException)
        {
            refused = true;
        }
        if (refused)
            return (Outcome.NoMutant, "refused by the compiler");
        if (!different)
            return (Outcome.NoMutant, "the same code");
        if (failure is null)
            return (Outcome.Survived, "");
        return (failure.Contains("CUDA_ERROR") || failure.Contains("HazardReport") ? Outcome.Hazard : Outcome.WrongResult, failure);
    }

    /// <summary>Whether the compiler refuses the changed source, and whether it makes other code of it.</summary>
    private (bool Refused, bool Different) Compare(KernelSource source, KernelSource changed, bool refused, bool different)
    {
        // With operators as options the elementwise kernels compile only there; the others are compared here.
        if (source.Name == "elementwise.cu")
            return (refused, true);
        try
        {
            var target = new KernelTarget("compute_80");
            return (refused, different || Code(_compiler.Compile(source, target).Ptx) != Code(_compiler.Compile(changed, target).Ptx));
        }
        catch (KernelCompilationException)
        {
            return (true, different);
        }
    }

    /// <summary>The PTX without what only tells of lines.</summary>
    private static string Code(string ptx) => string.Join('\n', ptx.Split('\n').Where(line => !line.TrimStart().StartsWith(".loc") && !line.StartsWith("//")));

    private static EmulatedCudaDriver NewDriver() => new(new EmulatorOptions
    {
        Mode = ExecutionMode.Checked, Workers = 1, InstructionBudget = 3_000_000, MemoryBytes = 1L << 30,
    });

    /// <summary>Runs ways, then the samples of files, on a device with the kernels of a source; the first failure, or null.</summary>
    private string? Run(IEnumerable<Way> ways, string[] samples, Func<string, KernelSource> sources, bool stopAtFailure)
    {
        using var driver = NewDriver();
        using var backend = new CudaBackend(driver, 0, _compiler, sources);
        foreach (var way in ways)
        {
            if (way.Run(backend)?.Failure is { } failure && stopAtFailure)
                return failure;
        }
        return BackendSamples.Failure(backend, samples);
    }

    private static string Report(Mutant[] mutants, ConcurrentDictionary<Mutant, (Outcome Outcome, string Detail)> results, TimeSpan time)
    {
        var text = new StringBuilder("# Mistakes in kernels, and what notices them\n\n");
        text.Append("| mistake | mutants | hazard reported | wrong result | survived |\n|---|---|---|---|---|\n");
        Mutant[] real = [.. mutants.Where(mutant => results[mutant].Outcome != Outcome.NoMutant)];
        foreach (var kind in real.GroupBy(mutant => mutant.Kind).Append(null))
        {
            Mutant[] of = kind is null ? real : [.. kind];
            int Count(Outcome outcome) => of.Count(mutant => results[mutant].Outcome == outcome);
            text.Append($"| {kind?.Key ?? "all"} | {of.Length} | {Count(Outcome.Hazard)} | {Count(Outcome.WrongResult)} | {Count(Outcome.Survived)} |\n");
        }
        text.Append($"\n{mutants.Length - real.Length} more changed nothing or were refused by the compiler. {time.TotalMinutes:0} minutes.\n\n## Survivors\n\n");
        foreach (var mutant in real.Where(mutant => results[mutant].Outcome == Outcome.Survived))
            text.Append($"- {mutant}\n");
        return text.ToString();
    }
}
