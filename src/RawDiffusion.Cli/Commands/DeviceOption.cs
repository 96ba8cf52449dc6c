using System.CommandLine;
using RawDiffusion.Backends;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>--device</c>.</summary>
internal sealed class DeviceOption
{
    public const string Help = "Where to compute: cuda (cuda:1 is the second GPU), cpu, reference (float64, slow), or a GPU that the CPU emulates: "
        + Devices.EmulatedForms + ". By default the GPU where there is one, else the CPU.";

    private readonly Option<string?> _name = new("--device") { Description = Help };

    public void AddTo(Command command) => command.Options.Add(_name);

    /// <summary>The device that the user named, else the best there is.</summary>
    public Backend Open(ParseResult parsed) => Device.Parse(Name(parsed));

    /// <summary>Its name.</summary>
    public string Name(ParseResult parsed) => parsed.GetValue(_name) ?? BestForUser();

    /// <summary>The best device there is; says so where it is not the GPU although there is one.</summary>
    public static string BestForUser()
    {
        if (Devices.WhyNotTheGpu is { } problem)
            Console.Error.WriteLine($"rawdiffusion: there is a GPU, but its kernels cannot be compiled, so the CPU computes. {problem}");
        return Devices.Best;
    }
}
