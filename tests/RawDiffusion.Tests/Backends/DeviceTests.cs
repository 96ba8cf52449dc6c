using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>What is said where a device cannot be had.</summary>
public class DeviceTests
{
    [SkippableFact]
    public void AMachineWithoutAGpuSaysWhereTheDriverWasSoughtAndWhatToDo()
    {
        Skip.If(NativeCudaDriver.TryCreate(out string? problem) is not null, "this machine has a GPU");
        string message = Assert.Throws<NotSupportedException>(() => CudaDevices.Open(1)).Message;
        Assert.Contains("The device cuda:1 cannot be used", message);
        Assert.Contains(problem!, message);
    }

    [SkippableFact]
    public void AGpuBeyondTheLastIsRefusedWithTheirNumber()
    {
        var driver = NativeCudaDriver.TryCreate(out _);
        Skip.If(driver is null, "this machine has no GPU");
        TestNvrtc.Require();
        Assert.Contains("There is no device cuda:99", Assert.Throws<NotSupportedException>(() => CudaDevices.Open(99)).Message);
        Assert.Equal(driver.Name, CudaDevices.Open(0).Name);
    }
}
