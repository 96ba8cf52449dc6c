using RawDiffusion.Diffusion.Training;
using RawDiffusion.IO;

namespace RawDiffusion.Cli.Output;

/// <summary>Tells a user's mistake from a fault of the program.</summary>
internal static class UserError
{
    /// <summary>One line for an exception that the user's input caused; null for a fault, which keeps its stack trace.</summary>
    public static string? Describe(Exception e) => e switch
    {
        DivergedException => $"the training diverged at {OneLine(e.Message)}",
        OutOfMemoryException => "there is not enough memory; a smaller batch or model, or --accumulate, needs less",
        FileFormatException or DirectoryNotFoundException or FileNotFoundException or UnauthorizedAccessException or IOException
            or DllNotFoundException => OneLine(e.Message),
        ArgumentException argument => OneLine(WithoutParameterName(argument)),
        _ => null,
    };

    // .NET appends " (Parameter 'x')", a name from the code that says nothing to a user.
    private static string WithoutParameterName(ArgumentException e)
    {
        int at = e.ParamName is null ? -1 : e.Message.LastIndexOf(" (Parameter '", StringComparison.Ordinal);
        return at < 0 ? e.Message : e.Message[..at];
    }

    private static string OneLine(string message) => message.ReplaceLineEndings(" ").Trim();
}
