using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>One lesson of the theory: something measured against what is known exactly, with pictures and a verdict.</summary>
public abstract class Study
{
    /// <summary>As on the command line: <c>samplers</c>.</summary>
    public abstract string Name { get; }

    /// <summary>What it shows, in a sentence.</summary>
    public abstract string Lesson { get; }

    /// <summary>Makes the measurements and tells the context of them.</summary>
    public abstract void Run(StudyContext context);

    /// <summary>Runs it and writes <c>metrics.json</c> beside its figures.</summary>
    /// <param name="folder">Made if it is not there.</param>
    /// <param name="quick">Fewer samples and seeds, to see whether everything works; the criteria stay.</param>
    public StudyResult Run(string folder, Backend device, IRunReporter reporter, bool quick = false, CancellationToken stop = default)
    {
        Directory.CreateDirectory(folder);
        var context = new StudyContext(folder, device, reporter, quick, stop);
        var clock = Stopwatch.StartNew();
        Run(context);
        var result = new StudyResult(Name, Lesson, clock.Elapsed, context.Criteria);
        context.Save(this, result);
        return result;
    }
}

/// <summary>A line of a verdict.</summary>
/// <param name="What">What was asked.</param>
/// <param name="Measured">What came out, with its unit.</param>
/// <param name="Bound">What was to be reached.</param>
/// <param name="Met">Whether it was.</param>
public sealed record Criterion(string What, string Measured, string Bound, bool Met);

/// <summary>How a study came out.</summary>
public sealed record StudyResult(string Name, string Lesson, TimeSpan Elapsed, IReadOnlyList<Criterion> Criteria)
{
    public bool Passed => Criteria.All(criterion => criterion.Met);
}

/// <summary>Where a study leaves what it finds.</summary>
public sealed class StudyContext(string folder, Backend device, IRunReporter reporter, bool quick, CancellationToken stop)
{
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true };

    private readonly List<Criterion> _criteria = [];
    private readonly JsonObject _numbers = [];

    public Backend Device { get; } = device;

    public IRunReporter Reporter { get; } = reporter;

    /// <summary>The seeds that everything is repeated with.</summary>
    public IReadOnlyList<ulong> Seeds { get; } = quick ? [0] : [0, 1, 2];

    /// <summary>So many where the study runs in full, fewer otherwise.</summary>
    public int Count(int full, int reduced) => quick ? reduced : full;

    public IReadOnlyList<Criterion> Criteria => _criteria;

    /// <summary>To be called now and then.</summary>
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    public void ThrowIfStopped() => stop.ThrowIfCancellationRequested();

    /// <summary>Notes a number, or several by the name of each.</summary>
    public void Number(string key, JsonNode value) => _numbers[key] = value;

    /// <summary>Saves a figure as NAME.png.</summary>
    public void Figure(string name, Figure figure) => figure.Save(Path.Combine(folder, name + ".png"));

    /// <summary>Judges: a number that is to be at most a bound.</summary>
    public void AtMost(string what, double measured, double bound) =>
        Judge(what, Text(measured), "<= " + Text(bound), measured <= bound);

    /// <summary>A number that is to be at least a bound.</summary>
    public void AtLeast(string what, double measured, double bound) =>
        Judge(what, Text(measured), ">= " + Text(bound), measured >= bound);

    /// <summary>A number that is to be near another.</summary>
    public void Near(string what, double measured, double expected, double by) =>
        Judge(what, Text(measured), Text(expected) + " +- " + Text(by), Math.Abs(measured - expected) <= by);

    public void Judge(string what, string measured, string bound, bool met)
    {
        _criteria.Add(new Criterion(what, measured, bound, met));
        Reporter.Line($"{(met ? "met" : "FAILED")}: {what}: {measured} ({bound})");
    }

    internal void Save(Study study, StudyResult result)
    {
        var json = new JsonObject
        {
            ["study"] = study.Name,
            ["lesson"] = study.Lesson,
            ["device"] = Device.Name,
            ["full"] = !quick,
            ["seconds"] = Math.Round(result.Elapsed.TotalSeconds, 1),
            ["passed"] = result.Passed,
            ["criteria"] = new JsonArray([.. result.Criteria.Select(c => (JsonNode)new JsonObject
            {
                ["what"] = c.What,
                ["measured"] = c.Measured,
                ["bound"] = c.Bound,
                ["met"] = c.Met,
            })]),
            ["numbers"] = _numbers,
        };
        AtomicFile.WriteAllText(Path.Combine(folder, "metrics.json"), json.ToJsonString(s_json) + "\n");
    }

    private static string Text(double value) => value.ToString("0.####", CultureInfo.InvariantCulture);
}
