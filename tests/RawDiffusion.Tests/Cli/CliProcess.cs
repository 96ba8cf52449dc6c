using System.Diagnostics;
using System.Runtime.InteropServices;

namespace RawDiffusion.Tests.Cli;

/// <summary>The command line as a process of its own, for what cannot be seen from within: signals, crashes, limits of the system.</summary>
internal sealed partial class CliProcess : IDisposable
{
    public const int Interrupt = 2, Kill = 9, Terminate = 15;

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    private readonly Process _process;
    private readonly TaskCompletionSource<string> _error = new();
    private readonly TaskCompletionSource _answered = new();
    private readonly List<string> _output = [];

    private CliProcess(ProcessStartInfo info)
    {
        info.RedirectStandardOutput = info.RedirectStandardError = true;
        _process = Process.Start(info)!;
        // A thread of its own: those of the pool may all be busy with other tests, and an answer is to be seen at once.
        new Thread(ReadErrors) { IsBackground = true, Name = "standard error" }.Start();
    }

    /// <summary>The lines read so far.</summary>
    public IReadOnlyList<string> Output => _output;

    /// <summary>Waits until the process has answered a signal.</summary>
    /// <exception cref="OperationCanceledException">It ended without.</exception>
    public void WaitForAnswer() => _answered.Task.GetAwaiter().GetResult();

    /// <param name="arguments">What stands after <c>rawdiffusion</c>.</param>
    public static CliProcess Start(params string[] arguments) => new(new ProcessStartInfo(DotNet, [Dll, .. arguments]));

    /// <summary>Starts it with variables of its environment set, or taken away (null).</summary>
    public static CliProcess StartWith((string Name, string? Value)[] environment, params string[] arguments)
    {
        var info = new ProcessStartInfo(DotNet, [Dll, .. arguments]);
        foreach (var (name, value) in environment)
            info.Environment[name] = value;
        return new CliProcess(info);
    }

    /// <summary>Starts it where no file may grow beyond a limit: what writes more gets an error, as on a full disk.</summary>
    public static CliProcess StartWithFileLimit(int kilobytes, params string[] arguments)
    {
        // A write beyond the limit is answered with a signal first; ignored, it becomes the error. The runtime maps its code by way of
        // a large file unless told not to.
        string script = $"trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\"";
        var info = new ProcessStartInfo("bash", ["-c", script, DotNet, Dll, .. arguments]);
        info.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        return new CliProcess(info);
    }

    public bool HasExited => _process.HasExited;

    public void Signal(int signal) => Assert.Equal(0, SendSignal(_process.Id, signal));

    /// <summary>Reads the output up to a line that begins as given.</summary>
    public void WaitForLine(string start)
    {
        while (_process.StandardOutput.ReadLine() is { } line)
        {
            _output.Add(line);
            if (line.StartsWith(start, StringComparison.Ordinal))
                return;
        }
        Assert.Fail($"no line '{start}...' came; standard error: {_error.Task.Result}");
    }

    /// <summary>Waits for the end.</summary>
    public (int ExitCode, string Error) Finish()
    {
        while (_process.StandardOutput.ReadLine() is { } line)
            _output.Add(line);
        Assert.True(_process.WaitForExit(s_patience), "the process does not end");
        return (_process.ExitCode, _error.Task.Result);
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill();
        // The end of its errors, before the reading thread loses what it reads from.
        _error.Task.Wait(s_patience);
        _process.Dispose();
    }

    private static string DotNet => Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? Environment.ProcessPath! : "dotnet";

    private static string Dll => Path.Combine(AppContext.BaseDirectory, "RawDiffusion.Cli.dll");

    private void ReadErrors()
    {
        var lines = new List<string>();
        while (_process.StandardError.ReadLine() is { } line)
        {
            lines.Add(line);
            if (line.StartsWith("stopping", StringComparison.Ordinal))
                _answered.TrySetResult();
        }
        // A process that ended without an answer must not be waited for.
        _answered.TrySetCanceled();
        _error.TrySetResult(string.Join('\n', lines));
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int SendSignal(int process, int signal);
}
