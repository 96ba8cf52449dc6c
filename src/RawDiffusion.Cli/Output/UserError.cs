using RawDiffusion.Cuda;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.IO;

namespace RawDiffusion.Cli.Output;

/// <summary>Tells a user's mistake from a fault of the program.</summary>
internal static class UserError
{
    private const int Failed = 1, BadInput = 2;

    /// <summary>
    /// One line and an exit code for an exception that the user's input caused, or the machine; null for a fault of the program, which
    /// keeps its stack trace.
    /// </summary>
    public static (string Message, int ExitCode)? Describe(Exception e) => e switch
    {
        NotFiniteException => ($"the model gave no numbers: {OneLine(e.Message)}", Failed),
        DivergedException => ($"the training diverged at {OneLine(e.Message)}", Failed),
        OutOfMemoryException => ("there is not enough memory; a smaller batch or model, or --accumulate, needs less", BadInput),
        CudaException cuda => (OneLine(e.Message), CannotBeUsed(cuda.Result) ? BadInput : Failed),
        FileFormatException or DirectoryNotFoundException or FileNotFoundException or UnauthorizedAccessException or IOException
            or DllNotFoundException or DeviceOutOfMemoryException or KernelCompilationException or NotSupportedException => (OneLine(e.Message), BadInput),
        ArgumentException argument => (OneLine(WithoutParameterName(argument)), BadInput),
        _ => null,
    };

    /// <summary>Whether there is no such device, or it does not work: nothing has been computed on it.</summary>
    private static bool CannotBeUsed(CudaResult result) => result is CudaResult.NoDevice or CudaResult.InvalidDevice or CudaResult.DeviceUnavailable
        or CudaResult.NotInitialized or CudaResult.StubLibrary or CudaResult.SystemNotReady or CudaResult.SystemDriverMismatch
        or CudaResult.UnsupportedPtxVersion or CudaResult.OutOfMemory;

    // .NET appends " (Parameter 'x')", a name from the code that says nothing to a user.
    private static string WithoutParameterName(ArgumentException e)
    {
        int at = e.ParamName is null ? -1 : e.Message.LastIndexOf(" (Parameter '", StringComparison.Ordinal);
        return at < 0 ? e.Message : e.Message[..at];
    }

    private static string OneLine(string message) => message.ReplaceLineEndings(" ").Trim();
}
