using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text;
using static RawDiffusion.Cuda.LibCuda;

namespace RawDiffusion.Cuda;

/// <summary>The driver of a real GPU: libcuda, of CUDA 11.8 or newer. It is loaded when the first instance is made, not before.</summary>
public sealed unsafe partial class NativeCudaDriver : CudaDriver
{
    private const uint NonBlocking = 1;          // CU_STREAM_NON_BLOCKING
    private const uint WithoutTiming = 2;        // CU_EVENT_DISABLE_TIMING
    private const int ErrorLogBuffer = 5;        // CU_JIT_ERROR_LOG_BUFFER
    private const int ErrorLogBufferBytes = 6;   // CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES
    private const int LogBytes = 16 * 1024;
    private const int Relaxed = 2;               // CU_STREAM_CAPTURE_MODE_RELAXED
    private const int OldestVersion = 11080;

    // libcuda does not say which kernel a launch was of.
    private readonly ConcurrentDictionary<CuFunction, (CuModule Module, string Name)> _functions = new();

    /// <exception cref="CudaLibraryNotFoundException">There is no libcuda; the message says where it was sought and what to install.</exception>
    /// <exception cref="CudaException">There is one and it does not work: no GPU, or a kernel module of another version.</exception>
    /// <exception cref="NotSupportedException">It is older than CUDA 11.8.</exception>
    public NativeCudaDriver()
    {
        CudaLibraries.Driver.Load();
        CheckStart(cuInit(0), nameof(cuInit));
        int version;
        Check(cuDriverGetVersion(&version), nameof(cuDriverGetVersion));
        if (version < OldestVersion)
            throw new NotSupportedException($"{CudaLibraries.Driver.Path} supports CUDA {version / 1000}.{version % 1000 / 10}; 11.8 or newer is needed: update the display driver.");
        Version = version;
        CudaLibraries.NewestMajor = version / 1000;
    }

    /// <summary>The driver where there is one with a GPU that works; else null, and why not.</summary>
    public static NativeCudaDriver? TryCreate(out string? problem)
    {
        problem = null;
        try
        {
            return new NativeCudaDriver();
        }
        catch (Exception e) when (e is CudaLibraryNotFoundException or CudaException or NotSupportedException)
        {
            problem = e.Message;
            return null;
        }
    }

    // Devices ---------------------------------------------------------------------------------------------------------

    public override string Name => "cuda";

    public override int Version { get; }

    public override int DeviceCount
    {
        get
        {
            int count;
            Check(cuDeviceGetCount(&count), nameof(cuDeviceGetCount));
            return count;
        }
    }

    public override string GetDeviceName(int device)
    {
        byte* name = stackalloc byte[256];
        Check(cuDeviceGetName(name, 256, Ordinal(device)), nameof(cuDeviceGetName));
        return Text(name);
    }

    public override long GetTotalMemory(int device)
    {
        nuint bytes;
        Check(cuDeviceTotalMem_v2(&bytes, Ordinal(device)), nameof(cuDeviceTotalMem_v2));
        return (long)bytes;
    }

    public override int GetAttribute(DeviceAttribute attribute, int device)
    {
        int value;
        Check(cuDeviceGetAttribute(&value, attribute, Ordinal(device)), nameof(cuDeviceGetAttribute));
        return value;
    }

    /// <summary>Machine code for exactly this device; from Hopper on with the instructions that only this architecture has.</summary>
    public override KernelTarget GetTarget(int device)
    {
        int major = GetAttribute(DeviceAttribute.ComputeCapabilityMajor, device);
        int minor = GetAttribute(DeviceAttribute.ComputeCapabilityMinor, device);
        return new KernelTarget($"sm_{major}{minor}{(major >= 9 ? "a" : "")}");
    }

    // Context ---------------------------------------------------------------------------------------------------------

    public override CuContext RetainPrimaryContext(int device)
    {
        nint context;
        CheckStart(cuDevicePrimaryCtxRetain(&context, Ordinal(device)), nameof(cuDevicePrimaryCtxRetain));
        return new CuContext(context);
    }

    public override void ReleasePrimaryContext(int device) =>
        Check(cuDevicePrimaryCtxRelease_v2(Ordinal(device)), nameof(cuDevicePrimaryCtxRelease_v2));

