using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>
/// Which lines of the kernels' sources each probe executes, and how much it executes: counted once, with undamaged kernels. From it follows
/// what to run where a line is damaged. A probe that does not come to the line would notice nothing.
/// </summary>
internal sealed partial class KernelReach
{
    /// <summary>What a block of undamaged kernels executes at most, in instructions of warps; probes that need more are left out.</summary>
    public const long LongestBlock = 2_000_000;

    /// <summary>Instructions of warps that take about as long as what a probe does beside them.</summary>
    private const long Overhead = 20_000;

    /// <summary>The same for all that is run for one line: some three seconds in checked mode.</summary>
    private const long MostForALine = 30_000_000;

    private readonly ConcurrentDictionary<(string File, int Line), List<Reached>> _byLine = new();
    private readonly ConcurrentDictionary<(string File, int Line), Probe[]> _chosen = new();
    private readonly Dictionary<string, long> _sizeByKernel;

    private KernelReach(Dictionary<string, long> sizeByKernel) => _sizeByKernel = sizeByKernel;

    /// <param name="Path">The same for probes that execute the same lines.</param>
    /// <param name="Size">Of the PTX that must be made for it, which takes longer than most probes.</param>
    private sealed record Reached(Probe Probe, int Number, int Path, long Cost, long Size);

    /// <summary>Executes all probes in counted mode.</summary>
    public static KernelReach Measure(Probe[] probes, KernelCompiler compiler)
    {
        var reach = new KernelReach(SizeByKernel(compiler));
        int next = -1;
        Parallel.For(0, Environment.ProcessorCount, _ =>
        {
            using var driver = new EmulatedCudaDriver(new EmulatorOptions { Mode = ExecutionMode.Counted, Workers = 1 });
            using var backend = new CudaBackend(driver, 0, compiler, KernelLibrary.Source);
            var before = new Dictionary<KernelCounters, Snapshot>();
            while (Interlocked.Increment(ref next) is int number && number < probes.Length)
            {
                var result = probes[number].Run(backend);
                backend.Synchronize();
                var lines = new HashSet<(string, int)>();
                var sizes = new HashSet<long>();
                long instructions = 0, longest = 0;
                foreach (var counters in driver.Counters)
                {
                    if (!before.TryGetValue(counters, out var snapshot))
                        before[counters] = snapshot = new Snapshot(counters);
                    if (snapshot.Launches == counters.Launches)
                        continue;
                    var (executed, blocks) = snapshot.Update(lines);
                    instructions += executed;
                    sizes.Add(reach._sizeByKernel.GetValueOrDefault(counters.Kernel.Name));
                    longest = Math.Max(longest, executed / Math.Max(1, blocks));
                }
                if (result is not { } passed)
                    continue;
                Check.Passes(passed);
                if (longest <= LongestBlock)
                    reach.Add(probes[number], number, lines, instructions + Overhead, sizes.Sum());
            }
        });
        return reach;
    }

    /// <summary>Whether anything executes a line of a file.</summary>
    public bool Knows(string file) => _byLine.Keys.Any(line => line.File == file);

    public bool Reaches(string file, int line) => _byLine.ContainsKey((file, line));

    /// <summary>
    /// What to run where a line is damaged, as much as a limit on their instructions allows: of every kind and every path through the
    /// kernels first the smallest, then the largest, then those between. Each time kernels of small files come first: compiling takes
    /// longest, and mostly the first probe objects.
    /// </summary>
    public Probe[] For(string file, int line) => _chosen.GetOrAdd((file, line), at =>
    {
        var groups = Around(at.File, at.Line).GroupBy(reached => (reached.Probe.Kind, reached.Path))
            .Select(group => Spread([.. group.OrderBy(reached => reached.Cost).ThenBy(reached => reached.Number)])).ToList();
        var chosen = new List<Probe>();
        long cost = 0;
        for (int turn = 0; groups.Any(group => turn < group.Length) && cost < MostForALine; turn++)
        {
            foreach (var reached in groups.Where(group => turn < group.Length).Select(group => group[turn]).OrderBy(each => each.Size).ThenBy(each => each.Cost).ThenBy(each => each.Number))
            {
                if ((cost += reached.Cost) >= MostForALine)
                    break;
                chosen.Add(reached.Probe);
            }
        }
        return [.. chosen];
    });

