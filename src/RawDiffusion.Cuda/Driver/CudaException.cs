namespace RawDiffusion.Cuda;

/// <summary>How a kernel was launched, for messages.</summary>
public sealed record LaunchDimensions(Dim3 Grid, Dim3 Block, int SharedBytes)
{
    public override string ToString() => $"grid {Grid}, block {Block}, {SharedBytes} bytes of dynamic shared memory";
}

/// <summary>A call to CUDA failed. The message names the call, the error, the kernel and its launch where there is one, and what to do where that is known.</summary>
/// <param name="call">The driver function, as <c>cuLaunchKernel</c>.</param>
/// <param name="detail">More than the name of the error: the compiler's log, the emulator's report, what was asked for.</param>
/// <param name="kernel">The kernel that was launched, where there is one.</param>
public class CudaException(string call, CudaResult result, string? detail = null, string? kernel = null, LaunchDimensions? launch = null)
    : Exception(Describe(call, result, detail, kernel, launch))
{
    /// <summary>The driver function, as <c>cuLaunchKernel</c>.</summary>
    public string Call { get; } = call;

    public CudaResult Result { get; } = result;

    public string? Detail { get; } = detail;

    public string? Kernel { get; } = kernel;

    public LaunchDimensions? Launch { get; } = launch;

    /// <summary>Whether the context is lost with everything in its memory (<see cref="CudaResults.IsSticky"/>): nothing computed since may be kept.</summary>
    public bool Sticky => Result.IsSticky();

    private static string Describe(string call, CudaResult result, string? detail, string? kernel, LaunchDimensions? launch)
    {
        string where = kernel is null ? call : $"{call} of {kernel}" + (launch is null ? "" : $" with {launch}");
        string lost = result.IsSticky() ? " The device is lost to this process: start it again." : "";
        return $"{where}: {result.Name()} ({(int)result})" + (detail is null ? "." : $": {detail}") + lost;
    }
}
