namespace RawDiffusion.Tests.Cli;

/// <summary><c>doctor</c> on machines that a folder of made-up libraries stands for.</summary>
public sealed class DoctorTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void What_is_not_there_is_said_with_the_places_that_were_searched()
    {
        var (code, error, output) = Doctor();
        Assert.Equal((0, ""), (code, error));
        Assert.Contains("Device cpu", output);
        Assert.Contains("CUDA driver", output);
        Assert.Contains("NVRTC, the compiler of kernels", output);
        Assert.Contains("cuBLAS, to compare with", output);
        Assert.Contains("Device emulated", output);
        if (output.Contains("  not found: looked in"))
            Assert.Contains($"    RAWDIFFUSION_CUDA_LIBRARIES={_folder.Path} (not there)", output);
        Assert.StartsWith("used where no --device is named: ", output[^1]);
    }

    [SkippableFact]
    public void Devices_are_shown_with_their_attributes_and_libraries_with_their_versions()
    {
        FakeLibrary.Compile("Driver/fake_libcuda.c", _folder.Path, "libcuda.so.1");
        FakeLibrary.Compile("Blas/fake_libcublas.c", _folder.Path, "libcublas.so.12");
        var (code, error, output) = Doctor();
        Assert.Equal((0, ""), (code, error));
        Assert.Contains("  version: CUDA 12.4", output);
        Assert.Contains($"  file: {Path.Combine(_folder.Path, "libcuda.so.1")}", output);
        Assert.Contains("  version: 12.4.5", output);
        Assert.Contains("Device cuda", output);
        Assert.Contains(output, line => line.StartsWith("  name: Fake ", StringComparison.Ordinal));
        Assert.Contains("  compute capability: 9.0; kernels are compiled to sm_90a", output);
    }

    [SkippableTheory]
    [InlineData("RAWDIFFUSION_FAKE_INIT", "100", "CUDA_ERROR_NO_DEVICE")]
    [InlineData("RAWDIFFUSION_FAKE_VERSION", "11000", "11.8 or newer is needed")]
    public void A_driver_that_does_not_work_is_a_line_and_not_an_error(string variable, string value, string expected)
    {
        FakeLibrary.Compile("Driver/fake_libcuda.c", _folder.Path, "libcuda.so.1");
        var (code, error, output) = Doctor((variable, value));
        Assert.Equal((0, ""), (code, error));
        Assert.Contains(output, line => line.StartsWith("  problem: ", StringComparison.Ordinal) && line.Contains(expected));
        Assert.Equal("used where no --device is named: cpu", output[^1]);
    }

    private (int Code, string Error, IReadOnlyList<string> Output) Doctor(params (string, string?)[] environment)
    {
        using var process = CliProcess.StartWith(
            [("RAWDIFFUSION_CUDA_LIBRARIES", _folder.Path), ("RAWDIFFUSION_FAKE_LOG", _folder["log"]), .. environment], "doctor");
        var (code, error) = process.Finish();
        return (code, error, process.Output);
    }
}
