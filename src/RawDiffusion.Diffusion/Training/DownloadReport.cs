using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Data.Files;

namespace RawDiffusion.Diffusion.Training;

/// <summary>Shows downloads as phases of a run, one for each file, a step being a thousand bytes.</summary>
public sealed class DownloadReport(IRunReporter reporter)
{
    private const int StepBytes = 1000;

    private string? _shown;

    /// <summary>Options that look where the user said and tell a reporter.</summary>
    public static DataOptions Options(string? directory, bool offline, IRunReporter? reporter, CancellationToken stop)
    {
        reporter ??= SilentReporter.Instance;
        return new DataOptions
        {
            Directory = directory, Offline = offline, Progress = new DownloadReport(reporter).Tell, Note = reporter.Line, Stop = stop,
        };
    }

    private void Tell(DownloadProgress progress)
    {
        if (_shown != progress.Name)
        {
            _shown = progress.Name;
            reporter.Begin($"download {progress.Name}", Steps(progress.Total), 0, Steps(progress.Received), "KB");
        }
        reporter.Report(Steps(progress.Received));
        if (progress.Received < progress.Total)
            return;
        reporter.End();
        _shown = null;
    }

    private static int Steps(long bytes) => (int)(bytes / StepBytes);
}