    public override void SetCurrent(CuContext context) => Check(cuCtxSetCurrent(context.Handle), nameof(cuCtxSetCurrent));

    public override void SynchronizeContext() => Check(cuCtxSynchronize(), nameof(cuCtxSynchronize));

    // Modules ---------------------------------------------------------------------------------------------------------

    public override CuModule LoadModule(ReadOnlySpan<byte> image, string name)
    {
        // PTX must end with a zero; for a cubin one more byte does not matter.
        byte[] ended = new byte[image.Length + 1];
        image.CopyTo(ended);
        byte[] log = new byte[LogBytes];
        fixed (byte* start = ended, logStart = log)
        {
            int* options = stackalloc int[] { ErrorLogBuffer, ErrorLogBufferBytes };
            void** values = stackalloc void*[] { logStart, (void*)LogBytes };
            nint module;
            var result = cuModuleLoadDataEx(&module, start, 2, options, values);
            if (result != CudaResult.Success)
                throw new CudaException(nameof(cuModuleLoadDataEx), result, $"{name}: {Explain(result)}. {Text(logStart)}".TrimEnd() + ModuleAdvice(result));
            return new CuModule(module);
        }
    }

    public override void UnloadModule(CuModule module)
    {
        Check(cuModuleUnload(module.Handle), nameof(cuModuleUnload));
        foreach (var (function, (owner, _)) in _functions)
        {
            if (owner == module)
                _functions.TryRemove(function, out _);
        }
    }

    public override CuFunction GetFunction(CuModule module, string name)
    {
        nint handle;
        CudaResult result;
        fixed (byte* text = Utf8(name))
        {
            // Here, not when the module is loaded, a kernel reaches the device where loading is lazy, which is the driver's default from
            // CUDA 12.2 on: for that it may need what a capture forbids.
            int mode = Relaxed;
            Check(cuThreadExchangeStreamCaptureMode(&mode), nameof(cuThreadExchangeStreamCaptureMode));
            result = cuModuleGetFunction(&handle, module.Handle, text);
            Check(cuThreadExchangeStreamCaptureMode(&mode), nameof(cuThreadExchangeStreamCaptureMode));
        }
        CheckName(result, nameof(cuModuleGetFunction), name);
        var function = new CuFunction(handle);
        _functions[function] = (module, name);
        return function;
    }

    public override (DevicePointer Address, long Bytes) GetGlobal(CuModule module, string name)
    {
        ulong pointer;
        nuint bytes;
        fixed (byte* text = Utf8(name))
            CheckName(cuModuleGetGlobal_v2(&pointer, &bytes, module.Handle, text), nameof(cuModuleGetGlobal_v2), name);
        return (new DevicePointer(pointer), (long)bytes);
    }

    public override int GetFunctionAttribute(CuFunction function, FunctionAttribute attribute)
    {
        int value;
        CheckKernel(cuFuncGetAttribute(&value, attribute, function.Handle), nameof(cuFuncGetAttribute), function);
        return value;
    }

    public override void SetFunctionAttribute(CuFunction function, FunctionAttribute attribute, int value) =>
        CheckKernel(cuFuncSetAttribute(function.Handle, attribute, value), nameof(cuFuncSetAttribute), function);

