using System.Text.Json;
using RawDiffusion.Cli;
using RawDiffusion.Cli.Output;
using RawDiffusion.Cuda;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Records;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.Tests.Diffusion.Training;
using Program = RawDiffusion.Cli.Program;

namespace RawDiffusion.Tests.Cli;

/// <summary><c>--device</c>: where a run computes, what it says about that, and what becomes of it when the device fails.</summary>
public sealed class DeviceChoiceTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableFact]
    public void Cuda_without_a_gpu_is_refused_in_one_line_before_anything_is_written()
    {
        Skip.If(NativeCudaDriver.TryCreate(out _) is not null, "this machine has a GPU");
        var error = new StringWriter();
        Assert.Equal(2, Program.Run(["train", "eight-gaussians", "--device", "cuda", "--out", _folder["run"]], error));
        Assert.StartsWith("rawdiffusion: The device cuda cannot be used. The CUDA driver", error.ToString());
        Assert.Contains("use --device cpu or --device emulated", error.ToString());
        Assert.Single(error.ToString().TrimEnd('\n').Split('\n'));
        Assert.False(Directory.Exists(_folder["run"]));
    }

    [Fact]
    public void A_run_says_where_it_computes_and_keeps_it()
    {
        using var process = CliProcess.StartWith(
            [("RAWDIFFUSION_CUDA_LIBRARIES", _folder.Path)],
            "train", "eight-gaussians", "--steps", "2", "--samples", "20", "--sampling-steps", "2", "--device", "reference", "--out", _folder["run"]);
        Assert.Equal((0, ""), process.Finish());
        Assert.StartsWith("eight-gaussians on reference, seed 0 -> ", process.Output[0]);
        using var config = JsonDocument.Parse(File.ReadAllText(_folder["run/config.json"]));
        Assert.Equal("reference", config.RootElement.GetProperty("device").GetString());
    }

    [SkippableFact]
    public void Without_a_word_the_best_device_is_taken_also_to_sample_what_another_trained()
    {
        Skip.If(NativeCudaDriver.TryCreate(out _) is not null, "this machine has a GPU");
        TinyRun.Start(TinyRun.Config with { Device = "reference" }, _folder["run"]);
        foreach (string command in (string[])["sample", "evaluate"])
        {
            using var process = CliProcess.Start(command, _folder["run"]);
            Assert.Equal((0, ""), process.Finish());
            Assert.Equal($"step 12 of {_folder["run"]} on cpu, seed 3", process.Output[0]);
        }
    }

    [Fact]
    public void A_run_goes_on_on_another_device()
    {
        TinyRun.Start(TinyRun.Config, _folder["run"]);
        Assert.Equal(0, Program.Run(["train", "--resume", _folder["run"], "--steps", "14", "--device", "reference"], TextWriter.Null));
        using var config = JsonDocument.Parse(File.ReadAllText(_folder["run/config.json"]));
        Assert.Equal("reference", config.RootElement.GetProperty("device").GetString());
        Assert.Equal("step-14\n", File.ReadAllText(_folder["run/checkpoints/latest"]));
    }

    [SkippableFact]
    public void A_gpu_whose_kernels_cannot_be_compiled_is_passed_over_with_the_reason()
    {
        FakeLibrary.Compile("Driver/fake_libcuda.c", _folder.Path, "libcuda.so.1");
        using var process = CliProcess.StartWith(
            [("RAWDIFFUSION_CUDA_LIBRARIES", _folder.Path), ("RAWDIFFUSION_FAKE_LOG", _folder["log"])], "verify", "--operation", "neg");
        var (code, error) = process.Finish();
        Skip.If(!error.Contains("NVRTC"), "this machine has an NVRTC that every process finds");
        Assert.Equal(0, code);
        Assert.StartsWith("rawdiffusion: there is a GPU, but its kernels cannot be compiled, so the CPU computes. NVRTC ", error);
        Assert.Contains(" on cpu in fp32 against reference", process.Output[0]);
    }

    [Fact]
    public void A_device_that_is_lost_leaves_the_checkpoint_before_and_writes_none()
    {
        var config = TinyRun.Config with { Training = TinyRun.Config.Training with { CheckpointEvery = 5 } };
        var lost = Assert.Throws<CudaException>(() => DiffusionRun.Start(config, () => RunFolder.Create(_folder["run"]), new LosesDevice(atStep: 8)));
        Assert.True(lost.Sticky);
        Assert.Equal("step-5\n", File.ReadAllText(_folder["run/checkpoints/latest"]));
        Assert.Equal(["latest", "step-5"], Directory.EnumerateFileSystemEntries(_folder["run/checkpoints"]).Select(path => Path.GetFileName(path)).Order());
    }

    [Theory]
    [InlineData(CudaResult.IllegalAddress, 1)]
    [InlineData(CudaResult.InvalidValue, 1)]
    [InlineData(CudaResult.NoDevice, 2)]
    [InlineData(CudaResult.SystemDriverMismatch, 2)]
    public void A_fault_of_a_kernel_is_a_failure_and_a_device_that_is_not_there_is_bad_input(CudaResult result, int exitCode)
    {
        var described = UserError.Describe(new CudaException("cuLaunchKernel", result, "line one\nline two"));
        Assert.Equal(exitCode, described!.Value.ExitCode);
        Assert.DoesNotContain('\n', described.Value.Message);
    }

    [Fact]
    public void Too_little_device_memory_and_a_kernel_that_does_not_compile_are_told_in_one_line()
    {
        var memory = UserError.Describe(new DeviceOutOfMemoryException("Fake", 1 << 20, default, (0, 0), []));
        Assert.Equal(2, memory!.Value.ExitCode);
        Assert.StartsWith("Fake is out of memory: 1.0 MiB were asked for", memory.Value.Message);
        var kernel = UserError.Describe(new KernelCompilationException(new KernelSource("a.cu", "x\ny\n"), new KernelTarget("sm_80"), "NVRTC says no.", "a.cu(2): error"));
        Assert.Equal(2, kernel!.Value.ExitCode);
        Assert.DoesNotContain('\n', kernel.Value.Message);
    }

    /// <summary>What another device began goes on here: a run saved on the CPU is taken up by the kernels of the GPU, and sampled by them.</summary>
    [SkippableFact]
    public void A_run_of_the_cpu_goes_on_on_the_emulated_device_and_back()
    {
        TestNvrtc.Require();
        var config = TinyRun.Config with { Training = TinyRun.Config.Training with { LearningRateSchedule = "constant", Warmup = 0 } };
        TinyRun.Start(config, _folder["run"]);
        TinyRun.Start(config with { Training = config.Training with { Steps = 14 } }, _folder["straight"]);
        Assert.Equal(0, Program.Run(["train", "--resume", _folder["run"], "--steps", "13", "--device", "emulated:checked"], TextWriter.Null));
        Assert.Equal(0, Program.Run(["train", "--resume", _folder["run"], "--steps", "14", "--device", "cpu"], TextWriter.Null));
        Assert.Equal(0, Program.Run(["sample", _folder["run"], "--device", "emulated", "--out", _folder["s"]], TextWriter.Null));
        // Sums are made in other orders: some units in the last place of values of up to 10, through 2 steps and 3 of the sampler.
        Assert.All(Samples(_folder["run/samples.safetensors"]).Zip(Samples(_folder["straight/samples.safetensors"])),
            pair => Assert.InRange(pair.First - pair.Second, -1e-3, 1e-3));
        Assert.True(File.Exists(_folder["s.safetensors"]));
    }

    [Fact]
    public void The_emulated_device_is_told_by_its_name_how_to_emulate()
    {
        Assert.Equal(ExecutionMode.Unchecked, Devices.ParseEmulated("").Mode);
        var options = Devices.ParseEmulated("checked,seed=3,approx=5,sm=90");
        Assert.Equal((ExecutionMode.Checked, 3ul, 5ul, 90), (options.Mode, options.ScheduleSeed, options.ApproximationSeed, options.ComputeCapability));
    }

    private static float[] Samples(string path)
    {
        using var file = IO.Safetensors.Load(path);
        return file.Read("x").ToArray();
    }

    /// <summary>Throws in the middle of a training what a device throws that a kernel has ended.</summary>
    private sealed class LosesDevice(int atStep) : IRunReporter
    {
        public void Line(string text)
        {
        }

        public void Begin(string phase, int steps, int samplesPerStep, int done, string unit)
        {
        }

        public void Report(int step, double? loss)
        {
            if (step == atStep)
                throw new CudaException("cuStreamSynchronize", CudaResult.IllegalAddress);
        }

        public void End()
        {
        }

        public void Table(string title, IReadOnlyList<(string Name, string Value)> rows)
        {
        }
    }
}
