using System.Runtime.InteropServices;
using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>
/// The declarations of libcuda, against a library in C that writes down what arrives. In a process of its own: a process has one libcuda.
/// What a real driver makes of the calls only a GPU can show.
/// </summary>
public sealed class NativeCudaDriverTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableFact]
    public void EveryFunctionReceivesItsArguments()
    {
        string log = Run("native-driver");
        string expected = """
            cuInit 0
            cuDeviceGetAttribute 16 of 11
            cuDeviceGetAttribute 75 of 10
            cuDeviceGetAttribute 76 of 10
            cuDevicePrimaryCtxRetain 10
            cuCtxSetCurrent 21
            cuModuleLoadDataEx .version 8.0 2: 5=log 6=16384
            cuThreadExchangeStreamCaptureMode 2
            cuModuleGetFunction 31 scale_f32
            cuThreadExchangeStreamCaptureMode 0
            cuModuleGetGlobal 31 table
            cuFuncGetAttribute 4 of 41
            cuFuncSetAttribute 41 8 65536
            cuOccupancy 41 256 1024
            cuStreamCreate 1
            cuLaunchKernel 41 1 2 3 4 5 6 7 51: 7f0000002000 1.5 -2 2.5 200 (11 12 13) 0
            cuEventCreate 0
            cuEventCreate 2
            cuEventRecord 61 51
            cuStreamWaitEvent 51 61 0
            cuEventSynchronize 61
            cuEventQuery 63
            cuEventElapsedTime 61 63
            cuStreamQuery 51
            cuMemAlloc 5000000000
            cuMemHostAlloc 64 0
            cuMemcpyHtoDAsync 7f0000002000 hello 5 51
            cuStreamSynchronize 51
            cuMemcpyDtoHAsync 7f0000002000 3 51
            cuStreamSynchronize 51
            cuMemcpyHtoDAsync 7f0000002000 pinned 6 51
            cuMemcpyDtoHAsync 7f0000002001 6 51
            cuMemcpyDtoDAsync 7f0000003000 7f0000002000 4294967296 51
            cuMemsetD8Async 7f0000002000 255 4294967297 51
            cuMemsetD16Async 7f0000002000 beef 5 51
            cuMemsetD32Async 7f0000002000 deadbeef 9 51
            cuStreamBeginCapture 51 1
            cuStreamIsCapturing 51
            cuStreamEndCapture 51
            cuGraphGetNodes 71 0
            cuGraphInstantiate 71 0
            cuGraphLaunch 81 51
            cuGraphExecUpdate 81 71
            cuGraphExecUpdate 81 72
            cuGraphDestroy 71
            cuGraphExecDestroy 81
            cuMemFreeHost xxxxxx
            cuMemFree 7f0000002000
            cuEventDestroy 61
            cuStreamDestroy 51
            cuModuleUnload 31
            cuCtxSynchronize
            cuDevicePrimaryCtxRelease 10
            """;
        Assert.Equal(expected.ReplaceLineEndings("\n"), log);
    }

    [SkippableFact]
    public void ErrorsSayWhatWasAskedFor()
    {
        string expected = """
            cuDeviceGet: CUDA_ERROR_INVALID_DEVICE (101): device 666: explanation of 101
            cuModuleLoadDataEx: CUDA_ERROR_INVALID_PTX (218): bad.cu: explanation of 218. line 3: no such thing
            cuModuleLoadDataEx: CUDA_ERROR_UNSUPPORTED_PTX_VERSION (222): new.cu: explanation of 222. The compiler is newer than the driver: update the display driver, or name the folder of an older NVRTC in RAWDIFFUSION_CUDA_LIBRARIES.
            cuModuleLoadDataEx: CUDA_ERROR_JIT_COMPILER_NOT_FOUND (221): ptx.cu: explanation of 221. The driver translates PTX by libnvidia-ptxjitcompiler, which is not installed here (in a container NVIDIA_DRIVER_CAPABILITIES must have compute); an NVRTC that knows this GPU needs none, name its folder in RAWDIFFUSION_CUDA_LIBRARIES.
            cuModuleGetFunction: CUDA_ERROR_NOT_FOUND (500): 'missing_f32': explanation of 500
            cuModuleGetGlobal_v2: CUDA_ERROR_NOT_FOUND (500): 'missing': explanation of 500
            cuLaunchKernel of scale_f32 with grid (1,1,1), block (2048,1,1), 0 bytes of dynamic shared memory: CUDA_ERROR_INVALID_VALUE (1): explanation of 1
            cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY (2): 1000000 bytes: explanation of 2
            cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): 1000000 bytes of pinned memory: explanation of 2
            CudaDriver: CUDA_ERROR_INVALID_HANDLE (400): no stream was given
            """;
        Assert.Equal(expected.ReplaceLineEndings("\n"), Run("native-driver-errors"));
    }

    [SkippableTheory]
    [InlineData("100", "12040", "there is no NVIDIA GPU, or CUDA_VISIBLE_DEVICES=7 hides it.")]
    [InlineData("803", "12040", "of different versions: restart the machine")]
    [InlineData("34", "12040", "the toolkit's stub")]
    [InlineData("802", "12040", "systemctl start nvidia-fabricmanager")]
    [InlineData("804", "12040", "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE (804): explanation of 804")]
    [InlineData("805", "12040", "the MPS server does not answer")]
    [InlineData("5", "12040", "cuInit: CUDA error 5 (5): explanation of 5 (")]
    [InlineData("0", "11040", "supports CUDA 11.4; 11.8 or newer is needed")]
    public void ADriverThatDoesNotWorkSaysWhy(string init, string version, string message) => Assert.Contains(message,
        Run("native-driver-start", ("RAWDIFFUSION_FAKE_INIT", init), ("RAWDIFFUSION_FAKE_VERSION", version), ("CUDA_VISIBLE_DEVICES", "7")));

    [SkippableFact]
    public void LibrariesNewerThanTheDriverArePassedOver() =>
        Assert.Equal("libnvrtc.so.12 libnvrtc.so.11.2", Run("native-driver-libraries").Split('(', ')')[1].Replace(",", ""));

    [SkippableFact]
    public void WithoutLibcudaTheErrorSaysWhereItWasSought()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "the places are those of Linux");
        Skip.If(NativeLibrary.TryLoad("libcuda.so.1", out _), "this machine has libcuda");
        using var child = ChildProcess.Start("native-driver-start", "", ("RAWDIFFUSION_CUDA_LIBRARIES", _folder.Path));
        string message = ChildProcess.Finish(child);
        Assert.StartsWith("The CUDA driver (libcuda.so.1) was not found in: RAWDIFFUSION_CUDA_LIBRARIES=", message);
        Assert.Contains("install that", message);
        Assert.DoesNotContain("\n", message);
    }

    /// <summary>In a compute mode for one process, or where others hold all memory, the driver starts and the context cannot be made.</summary>
    [SkippableFact]
    public void AGpuThatOthersHoldSaysSo()
    {
        string[] messages = Run("native-driver-context").Split('\n');
        Assert.Contains("cuDevicePrimaryCtxRetain: CUDA_ERROR_DEVICE_UNAVAILABLE (46): explanation of 46 (", messages[0]);
        Assert.EndsWith("another process has the GPU for itself (nvidia-smi shows its compute mode), or has broken it.", messages[0]);
        Assert.EndsWith("other processes have taken its memory, nvidia-smi lists them.", messages[1]);
    }

    /// <summary>The part that runs in the other process.</summary>
    public static unsafe string Everything(string log)
    {
        var driver = new NativeCudaDriver();
        Assert.Equal(("cuda", 12040, 2), (driver.Name, driver.Version, driver.DeviceCount));
        Assert.Equal(("Fake 11", 80L << 30), (driver.GetDeviceName(1), driver.GetTotalMemory(0)));
        Assert.Equal(16, driver.GetAttribute(DeviceAttribute.MultiprocessorCount, 1));
        Assert.Equal("sm_90a", driver.GetTarget(0).Architecture);
        driver.SetCurrent(driver.RetainPrimaryContext(0));
        var module = driver.LoadModule(".version 8.0"u8, "x.cu");
        var function = driver.GetFunction(module, "scale_f32");
        Assert.Equal((new DevicePointer(0x7f0000001000), 12L), driver.GetGlobal(module, "table"));
        Assert.Equal(32, driver.GetFunctionAttribute(function, FunctionAttribute.Registers));
        driver.SetFunctionAttribute(function, FunctionAttribute.MaxDynamicSharedSizeBytes, 65536);
        Assert.Equal(8, driver.GetMaxActiveBlocks(function, 256, 1024));
        var stream = driver.CreateStream();
        var pointer = new DevicePointer(0x7f0000002000);
        var value = new Geometry(11, 12, 13L);
        driver.Launch(function, (1, 2, 3), (4, 5, 6), 7, stream, pointer, 1.5f, -2, 2.5, (byte)200, KernelArg.Struct(&value));
        var start = driver.CreateEvent(timing: true);
        var end = driver.CreateEvent(timing: false);
        driver.RecordEvent(start, stream);
        driver.WaitEvent(stream, start);
        driver.SynchronizeEvent(start);
        Assert.True(driver.QueryEvent(end));
        Assert.Equal(2.5f, driver.ElapsedMilliseconds(start, end));
        Assert.False(driver.QueryStream(stream));
        Assert.Equal(pointer, driver.Allocate(5_000_000_000));
        Assert.Equal((5L << 30, 80L << 30), driver.GetMemoryInfo());
        nint host = driver.AllocateHost(64);
        driver.CopyToDevice(pointer, "hello"u8, stream);
        byte[] three = new byte[3];
        driver.CopyToHost(three, pointer, stream);
        Assert.Equal("xxx"u8, three);
        driver.CopyToDeviceAsync(pointer, host, 6, stream);
        driver.CopyToHostAsync(host, pointer + 1, 6, stream);
        driver.CopyDeviceAsync(pointer + 0x1000, pointer, 1L << 32, stream);
        driver.Fill8Async(pointer, 255, (1L << 32) + 1, stream);
        driver.Fill16Async(pointer, 0xbeef, 5, stream);
        driver.Fill32Async(pointer, 0xdeadbeef, 9, stream);

        // Nothing of this reaches the driver.
        driver.CopyToDevice(pointer, [], stream);
        driver.CopyToHost([], pointer, stream);
        driver.CopyToDeviceAsync(pointer, host, 0, stream);
        driver.CopyToHostAsync(host, pointer, 0, stream);
        driver.CopyDeviceAsync(pointer, pointer, 0, stream);
        driver.Fill8Async(pointer, 0, 0, stream);
        driver.Fill16Async(pointer, 0, 0, stream);
        driver.Fill32Async(pointer, 0, 0, stream);
        driver.Free(DevicePointer.Null);
        driver.AnnotateMemory(pointer, 1, MemoryUse.Taken, null, stream);

        driver.BeginCapture(stream);
        Assert.True(driver.IsCapturing(stream));
        var graph = driver.EndCapture(stream);
        Assert.Equal(3, driver.GetNodeCount(graph));
        var exec = driver.Instantiate(graph);
        driver.LaunchGraph(exec, stream);
        Assert.False(driver.Update(exec, graph));
        Assert.True(driver.Update(exec, new CuGraph(72)));
        driver.DestroyGraph(graph);
        driver.DestroyGraphExec(exec);
        driver.FreeHost(host);
        driver.Free(pointer);
        driver.DestroyEvent(start);
        driver.DestroyStream(stream);
        driver.UnloadModule(module);
        driver.SynchronizeContext();
        driver.ReleasePrimaryContext(0);
        return File.ReadAllText(log).Trim();
    }

    public static string Errors(string log)
    {
        var driver = new NativeCudaDriver();
        var module = driver.LoadModule("good"u8, "x.cu");
        var function = driver.GetFunction(module, "scale_f32");
        var stream = driver.CreateStream();
        Action[] mistakes =
        [
            () => driver.GetDeviceName(666),
            () => driver.LoadModule("missing"u8, "bad.cu"),
            () => driver.LoadModule("newer"u8, "new.cu"),
            () => driver.LoadModule("no compiler"u8, "ptx.cu"),
            () => driver.GetFunction(module, "missing_f32"),
            () => driver.GetGlobal(module, "missing"),
            () => driver.Launch(function, 1, 2048, 0, stream, 0L, 0f, 0, 0.0, (byte)0, 0L, 0L),
            () => driver.Allocate(1_000_000),
            () => driver.AllocateHost(1_000_000),
            () => driver.SynchronizeStream(default),
        ];
        return string.Join('\n', mistakes.Select(mistake => Assert.ThrowsAny<CudaException>(mistake).Message));
    }

    public static string Contexts(string log)
    {
        var driver = new NativeCudaDriver();
        return string.Join('\n', ((int[])[667, 668]).Select(device => Assert.Throws<CudaException>(() => driver.RetainPrimaryContext(device)).Message));
    }

    public static string Start(string log) => NativeCudaDriver.TryCreate(out string? problem) is null ? problem! : "it works";

    public static string NewestLibraries(string log)
    {
        _ = new NativeCudaDriver();
        return CudaLibraries.Nvrtc.Missing();
    }

    private record struct Geometry(int A, int B, long C);

    private string Run(string child, params ReadOnlySpan<(string, string)> environment)
    {
        FakeLibrary.Compile("Driver/fake_libcuda.c", _folder.Path, "libcuda.so.1");
        string log = Path.Combine(_folder.Path, "log");
        using var process = ChildProcess.Start(child, log,
            [("RAWDIFFUSION_CUDA_LIBRARIES", _folder.Path), ("RAWDIFFUSION_FAKE_LOG", log), .. environment]);
        return ChildProcess.Finish(process);
    }
}
