using System.Diagnostics;

namespace RawDiffusion.Tests;

/// <summary>
/// The entry point of this assembly when a test starts it as a process of its own: for what two processes do to each other, and for
/// what a process can do only once.
/// </summary>
internal static class ChildProcess
{
    /// <summary>What a child can be asked for: the name, and what it prints.</summary>
    private static string Run(string name, string argument) => name switch
    {
        "share-kernel-cache" => KernelCompilerTests.ShareCache(argument),
        "native-driver" => NativeCudaDriverTests.Everything(argument),
        "native-driver-errors" => NativeCudaDriverTests.Errors(argument),
        "native-driver-context" => NativeCudaDriverTests.Contexts(argument),
        "native-driver-start" => NativeCudaDriverTests.Start(argument),
        "native-driver-libraries" => NativeCudaDriverTests.NewestLibraries(argument),
        "strict-operations" => StrictDriverTests.Operations(argument),
        "strict-trainings" => StrictDriverTests.Trainings(argument),
        "strict-mistakes" => StrictDriverTests.Mistakes(argument),
        "cublas" => CublasTests.Multiply(),
        _ => $"no such child: {name}",
    };

    public static int Main(string[] args)
    {
        if (args.Length != 2)
        {
            Console.Error.WriteLine("These are tests; run them with dotnet test.");
            return 2;
        }
        Console.WriteLine(Run(args[0], args[1]));
        return 0;
    }

    public static Process Start(string name, string argument, params ReadOnlySpan<(string Name, string Value)> environment)
    {
        string host = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } path ? path : "dotnet";
        var start = new ProcessStartInfo(host, ["exec", typeof(ChildProcess).Assembly.Location, name, argument])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (variable, value) in environment)
            start.Environment[variable] = value;
        return Process.Start(start)!;
    }

    /// <summary>Waits for the end and gives what was printed; the test fails with the child's error where it failed.</summary>
    public static string Finish(Process process)
    {
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, error.Result);
        return output;
    }
}
