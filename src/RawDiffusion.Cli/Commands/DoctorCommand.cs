using System.CommandLine;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Cli.Output;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion doctor</c>: what this machine offers and what the program makes of it.</summary>
internal static class DoctorCommand
{
    public static Command Create()
    {
        var command = new Command("doctor", "Show what this machine offers: processor, CUDA libraries and where they were sought, devices and measured peaks.");
        command.SetAction(_ => Run());
        return command;
    }

    private static int Run()
    {
        var reporter = ConsoleReporter.ForStandardOutput();
        var memory = GC.GetGCMemoryInfo();
        reporter.Table("Machine",
        [
            ("processor", ProcessorName()),
            ("architecture", RuntimeInformation.ProcessArchitecture.ToString()),
            ("cores", Environment.ProcessorCount.ToString()),
            ("memory", $"{memory.TotalAvailableMemoryBytes / (double)(1 << 30):0.0} GiB"),
            ("system", RuntimeInformation.OSDescription),
            (".NET", RuntimeInformation.FrameworkDescription),
        ]);
        reporter.Table("Device cpu",
        [
            ("vectors in use", $"{CpuBackend.VectorBits} bits (RAWDIFFUSION_SIMD sets it)"),
            ("hardware", Hardware()),
            ("FMA", Fma.IsSupported ? "yes" : "no"),
            ("threads", $"{Workers.Count} (RAWDIFFUSION_THREADS sets it)"),
            ("multiply-add peak, measured", $"{PeakFlops.Fma():0} GFLOP/s"),
            ("copy bandwidth, measured", $"{PeakFlops.CopyBandwidth():0.0} GB/s"),
        ]);
        CudaReport.Write(reporter);
        reporter.Line($"used where no --device is named: {Devices.Best}");
        return 0;
    }

    private static string Hardware()
    {
        var widths = new List<string>();
        if (Vector128.IsHardwareAccelerated)
            widths.Add("128");
        if (Vector256.IsHardwareAccelerated)
            widths.Add("256");
        if (Vector512.IsHardwareAccelerated)
            widths.Add("512");
        return string.Join(", ", widths) + " bits";
    }

    private static string ProcessorName()
    {
        const string Path = "/proc/cpuinfo";
        if (!File.Exists(Path))
            return Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? "unknown";
        string? line = File.ReadLines(Path).FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal));
        return line is null ? "unknown" : line[(line.IndexOf(':') + 1)..].Trim();
    }
}
