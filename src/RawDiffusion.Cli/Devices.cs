using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;

namespace RawDiffusion.Cli;

/// <summary>The devices that the command line offers.</summary>
internal static class Devices
{
    /// <summary>The name of the device that is used where the user names none.</summary>
    public static string Best => "cpu";

    /// <summary>Whether a fault has ended the device: nothing that it answers from here on means anything.</summary>
    public static bool IsLost(Backend device) => device is CudaBackend { Context.IsLost: true };
}
