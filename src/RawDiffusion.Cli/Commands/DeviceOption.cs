using System.CommandLine;
using RawDiffusion.Backends;
using RawDiffusion.Cli.Output;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>--device</c>.</summary>
internal sealed class DeviceOption
{
    public const string Help = "Where to compute: cpu, or reference (float64, slow).";

    private readonly Option<string?> _name = new("--device") { Description = Help };

    public void AddTo(Command command) => command.Options.Add(_name);

    /// <summary>The device that the user named, else the best there is.</summary>
    public Backend Open(ParseResult parsed) => Device.Parse(parsed.GetValue(_name) ?? Devices.Best);
}