    public override int GetMaxActiveBlocks(CuFunction function, int threadsPerBlock, int sharedBytes)
    {
        int blocks;
        CheckKernel(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function.Handle, threadsPerBlock, (nuint)sharedBytes),
            nameof(cuOccupancyMaxActiveBlocksPerMultiprocessor), function);
        return blocks;
    }

    public override void Launch(CuFunction function, Dim3 grid, Dim3 block, int sharedBytes, CuStream stream, params ReadOnlySpan<KernelArg> args)
    {
        void** parameters = stackalloc void*[args.Length];
        fixed (KernelArg* start = args)
        {
            for (int i = 0; i < args.Length; i++)
            {
                fixed (byte* value = start[i].Bytes)
                    parameters[i] = value; // Inside the span, which is fixed, or where the caller promised that it stays.
            }
            var result = cuLaunchKernel(function.Handle, (uint)grid.X, (uint)grid.Y, (uint)grid.Z, (uint)block.X, (uint)block.Y, (uint)block.Z,
                (uint)sharedBytes, Given(stream), parameters, null);
            if (result != CudaResult.Success)
                throw new CudaException(nameof(cuLaunchKernel), result, Explain(result), KernelName(function), new LaunchDimensions(grid, block, sharedBytes));
        }
    }

    // Errors ----------------------------------------------------------------------------------------------------------

    private static void Check(CudaResult result, string call)
    {
        if (result != CudaResult.Success)
            throw new CudaException(call, result, Explain(result));
    }

    private static void CheckName(CudaResult result, string call, string name)
    {
        if (result != CudaResult.Success)
            throw new CudaException(call, result, $"'{name}': {Explain(result)}");
    }

    private void CheckKernel(CudaResult result, string call, CuFunction function)
    {
        if (result != CudaResult.Success)
            throw new CudaException(call, result, Explain(result), KernelName(function));
    }

    /// <summary>Checks what a process asks for first: where that fails, the machine has to be put right.</summary>
    private static void CheckStart(CudaResult result, string call)
    {
        if (result == CudaResult.Success)
            return;
        string advice = result switch
        {
            CudaResult.NoDevice => ": there is no NVIDIA GPU"
                + (Environment.GetEnvironmentVariable("CUDA_VISIBLE_DEVICES") is { } visible ? $", or CUDA_VISIBLE_DEVICES={visible} hides it" : ""),
            CudaResult.OutOfMemory => ": other processes have taken its memory, nvidia-smi lists them",
            CudaResult.DeviceUnavailable => ": another process has the GPU for itself (nvidia-smi shows its compute mode), or has broken it",
            CudaResult.SystemDriverMismatch => ": libcuda and the loaded kernel module are of different versions: restart the machine, or in a container use the host's driver",
            CudaResult.CompatNotSupportedOnDevice => ": this is a libcuda for forward compatibility, which this GPU or its kernel module does not allow: "
                + "take the toolkit's folder compat out of LD_LIBRARY_PATH, or update the display driver",
            CudaResult.SystemNotReady => ": a service is not running that this machine needs: on one with NVSwitch the fabric manager (systemctl start nvidia-fabricmanager)",
            CudaResult.MpsConnectionFailed => ": the MPS server does not answer: start it, or unset CUDA_MPS_PIPE_DIRECTORY",
            CudaResult.StubLibrary => ": this is the toolkit's stub, which has no driver in it: take its folder out of the library path",
            CudaResult.Unknown => ": the kernel module does not answer: nvidia-smi or the system's log say more",
            _ => "",
        };
        throw new CudaException(call, result, $"{Explain(result)} ({CudaLibraries.Driver.Path}){advice}.");
    }

    /// <summary>What to do about a module that the driver does not take; else nothing.</summary>
    private static string ModuleAdvice(CudaResult result) => result switch
    {
        CudaResult.UnsupportedPtxVersion => $" The compiler is newer than the driver: update the display driver, or name the folder of an older NVRTC in {SearchPlaces.Variable}.",
        CudaResult.JitCompilerNotFound => " The driver translates PTX by libnvidia-ptxjitcompiler, which is not installed here (in a container NVIDIA_DRIVER_CAPABILITIES must have"
            + $" compute); an NVRTC that knows this GPU needs none, name its folder in {SearchPlaces.Variable}.",
        CudaResult.JitCompilationDisabled => $" CUDA_DISABLE_PTX_JIT or CUDA_DISABLE_JIT is set: unset it, or name the folder of an NVRTC that knows this GPU in {SearchPlaces.Variable}.",
        _ => "",
    };

    private string KernelName(CuFunction function) => _functions.TryGetValue(function, out var entry) ? entry.Name : "a kernel";

    /// <summary>The driver's own sentence.</summary>
    private static string Explain(CudaResult result)
    {
        byte* text;
        return cuGetErrorString(result, &text) == CudaResult.Success && text is not null ? Text(text) : "an error that the driver does not explain";
    }

    private static int Ordinal(int device)
    {
        int handle;
        var result = cuDeviceGet(&handle, device);
        return result == CudaResult.Success ? handle : throw new CudaException(nameof(cuDeviceGet), result, $"device {device}: {Explain(result)}");
    }

    private static nint Given(CuStream stream) => stream.Handle != 0 ? stream.Handle
        : throw new CudaException("CudaDriver", CudaResult.InvalidHandle, "no stream was given");

    private static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text) ?? "";

    private static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text + '\0');
}
