using System.Globalization;
using RawDiffusion.Cuda;
using RawDiffusion.Diffusion.Training;

namespace RawDiffusion.Cli.Output;

/// <summary>What <c>doctor</c> says about CUDA: the libraries, where they lie or were sought, and the devices. It never throws: what fails is told.</summary>
internal static class CudaReport
{
    public static void Write(IRunReporter reporter)
    {
        // First of all: the driver's version decides which of the other libraries fit it.
        var driver = NativeCudaDriver.TryCreate(out string? problem);
        reporter.Table("CUDA driver", Library(CudaLibraries.Driver, () => driver is null
            ? [("problem", problem!)]
            : [("version", $"CUDA {Release(driver.Version)}")]));
        reporter.Table("NVRTC, the compiler of kernels", Library(CudaLibraries.Nvrtc, () =>
        [
            ("version", Nvrtc.Version.ToString()),
            ("makes code for", string.Join(", ", Nvrtc.Architectures.Select(architecture => $"sm_{architecture}"))),
            ("compiled kernels", new KernelCompiler().CacheFolder ?? "not kept: there is no cache folder (RAWDIFFUSION_CACHE sets one)"),
        ]));
        reporter.Table("cuBLAS, to compare with", Library(CudaLibraries.Cublas, () => [("version", Cublas.LibraryVersion.ToString())]));
        if (driver is null)
            reporter.Table("Device cuda", [("none", FirstSentence(problem!))]);
        else
            Devices(reporter, driver);
        Devices(reporter, new PtxEmulator.Driver.EmulatedCudaDriver());
    }

    /// <summary>The devices of a driver, one table each.</summary>
    public static void Devices(IRunReporter reporter, CudaDriver driver)
    {
        try
        {
            int count = driver.DeviceCount;
            for (int device = 0; device < count; device++)
                reporter.Table($"Device {driver.Name}{(device == 0 ? "" : $":{device}")}", Attributes(driver, device));
            if (count == 0)
                reporter.Table($"Device {driver.Name}", [("none", "the driver works and has no device")]);
        }
        catch (CudaException e)
        {
            reporter.Table($"Device {driver.Name}", [("problem", e.Message)]);
        }
    }

    private static List<(string, string)> Attributes(CudaDriver driver, int device)
    {
        int Ask(DeviceAttribute attribute) => driver.GetAttribute(attribute, device);
        var rows = new List<(string, string)>
        {
            ("name", driver.GetDeviceName(device)),
            ("compute capability", $"{Ask(DeviceAttribute.ComputeCapabilityMajor)}.{Ask(DeviceAttribute.ComputeCapabilityMinor)}; kernels are compiled to {driver.GetTarget(device)}"),
            ("memory", Size(driver.GetTotalMemory(device))),
            ("multiprocessors", Text($"{Ask(DeviceAttribute.MultiprocessorCount)} at up to {Ask(DeviceAttribute.ClockRate) / 1000} MHz")),
        };
        // Two transfers per clock, as every kind of graphics memory has; newer drivers no longer tell the memory's clock.
        double bandwidth = 2e3 * Ask(DeviceAttribute.MemoryClockRate) * (Ask(DeviceAttribute.GlobalMemoryBusWidth) / 8.0) / 1e9;
        if (bandwidth > 0)
            rows.Add(("memory bandwidth", Text($"{bandwidth:0} GB/s ({Ask(DeviceAttribute.GlobalMemoryBusWidth)} bits)")));
        rows.Add(("L2 cache", Size(Ask(DeviceAttribute.L2CacheSize))));
        rows.Add(("shared memory", $"{Size(Ask(DeviceAttribute.MaxSharedMemoryPerBlockOptin))} per block, {Size(Ask(DeviceAttribute.MaxSharedMemoryPerMultiprocessor))} per multiprocessor"));
        rows.Add(("registers", Text($"{Ask(DeviceAttribute.MaxRegistersPerMultiprocessor)} per multiprocessor")));
        rows.Add(("threads", Text($"{Ask(DeviceAttribute.MaxThreadsPerBlock)} per block, {Ask(DeviceAttribute.MaxThreadsPerMultiprocessor)} per multiprocessor, warps of {Ask(DeviceAttribute.WarpSize)}")));
        return rows;
    }

    /// <param name="facts">What to say where the library was found; may fail.</param>
    private static List<(string, string)> Library(LibraryLocator library, Func<IEnumerable<(string, string)>> facts)
    {
        var rows = new List<(string, string)>();
        if (!library.TryLoad(out _))
        {
            rows.Add(("not found", "looked in"));
            rows.AddRange(library.Looked.Select(place => ("", place)));
            rows.Add(("to install", library.Advice));
            return rows;
        }
        rows.Add(("file", library.Path!));
        try
        {
            rows.AddRange(facts());
        }
        catch (Exception e)
        {
            // A library of a version that lacks a function, or a damaged one: told like everything else.
            rows.Add(("problem", e.Message.ReplaceLineEndings(" ")));
        }
        return rows;
    }

    private static string FirstSentence(string text)
    {
        int end = text.IndexOf(" was not found in", StringComparison.Ordinal);
        return end < 0 ? text : text[..end] + " was not found";
    }

    private static string Release(int version) => $"{version / 1000}.{version % 1000 / 10}";

    private static string Size(long bytes) => bytes switch
    {
        >= 1L << 30 => Text($"{bytes / (double)(1L << 30):0.0} GiB"),
        >= 1L << 20 => Text($"{bytes / (double)(1L << 20):0.#} MiB"),
        _ => Text($"{bytes / 1024.0:0.#} KiB"),
    };

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
