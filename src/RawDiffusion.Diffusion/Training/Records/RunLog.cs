using System.Globalization;
using RawDiffusion.Diffusion.Training.TensorBoard;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Training.Records;

/// <summary>One line of the log.</summary>
/// <param name="Step">Steps made.</param>
/// <param name="Samples">Samples seen.</param>
/// <param name="Loss">Mean over the steps since the line before.</param>
/// <param name="LearningRate">Of this step.</param>
/// <param name="GradientNorm">Of this step, before clipping.</param>
/// <param name="Seconds">Time spent in training.</param>
/// <param name="SamplesPerSecond">Since the line before.</param>
public readonly record struct LogLine(
    int Step, long Samples, double Loss, double LearningRate, double GradientNorm, double Seconds, double SamplesPerSecond);

/// <summary>
/// How a training went: <c>log.csv</c>, a line at a time so that it can be watched, and the same for TensorBoard. A run that goes on
/// from a checkpoint continues the file from there: lines of later steps, which it is about to make again, are dropped.
/// </summary>
public sealed class RunLog : IDisposable
{
    public const string FileName = "log.csv";

    private const string Header = "step,samples,loss,learningRate,gradientNorm,seconds,samplesPerSecond";

    private readonly FileStream _csv;
    private readonly EventsFile _events;

    /// <param name="folder">The run's folder.</param>
    /// <param name="step">Steps made so far.</param>
    public RunLog(string folder, int step)
    {
        string path = Path.Combine(folder, FileName);
        AtomicFile.WriteAllText(path, string.Concat(LinesUpTo(path, step).Prepend(Header).Select(line => line + "\n")));
        _csv = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read, bufferSize: 0);
        try
        {
            _events = new EventsFile(folder, step + 1);
        }
        catch
        {
            _csv.Dispose();
            throw;
        }
    }

    public void Write(in LogLine line)
    {
        string text = string.Create(
            CultureInfo.InvariantCulture,
            $"{line.Step},{line.Samples},{line.Loss:G9},{line.LearningRate:G9},{line.GradientNorm:G9},{line.Seconds:0.000},{line.SamplesPerSecond:0.0}\n");
        _csv.Write(System.Text.Encoding.UTF8.GetBytes(text));
        _events.AddScalars(
            line.Step, ("loss", line.Loss), ("learning_rate", line.LearningRate), ("gradient_norm", line.GradientNorm),
            ("samples_per_second", line.SamplesPerSecond));
    }

    /// <summary>Adds a picture of samples for TensorBoard.</summary>
    public void WritePicture(int step, Image picture) => _events.AddImage(step, "samples", picture);

    /// <summary>The losses of a log by step.</summary>
    public static IReadOnlyList<(int Step, double Loss)> ReadLosses(string folder) =>
    [
        .. LinesUpTo(Path.Combine(folder, FileName), int.MaxValue).Select(line => line.Split(','))
            .Select(fields => (int.Parse(fields[0], CultureInfo.InvariantCulture), double.Parse(fields[2], CultureInfo.InvariantCulture))),
    ];

    public void Dispose()
    {
        _csv.Dispose();
        _events.Dispose();
    }

    /// <summary>The whole lines of a log, without its header, of steps up to a given one; a crash may have cut the last line short.</summary>
    private static IEnumerable<string> LinesUpTo(string path, int step)
    {
        if (!File.Exists(path))
            return [];
        int columns = Header.Count(',');
        string[] lines = File.ReadAllText(path).Split('\n');
        return lines[..^1].Where(line =>
            line.Count(',') == columns && int.TryParse(line.AsSpan(0, line.IndexOf(',')), CultureInfo.InvariantCulture, out int found) && found <= step);
    }

    private static int Count(string text, char wanted) => text.AsSpan().Count(wanted);
}
