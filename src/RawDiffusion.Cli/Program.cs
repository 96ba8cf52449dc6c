using System.CommandLine;
using System.CommandLine.Help;
using RawDiffusion.Cli.Commands;
using RawDiffusion.Cli.Output;
using RawDiffusion.Verification;

namespace RawDiffusion.Cli;

/// <summary>
/// The <c>rawdiffusion</c> command. Exit codes: 0 done; 1 a fault of the program, a failed check or a training that diverged; 2 the
/// user's input cannot be used, told in one line on standard error; 130 and 143 stopped by SIGINT and SIGTERM, with all work saved.
/// </summary>
public static class Program
{
    private const int BadInput = 2;

    public static int Main(string[] args) => Run(args, Console.Error);

    /// <summary>Runs one command line; errors are written to <paramref name="error"/>.</summary>
    public static int Run(string[] args, TextWriter error)
    {
        Devices.Register();
        var root = CreateRoot();
        try
        {
            var parsed = root.Parse(args);
            if (parsed.Errors.Count > 0)
            {
                error.WriteLine($"rawdiffusion: {Explain(parsed)}");
                return BadInput;
            }
            return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, Error = error });
        }
        catch (Exception e) when (UserError.Describe(e) is var (message, exitCode))
        {
            error.WriteLine($"rawdiffusion: {message}");
            return exitCode;
        }
    }

    /// <summary>All commands.</summary>
    /// <remarks>A <see cref="RootCommand"/> would be named after the assembly, which is not what the user types.</remarks>
    public static Command CreateRoot()
    {
        var root = new Command("rawdiffusion", "A from-scratch tensor framework and the theory of diffusion models on it.")
        {
            new HelpOption(), new VersionOption(),
            TrainCommand.Create(), SampleCommand.Create(), EvaluateCommand.Create(), InpaintCommand.Create(), InterpolateCommand.Create(), EditCommand.Create(), InspectCommand.Create(), DataCommand.Create(),
            StudyCommand.Create(), VerifyCommand.Create(), BenchCommand.Create(), PeerCommand.Create(), KernelsCommand.Create(), DoctorCommand.Create(),
        };
        Examples.ShowInHelp(root);
        return root;
    }

    private static string Explain(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        if (parsed.UnmatchedTokens.Count > 0 && command.Subcommands.Count > 0)
        {
            string kind = command.Name == "train" ? "preset" : "command";
            string given = parsed.UnmatchedTokens[0];
            return $"unknown {kind} '{given}'; {NearestName.Hint(given, Visible(command))}there are: {Names(command)}";
        }
        if (command.Subcommands.Count > 0)
            return $"{(command.Parents.Any() ? $"{command.Name} needs a command" : "a command is needed")}: {Names(command)} (--help tells more)";
        if (parsed.UnmatchedTokens.Count > 0)
            return $"unknown option '{parsed.UnmatchedTokens[0]}' for {command.Name}{NearestOption(command, parsed.UnmatchedTokens[0])} (--help lists them)";
        return InPlainWords(parsed.Errors[0].Message.TrimEnd('.'));
    }

    /// <summary>The option that a mistyped one is nearest to, where one is near.</summary>
    private static string NearestOption(Command command, string given)
    {
        const string Prefix = "--";
        return given.StartsWith(Prefix, StringComparison.Ordinal)
            && NearestName.Of(given[Prefix.Length..].Split('=')[0], command.Options.Select(option => option.Name[Prefix.Length..])) is { } nearest
            ? $"; did you mean {Prefix}{nearest}?" : "";
    }

    /// <summary>Says what was expected instead of naming a type of .NET.</summary>
    private static string InPlainWords(string message) => message
        .Replace(" as expected type 'System.Int32'", ": a whole number was expected")
        .Replace(" as expected type 'System.UInt64'", ": a whole number from 0 on was expected")
        .Replace(" as expected type 'System.Double'", ": a number was expected")
        .Replace(" as expected type 'System.Nullable`1[System.Int32]'", ": a whole number was expected")
        .Replace(" as expected type 'System.Int64'", ": a whole number was expected")
        .Replace(" as expected type 'System.Nullable`1[System.UInt64]'", ": a whole number from 0 on was expected");

    private static string Names(Command command) => string.Join(", ", Visible(command));

    private static IEnumerable<string> Visible(Command command) => command.Subcommands.Where(c => !c.Hidden).Select(c => c.Name);
}
