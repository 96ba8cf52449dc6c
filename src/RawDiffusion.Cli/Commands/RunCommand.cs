using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Training;

namespace RawDiffusion.Cli.Commands;

/// <summary>Runs a training for the command line: shows it, lets signals stop it, and says how to go on.</summary>
internal static class RunCommand
{
    /// <returns>The exit code.</returns>
    public static int Execute(Func<IRunReporter, CancellationToken, RunOutcome> run)
    {
        var reporter = ConsoleReporter.ForStandardOutput();
        using var signals = new StopSignals(Console.Error);
        RunOutcome outcome;
        try
        {
            outcome = run(reporter, signals.Token);
        }
        catch (OperationCanceledException) when (signals.Token.IsCancellationRequested)
        {
            reporter.Line("stopped before the training began");
            return signals.ExitCode;
        }
        if (outcome.End == TrainingEnd.Stopped)
        {
            reporter.Line($"stopped after step {outcome.Step}; to go on: rawdiffusion train --resume {outcome.Folder}");
            return signals.ExitCode;
        }
        if (outcome.End == TrainingEnd.TimeLimit)
            reporter.Line($"the time was up after step {outcome.Step}");
        reporter.Table("Result", outcome.Rows);
        return 0;
    }
}
