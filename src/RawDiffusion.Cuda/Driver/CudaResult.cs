using System.Text;

namespace RawDiffusion.Cuda;

/// <summary>
/// Error codes of the driver API (CUresult), those that a caller can meet. Source: CUDA Driver API, data types. A driver may return
/// others; they are carried as their number.
/// </summary>
public enum CudaResult
{
    Success = 0,
    InvalidValue = 1,
    OutOfMemory = 2,
    NotInitialized = 3,
    Deinitialized = 4,
    StubLibrary = 34,
    DeviceUnavailable = 46,
    NoDevice = 100,
    InvalidDevice = 101,
    InvalidImage = 200,
    InvalidContext = 201,
    NoBinaryForGpu = 209,
    EccUncorrectable = 214,
    InvalidPtx = 218,
    NvlinkUncorrectable = 220,
    JitCompilerNotFound = 221,
    UnsupportedPtxVersion = 222,
    JitCompilationDisabled = 223,
    Contained = 226,
    InvalidSource = 300,
    FileNotFound = 301,
    SharedObjectInitFailed = 303,
    OperatingSystem = 304,
    InvalidHandle = 400,
    IllegalState = 401,
    NotFound = 500,
    NotReady = 600,
    IllegalAddress = 700,
    LaunchOutOfResources = 701,
    LaunchTimeout = 702,
    PrimaryContextActive = 708,
    ContextIsDestroyed = 709,
    Assert = 710,
    HardwareStackError = 714,
    IllegalInstruction = 715,
    MisalignedAddress = 716,
    InvalidAddressSpace = 717,
    InvalidPc = 718,
    LaunchFailed = 719,
    CooperativeLaunchTooLarge = 720,
    TensorMemoryLeak = 721,
    NotPermitted = 800,
    NotSupported = 801,
    SystemNotReady = 802,
    SystemDriverMismatch = 803,
    CompatNotSupportedOnDevice = 804,
    MpsConnectionFailed = 805,
    MpsClientTerminated = 810,
    StreamCaptureUnsupported = 900,
    StreamCaptureInvalidated = 901,
    StreamCaptureMerge = 902,
    StreamCaptureUnmatched = 903,
    StreamCaptureUnjoined = 904,
    StreamCaptureIsolation = 905,
    StreamCaptureImplicit = 906,
    CapturedEvent = 907,
    StreamCaptureWrongThread = 908,
    Timeout = 909,
    GraphExecUpdateFailure = 910,
    ExternalDevice = 911,
    Unknown = 999,
}

/// <summary>Names and consequences of error codes.</summary>
public static class CudaResults
{
    /// <summary>The driver's own spelling: <c>CUDA_ERROR_ILLEGAL_ADDRESS</c>; <c>CUDA error 12345</c> for a code that is not listed.</summary>
    public static string Name(this CudaResult result)
    {
        if (result == CudaResult.Success)
            return "CUDA_SUCCESS";
        if (!Enum.IsDefined(result))
            return $"CUDA error {(int)result}";
        var name = new StringBuilder("CUDA_ERROR");
        foreach (char c in result.ToString())
        {
            if (char.IsUpper(c))
                name.Append('_');
            name.Append(char.ToUpperInvariant(c));
        }
        return name.ToString();
    }

    /// <summary>
    /// Whether the error destroys the context: everything in device memory is lost and every later call of the process on this
    /// context returns the same error, until the process ends. These are the codes of which the header says so, and the driver's own end
    /// (<see cref="CudaResult.Deinitialized"/>), which a process meets that still holds something while it exits.
    /// </summary>
    public static bool IsSticky(this CudaResult result) => result is CudaResult.Deinitialized or CudaResult.EccUncorrectable
        or CudaResult.NvlinkUncorrectable or CudaResult.Contained or CudaResult.IllegalAddress or CudaResult.LaunchTimeout
        or CudaResult.ContextIsDestroyed or CudaResult.Assert or CudaResult.HardwareStackError or CudaResult.IllegalInstruction
        or CudaResult.MisalignedAddress or CudaResult.InvalidAddressSpace or CudaResult.InvalidPc or CudaResult.LaunchFailed
        or CudaResult.TensorMemoryLeak or CudaResult.MpsClientTerminated or CudaResult.ExternalDevice;
}
