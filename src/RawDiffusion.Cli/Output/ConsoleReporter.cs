using System.Diagnostics;
using System.Globalization;
using RawDiffusion.Diffusion.Training;
using Spectre.Console;

namespace RawDiffusion.Cli.Output;

/// <summary>Shows a run on a terminal: a bar with loss, rates and time left, and tables.</summary>
/// <remarks>Redirected output gets plain lines instead, see <see cref="PlainReporter"/>.</remarks>
internal sealed class ConsoleReporter : IRunReporter
{
    private const int BarWidth = 30;
    private readonly Rate _rate = new();
    private string _phase = "";

    /// <summary>The reporter that suits standard output.</summary>
    public static IRunReporter ForStandardOutput() => Console.IsOutputRedirected ? new PlainReporter(Console.Out) : new ConsoleReporter();

    public void Line(string text) => AnsiConsole.MarkupLineInterpolated($"{text}");

    public void Begin(string phase, int steps, int samplesPerStep = 0, int done = 0, string unit = "it")
    {
        _phase = phase;
        _rate.Begin(steps, samplesPerStep, done, unit, updatesPerSecond: 10);
    }

    public void Report(int step, double? loss = null)
    {
        if (!_rate.Due(step))
            return;
        int full = (int)((long)BarWidth * step / Math.Max(1, _rate.Steps));
        string bar = new string('━', full) + "[grey]" + new string('━', BarWidth - full) + "[/]";
        AnsiConsole.Markup($"\r[bold]{Markup.Escape(_phase),-8}[/] [green]{bar}[/] {Markup.Escape(_rate.Describe(step, loss))}  ");
    }

    public void End() => AnsiConsole.WriteLine();

    public void Table(string title, IReadOnlyList<(string Name, string Value)> rows)
    {
        var table = new Table().Title(Markup.Escape(title)).Border(TableBorder.Rounded).HideHeaders().AddColumn("name").AddColumn("value");
        foreach (var (name, value) in rows)
            table.AddRow(Markup.Escape(name), Markup.Escape(value));
        AnsiConsole.Write(table);
    }
}

/// <summary>Plain lines, a few per phase: for files, pipes and CI.</summary>
internal sealed class PlainReporter(TextWriter output) : IRunReporter
{
    private const int LinesPerPhase = 10;
    private readonly Rate _rate = new();
    private string _phase = "";
    private int _nextLine;

    public void Line(string text) => output.WriteLine(text);

    public void Begin(string phase, int steps, int samplesPerStep = 0, int done = 0, string unit = "it")
    {
        _phase = phase;
        int interval = Math.Max(1, steps / LinesPerPhase);
        _nextLine = (done / interval + 1) * interval;
        _rate.Begin(steps, samplesPerStep, done, unit, updatesPerSecond: 0);
    }

    public void Report(int step, double? loss = null)
    {
        if (step < _nextLine && step < _rate.Steps)
            return;
        output.WriteLine($"{_phase}: {_rate.Describe(step, loss)}");
        _nextLine += Math.Max(1, _rate.Steps / LinesPerPhase);
    }

    public void End()
    {
    }

    public void Table(string title, IReadOnlyList<(string Name, string Value)> rows)
    {
        output.WriteLine(title);
        foreach (var (name, value) in rows)
            output.WriteLine(name.Length == 0 ? $"    {value}" : $"  {name}: {value}");
    }
}

/// <summary>Steps and samples per second, and the time left.</summary>
internal sealed class Rate
{
    private int _samplesPerStep;
    private int _done;
    private string _unit = "it";
    private long _started;
    private long _interval;
    private long _next;

    public int Steps { get; private set; }

    public void Begin(int steps, int samplesPerStep, int done, string unit, int updatesPerSecond)
    {
        Steps = steps;
        _samplesPerStep = samplesPerStep;
        _done = done;
        _unit = unit;
        _started = Stopwatch.GetTimestamp();
        _interval = updatesPerSecond == 0 ? 0 : Stopwatch.Frequency / updatesPerSecond;
        _next = _started;
    }

    /// <summary>Whether it is time to show something: at most so often, and always for the last step.</summary>
    public bool Due(int step)
    {
        long now = Stopwatch.GetTimestamp();
        if (now < _next && step < Steps)
            return false;
        _next = now + _interval;
        return true;
    }

    public string Describe(int step, double? loss)
    {
        double seconds = Math.Max(1e-9, Stopwatch.GetElapsedTime(_started).TotalSeconds);
        double perSecond = (step - _done) / seconds;
        string text = $"{step}/{Steps}";
        if (loss is { } value)
            text += Invariant($"  loss {value:0.0000}");
        text += Invariant($"  {perSecond:0.0} {_unit}/s");
        if (_samplesPerStep > 0)
            text += Invariant($"  {perSecond * _samplesPerStep:#,0} samples/s");
        return text + (step < Steps ? $"  ETA {Clock((Steps - step) / perSecond)}" : $"  took {Clock(seconds)}");
    }

    private static string Clock(double seconds) =>
        seconds < 60 ? Invariant($"{seconds:0.0} s") : Invariant($"{(int)seconds / 60}:{(int)seconds % 60:00} min");

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
