using System.Globalization;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Cli;

/// <summary>The devices that the command line offers: those of the library, and the emulated GPU.</summary>
internal static class Devices
{
    public const string Emulated = "emulated";

    /// <summary>How the emulated device is named, for help and errors.</summary>
    public const string EmulatedForms = "emulated, or emulated: followed, with commas between, by checked (stops at every hazard), seed=N (order of blocks and warps), "
        + "approx=N (moves inexact instructions within their errors), sm=75, sm=80 or sm=90";

    private static readonly Lazy<(string Name, string? Problem)> s_best = new(FindBest);

    /// <summary>The name of the device that is used where the user names none: the GPU where there is one that can be used, else the CPU.</summary>
    public static string Best => s_best.Value.Name;

    /// <summary>Why it is not the GPU although there is one; null where there is none or it is used.</summary>
    public static string? WhyNotTheGpu => s_best.Value.Problem;

    /// <summary>Makes the emulated device known to <see cref="Device.Parse"/>.</summary>
    public static void Register() => Device.Register(Emulated, OpenEmulated);

    /// <summary>Whether a fault has ended the device: nothing that it answers from here on means anything.</summary>
    public static bool IsLost(Backend device) => device is CudaBackend { Context.IsLost: true };

    /// <summary>Reads what stands after <c>emulated:</c>.</summary>
    /// <exception cref="ArgumentException">It is none of the forms.</exception>
    public static EmulatorOptions ParseEmulated(string text)
    {
        var options = EmulatorOptions.Default;
        foreach (string part in text.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = part.IndexOf('=');
            ulong number = 0;
            if (equals >= 0 && !ulong.TryParse(part.AsSpan(equals + 1), NumberStyles.None, CultureInfo.InvariantCulture, out number))
                throw Wrong(text);
            options = (equals < 0 ? part : part[..(equals + 1)]) switch
            {
                "checked" => options with { Mode = ExecutionMode.Checked },
                "seed=" => options with { ScheduleSeed = number },
                "approx=" => options with { ApproximationSeed = number },
                "sm=" when number is 75 or 80 or 90 => options with { ComputeCapability = (int)number },
                _ => throw Wrong(text),
            };
        }
        return options;
    }

    /// <param name="text">What stands after <c>emulated:</c>, or nothing.</param>
    public static CudaBackend OpenEmulated(string text)
    {
        var options = ParseEmulated(text);
        CudaLibraries.Nvrtc.Load();
        return new CudaBackend(new EmulatedCudaDriver(options with { Output = Console.Out }));
    }

    private static ArgumentException Wrong(string text) => new($"unknown device '{Emulated}:{text}'; it is {EmulatedForms}");

    private static (string, string?) FindBest()
    {
        if (NativeCudaDriver.TryCreate(out _) is not { DeviceCount: > 0 })
            return ("cpu", null);
        return Nvrtc.IsAvailable(out string? problem) ? ("cuda", null) : ("cpu", problem);
    }
}
