using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Runtime.CompilerServices;

namespace RawDiffusion.Cli.Output;

/// <summary>Examples at the end of a command's <c>--help</c>.</summary>
internal static class Examples
{
    private static readonly ConditionalWeakTable<Command, string[]> s_examples = [];

    /// <summary>Gives a command examples: what stands after <c>rawdiffusion</c>.</summary>
    /// <returns>The command.</returns>
    public static Command WithExamples(this Command command, params string[] examples)
    {
        s_examples.Add(command, examples);
        return command;
    }

    /// <summary>Has <c>--help</c> show the examples of whatever command it is asked for.</summary>
    public static void ShowInHelp(Command root)
    {
        var help = root.Options.OfType<HelpOption>().Single();
        help.Action = new HelpWithExamples((HelpAction)help.Action!);
    }

    private sealed class HelpWithExamples(HelpAction help) : SynchronousCommandLineAction
    {
        /// <summary>Help is there for those who do not know yet what a command needs.</summary>
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parsed)
        {
            int code = help.Invoke(parsed);
            var output = parsed.InvocationConfiguration.Output;
            if (!s_examples.TryGetValue(parsed.CommandResult.Command, out string[]? examples))
                return code;
            output.WriteLine("Examples:");
            foreach (string example in examples)
                output.WriteLine($"  rawdiffusion {example}");
            output.WriteLine();
            return code;
        }
    }
}
