using System.Globalization;
using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.Cli.Kernels;

/// <summary>What a kernel's instructions did, added up by the lines of its source.</summary>
internal sealed class CounterTable
{
    private const int Sector = 32, BankRow = 128;

    // A remark is made where more than half as much again is done as has to be.
    private const double Tolerated = 1.5;

    private readonly KernelCounters _counters;
    private readonly string[] _source;
    private readonly SortedDictionary<int, List<(Opcode Opcode, InstructionCounts Counts)>> _lines = [];
    private InstructionCounts _total;

    /// <param name="file">The name of the source whose lines are shown; what was inlined from elsewhere counts for the line that called it.</param>
    /// <param name="text">Its text.</param>
    public CounterTable(KernelCounters counters, string file, string text)
    {
        (_counters, _source) = (counters, text.ReplaceLineEndings("\n").Split('\n'));
        for (int i = 0; i < counters.Instructions.Length; i++)
        {
            var counts = counters.Instructions[i];
            _total = Sum(_total, counts);
            int index = counters.Kernel.Code[i].Line;
            if (index < 0 || LineIn(counters.Kernel.Lines[index], file) is not { } line)
                continue;
            if (!_lines.TryGetValue(line, out var instructions))
                _lines.Add(line, instructions = []);
            instructions.Add((counters.Kernel.Code[i].Opcode, counts));
        }
    }

    public static string[] Columns => ["line", "source", "executed", "lanes", "diverged", "global sectors", "bytes", "shared passes", "flops"];

    /// <summary>From the first to the last line that something was counted for; the columns are empty where nothing was.</summary>
    public IEnumerable<string[]> Rows()
    {
        if (_lines.Count == 0)
            yield break;
        int last = Math.Min(_lines.Keys.Last(), _source.Length);
        for (int line = _lines.Keys.First(); line <= last; line++)
        {
            string text = _source[line - 1].Replace("\t", "    ").TrimEnd();
            var instructions = _lines.GetValueOrDefault(line) ?? [];
            var c = instructions.Aggregate(default(InstructionCounts), (sum, each) => Sum(sum, each.Counts));
            yield return
            [
                Text($"{line}"), text, Number(c.WarpExecutions), c.WarpExecutions == 0 ? "" : Text($"{c.LaneExecutions / (double)c.WarpExecutions:0.#}"), Number(c.Divergences),
                PerRequest(instructions.Select(each => (each.Counts.GlobalSectors, each.Counts.GlobalRequests))), Number(c.GlobalBytes + c.SharedBytes),
                PerRequest(instructions.Select(each => (each.Counts.SharedPasses, each.Counts.SharedRequests))), Number(c.Flops),
            ];
        }
    }

    /// <summary>What the whole launch did.</summary>
    public IReadOnlyList<(string, string)> Totals()
    {
        var t = _total;
        long moved = t.GlobalSectors * Sector;
        return
        [
            ("blocks, warps", Text($"{_counters.Blocks:#,0}, {_counters.Warps:#,0}")),
            ("instructions", Text($"{t.WarpExecutions:#,0} by warps, {Share(t.LaneExecutions, t.WarpExecutions * 32.0)} of the lanes active")),
            ("global memory", t.GlobalRequests == 0 ? "none" : Text($"{t.GlobalBytes:#,0} bytes used of {moved:#,0} moved ({Share(t.GlobalBytes, moved)})")),
            ("shared memory", t.SharedRequests == 0 ? "none" : Text($"{t.SharedBytes:#,0} bytes in {t.SharedPasses:#,0} passes for {t.SharedRequests:#,0} requests")),
            ("flops", t.Flops == 0 ? "none" : moved == 0 ? Text($"{t.Flops:#,0}") : Text($"{t.Flops:#,0}, {t.Flops / (double)moved:0.###} per byte moved")),
        ];
    }

    /// <summary>What costs more than it has to, line by line.</summary>
    public IEnumerable<string> Remarks()
    {
        foreach (var (line, instructions) in _lines)
        {
            foreach (var (opcode, c) in instructions)
            {
                double sectors = Math.Max(c.GlobalBytes / (double)Sector, c.GlobalRequests);
                if (c.GlobalSectors > Tolerated * sectors)
                {
                    yield return Text($"line {line}: {Kind(opcode)} of a warp touches {c.GlobalSectors / (double)c.GlobalRequests:0.#} sectors of {Sector} bytes, {sectors / c.GlobalRequests:0.#} would do: ")
                        + "neighbouring threads should touch neighbouring addresses (coalescing)";
                }
                double passes = Math.Max(c.SharedBytes / (double)BankRow, c.SharedRequests);
                if (c.SharedPasses > Tolerated * passes)
                {
                    yield return Text($"line {line}: {Kind(opcode)} of a warp needs {c.SharedPasses / (double)c.SharedRequests:0.#} passes over the banks of shared memory, {passes / c.SharedRequests:0.#} would do: ")
                        + "the threads of a warp should touch different banks (word address modulo 32)";
                }
            }
            long divergences = instructions.Sum(each => each.Counts.Divergences);
            if (divergences * 10 > _counters.Warps)
                yield return Text($"line {line}: the threads of a warp went different ways {divergences:#,0} times, each way while the others waited");
        }
    }

    private static string Kind(Opcode opcode) => opcode switch
    {
        Opcode.Ld => "the read",
        Opcode.St => "the write",
        _ => "the access",
    };

    private static int? LineIn(SourceLine place, string file)
    {
        // The outermost: where the kernel's own text stands.
        int? line = null;
        for (SourceLine? at = place; at is not null; at = at.InlinedAt)
        {
            if (at.File == file && at.Line > 0)
                line = at.Line;
        }
        return line;
    }

    private static InstructionCounts Sum(InstructionCounts a, InstructionCounts b) => new()
    {
        WarpExecutions = a.WarpExecutions + b.WarpExecutions,
        LaneExecutions = a.LaneExecutions + b.LaneExecutions,
        Divergences = a.Divergences + b.Divergences,
        GlobalRequests = a.GlobalRequests + b.GlobalRequests,
        GlobalSectors = a.GlobalSectors + b.GlobalSectors,
        SharedRequests = a.SharedRequests + b.SharedRequests,
        SharedPasses = a.SharedPasses + b.SharedPasses,
        GlobalBytes = a.GlobalBytes + b.GlobalBytes,
        SharedBytes = a.SharedBytes + b.SharedBytes,
        Flops = a.Flops + b.Flops,
    };

    /// <summary>The different numbers that the instructions of a line have.</summary>
    private static string PerRequest(IEnumerable<(long Count, long Requests)> instructions)
    {
        string[] each = [.. instructions.Where(one => one.Requests > 0).Select(one => Text($"{one.Count / (double)one.Requests:0.#}")).Distinct()];
        return each.Length == 0 ? "" : string.Join(" and ", each) + " each";
    }

    private static string Number(long count) => count == 0 ? "" : Text($"{count:#,0}");

    private static string Share(double part, double whole) => whole == 0 ? "none" : Text($"{100 * part / whole:0}%");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