    private void Add(Probe probe, int number, HashSet<(string, int)> lines, long cost, long size)
    {
        int path = 0;
        foreach (var line in lines)
            path ^= line.GetHashCode();
        var reached = new Reached(probe, number, path, cost, size);
        foreach (var line in lines)
        {
            var list = _byLine.GetOrAdd(line, static _ => []);
            lock (list)
                list.Add(reached);
        }
    }

    /// <summary>By the name of a kernel the size of its file in PTX.</summary>
    private static Dictionary<string, long> SizeByKernel(KernelCompiler compiler)
    {
        var sizes = new Dictionary<string, long>();
        foreach (string file in KernelLibrary.Files)
        {
            string ptx = compiler.Compile(KernelLibrary.Source(file), new KernelTarget("compute_80")).Ptx;
            foreach (Match entry in Entry().Matches(ptx))
                sizes[entry.Groups[1].Value] = ptx.Length;
        }
        return sizes;
    }

    /// <summary>What executes the line; where nothing is known of it, since the compiler has given its code to neighbours, the nearest lines on both sides.</summary>
    private IEnumerable<Reached> Around(string file, int line)
    {
        if (_byLine.TryGetValue((file, line), out var found))
            return found;
        int[] known = [.. _byLine.Keys.Where(key => key.File == file).Select(key => key.Line)];
        int above = known.Where(each => each < line).DefaultIfEmpty(-1).Max(), below = known.Where(each => each > line).DefaultIfEmpty(-1).Min();
        return new[] { above, below }.Where(each => each >= 0).SelectMany(each => _byLine[(file, each)]).Distinct();
    }

    /// <summary>The first, the last, the one in the middle, those in the middle of the halves and so on.</summary>
    private static Reached[] Spread(Reached[] sorted)
    {
        if (sorted.Length <= 2)
            return sorted;
        var order = new List<int> { 0, sorted.Length - 1 };
        var gaps = new Queue<(int Low, int High)>([(0, sorted.Length - 1)]);
        while (gaps.TryDequeue(out var gap))
        {
            int middle = (gap.Low + gap.High) / 2;
            if (middle == gap.Low)
                continue;
            order.Add(middle);
            gaps.Enqueue((gap.Low, middle));
            gaps.Enqueue((middle, gap.High));
        }
        return [.. order.Select(i => sorted[i])];
    }

    [GeneratedRegex(@"\.entry (\w+)")]
    private static partial Regex Entry();

    /// <summary>How often the instructions of a kernel had been executed.</summary>
    private sealed class Snapshot(KernelCounters counters)
    {
        private readonly long[] _executions = new long[counters.Instructions.Length];
        private readonly (string, int)[][] _lines = [.. counters.Kernel.Lines.Select(line => Chain(line).ToArray())];
        private long _blocks;

        public long Launches { get; private set; }

        /// <summary>Goes on to now; adds the lines executed since. Returns the instructions and blocks executed.</summary>
        public (long Executed, long Blocks) Update(HashSet<(string, int)> lines)
        {
            long executed = 0, blocks = counters.Blocks - _blocks;
            for (int pc = 0; pc < _executions.Length; pc++)
            {
                long now = counters.Instructions[pc].WarpExecutions, since = now - _executions[pc];
                _executions[pc] = now;
                executed += since;
                if (since > 0 && counters.Kernel.Code[pc].Line >= 0)
                    lines.UnionWith(_lines[counters.Kernel.Code[pc].Line]);
            }
            (Launches, _blocks) = (counters.Launches, counters.Blocks);
            return (executed, blocks);
        }

        /// <summary>A line with the calls through which it came.</summary>
        private static IEnumerable<(string, int)> Chain(SourceLine? line)
        {
            for (; line is not null; line = line.InlinedAt)
                yield return (Path.GetFileName(line.File), line.Line);
        }
    }
}
