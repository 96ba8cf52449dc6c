using System.Text.RegularExpressions;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cli.Commands;
using RawDiffusion.Cli.Kernels;
using RawDiffusion.Cuda;
using RawDiffusion.Diffusion.Training;

namespace RawDiffusion.Tests.Cli;

/// <summary><c>kernels list</c>, <c>compile</c> and <c>ptx</c>: without a GPU, and the first without a compiler.</summary>
public class KernelsTests
{
    public static TheoryData<string> Files => [.. KernelLibrary.Files];

    /// <summary>The list is read from the sources' text; the compiler knows what is really in them.</summary>
    [SkippableTheory]
    [MemberData(nameof(Files))]
    public void The_list_holds_exactly_what_the_compiler_finds(string file)
    {
        TestNvrtc.Require();
        var listed = new KernelIndex(KernelLibrary.Source(file)).Kernels;
        string[] options = [.. listed.Select(kernel => kernel.Condition).Distinct().Select(macro => macro is null ? "" : Operators.ByMacro[macro].First().Option)];
        var compiled = options.SelectMany(option => Entries(file, option.Length == 0 ? [] : [option]));
        Assert.Equal(compiled.Order(), listed.Select(kernel => kernel.Name).Order());
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Every_file_and_every_kernel_has_a_sentence(string file)
    {
        var index = new KernelIndex(KernelLibrary.Source(file));
        Assert.NotEmpty(index.About);
        Assert.All(index.Kernels, kernel => Assert.NotEmpty(kernel.Description));
    }

    [Fact]
    public void A_sentence_is_found_before_the_kernel_in_the_head_or_before_what_it_calls()
    {
        var index = new KernelIndex(new KernelSource("made.cu", """
            // Makes things. And more.
            //
            //   made_in_*_f32   from the table   made_other_f32   also from it
            #include "common.cuh"

            // Before the kernel, over
            // two lines. Not this.
            extern "C" __global__ void made_first_f32(int n)
            {
            }

            // What is called.
            template <int N>
            __device__ void work(int n)
            {
            }

            extern "C" __global__ void __launch_bounds__(Shape<1, 2>::Threads, 1) made_calling_f32(
                int n)
            {
                work<3>(n);
            }

            #define MADE(name, size)                             \
                extern "C" __global__ void made_##name##_f32(    \
                    int n)                                       \
                {                                                \
                }                                                \
                extern "C" __global__ void made_in_##size##_f32(int n) { }

            MADE(other, 16)

            #if defined(UNARY)
            extern "C" __global__ void made_for_each_f32(int n)
            {
            }
            #endif
            """));
        Assert.Equal("Makes things", index.About);
        Assert.Equal(
            [
                new("made.cu", "made_first_f32", "Before the kernel, over two lines", null),
                new("made.cu", "made_calling_f32", "What is called", null),
                new("made.cu", "made_other_f32", "also from it", null),
                new("made.cu", "made_in_16_f32", "from the table", null),
                new("made.cu", "made_for_each_f32", "Makes things", "UNARY"),
            ],
            index.Kernels);
    }

    [Fact]
    public void The_list_has_a_line_for_each_kernel()
    {
        using var process = CliProcess.Start("kernels", "list", "shaping.cu");
        Assert.Equal(0, process.Finish().ExitCode);
        Assert.Contains(process.Output, line => Regex.IsMatch(line, "^shaping.cu +shaping_join_b32 +y.rows, left . right.: each row of a"));
        Assert.All(process.Output.Skip(1), line => Assert.StartsWith("shaping.cu ", line));
    }

    [SkippableFact]
    public void Compiling_shows_what_a_kernel_needs_on_each_architecture()
    {
        TestNvrtc.Require();
        using var process = CliProcess.Start("kernels", "compile", "shaping_join", "elementwise_binary_f32", "--arch", "sm_75,sm_90");
        Assert.Equal((0, ""), process.Finish());
        Assert.Contains(process.Output, line => Regex.IsMatch(line, "^kernel +sm_75 +sm_90$"));
        Assert.Contains(process.Output, line => Regex.IsMatch(line, @"^shaping_join_b32 +\d+ / 0 / 0 +\d+ / 0 / 0$"));
        Assert.Contains(process.Output, line => Regex.IsMatch(line, @"^elementwise_binary_f32 \(\d+ operators\) +\d+ / 0 / 0 +\d+ / 0 / 0$"));
        Assert.Equal("no spills", process.Output[^1]);
    }

    [Fact]
    public void Spills_fail()
    {
        var kernel = new KernelEntry("a.cu", "a_f32", "", null);
        var target = new KernelTarget("sm_80");
        int Show(int spilled) => KernelsCompileCommand.Show(
            [kernel], [target], new() { [("a.cu", null, target)] = [new KernelResources("a_f32", 255, 0, 64, spilled, spilled)] }, SilentReporter.Instance);
        Assert.Equal(0, Show(0));
        Assert.Equal(1, Show(8));
    }

    [SkippableFact]
    public void An_architecture_that_the_compiler_does_not_know_is_refused()
    {
        TestNvrtc.Require();
        var error = new StringWriter();
        Assert.Equal(2, RawDiffusion.Cli.Program.Run(["kernels", "compile", "--arch", "sm_20"], error));
        Assert.Contains("sm_20", error.ToString());
        Assert.Single(error.ToString().TrimEnd().Split('\n'));
    }

    [SkippableFact]
    public void The_ptx_of_a_kernel_is_a_module_with_that_kernel_alone()
    {
        TestNvrtc.Require();
        using var process = CliProcess.Start("kernels", "ptx", "shaping_join_b32", "--arch", "compute_75");
        Assert.Equal((0, ""), process.Finish());
        Assert.Contains(".target sm_75", process.Output);
        Assert.Equal(".visible .entry shaping_join_b32(", Assert.Single(process.Output, line => line.Contains(".entry")));
        Assert.DoesNotContain(process.Output, line => line.Contains("shaping_split"));
        Assert.Contains("\tret;", process.Output);
    }

    [SkippableFact]
    public void A_missing_compiler_is_told_in_one_line_that_says_how_to_get_it()
    {
        using var folder = new TemporaryFolder();
        using var process = CliProcess.StartWith([("RAWDIFFUSION_CUDA_LIBRARIES", folder.Path)], "kernels", "compile", "shaping.cu");
        var (code, error) = process.Finish();
        Skip.If(code == 0, "this machine has an NVRTC that every process finds");
        Assert.Equal(2, code);
        Assert.StartsWith("rawdiffusion: NVRTC (", error);
        Assert.Contains($"RAWDIFFUSION_CUDA_LIBRARIES={folder.Path} (not there)", error);
        Assert.Contains("Install one of: ", error);
        Assert.DoesNotContain('\n', error);
    }

    /// <summary>Some kernels are for devices with tensor cores, and some for those without.</summary>
    private static IEnumerable<string> Entries(string file, string[] options)
    {
        string[] ptx = [.. ((string[])["compute_75", "compute_80"]).Select(target => new KernelCompiler().Compile(KernelLibrary.Source(file), new KernelTarget(target), options).Ptx)];
        return ptx.SelectMany(text => Regex.Matches(text, @"\.entry (\w+)")).Select(match => match.Groups[1].Value).Distinct();
    }
}
