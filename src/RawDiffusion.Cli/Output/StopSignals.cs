using System.Runtime.InteropServices;

namespace RawDiffusion.Cli.Output;

/// <summary>
/// Ctrl-C (SIGINT) and SIGTERM while a command runs: the first asks it to stop where that is safe, the second ends the process at once.
/// The exit code is the shell's for a process that the signal ended: 130 and 143.
/// </summary>
internal sealed class StopSignals : IDisposable
{
    private const int FirstSignalCode = 128, Interrupt = 2, Terminate = 15;

    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _registrations;
    private readonly TextWriter _output;
    private int _exitCode;

    /// <param name="output">Where the first signal is answered.</param>
    public StopSignals(TextWriter output)
    {
        _output = output;
        _registrations =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Handle(context, Interrupt)),
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Handle(context, Terminate)),
        ];
    }

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken Token => _stop.Token;

    /// <summary>The exit code that the first signal asks for; 0 before it.</summary>
    public int ExitCode => _exitCode;

    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
        _stop.Dispose();
    }

    private void Handle(PosixSignalContext context, int signal)
    {
        context.Cancel = true;
        if (Interlocked.CompareExchange(ref _exitCode, FirstSignalCode + signal, 0) != 0)
            Environment.Exit(FirstSignalCode + signal);
        _output.WriteLine("stopping after this step; a second signal stops at once");
        _stop.Cancel();
    }
}
