using RawDiffusion.Cli.Kernels;
using RawDiffusion.Cuda;
using Program = RawDiffusion.Cli.Program;

namespace RawDiffusion.Tests.Cli;

/// <summary><c>kernels run</c>: kernels of anyone's on the emulated device, those of examples/kernels among them.</summary>
public sealed class KernelsRunTests : IDisposable
{
    private const string Saxpy = """
        #include <stdio.h>
        #include "scale.h"
        __global__ void saxpy(int n, float a, const float* x, float* y)
        {
            int i = blockIdx.x * blockDim.x + threadIdx.x;
            if (i < n)
                y[i] = scale(a, x[i]) + y[i];
        }

        __global__ void say(int n)
        {
            printf("thread %d of %d\n", threadIdx.x, n);
        }
        """;

    private readonly TemporaryFolder _folder = new();

    public KernelsRunTests()
    {
        File.WriteAllText(_folder["saxpy.cu"], Saxpy);
        File.WriteAllText(_folder["scale.h"], "__device__ float scale(float a, float x) { return a * x; }\n");
    }

    public void Dispose() => _folder.Dispose();

    [SkippableFact]
    public void What_a_kernel_wrote_is_shown_for_each_buffer()
    {
        var output = Run(0, _folder["saxpy.cu"], "--kernel", "saxpy", "--grid", "4", "--block", "32", "--args", "100", "2f", "f32:100=range", "f32:100=1");
        Assert.Contains("saxpy: grid (4,1,1), block (32,1,1)", output);
        Assert.Equal("2         f32:100  0 1 2 3 4 5 ...   0         99       4950   0 of 100", Line(output, "2 "));
        Assert.Equal("3         f32:100  1 3 5 7 9 11 ...  1         199      10000  99 of 100", Line(output, "3 "));
    }

    [SkippableFact]
    public void What_a_kernel_prints_is_printed()
    {
        var output = Run(0, _folder["saxpy.cu"], "--kernel", "say", "--block", "2", "--args", "2");
        Assert.Equal(["thread 0 of 2", "thread 1 of 2"], output.Take(2));
    }

    [SkippableFact]
    public void An_access_out_of_bounds_is_found_with_its_line_and_its_argument()
    {
        var output = Run(1, _folder["saxpy.cu"], "--kernel", "saxpy", "--grid", "4", "--block", "32", "--args", "101", "2f", "f32:101", "f32:100", "--checked");
        Assert.Contains(output, line => line.Contains("argument 3, f32:100"));
        Assert.Contains(output, line => line.Contains("by thread (4,0,0) of block (3,0,0)"));
        Assert.Contains("      y[i] = scale(a, x[i]) + y[i];", output);
    }

    [SkippableTheory]
    [InlineData("0")]
    [InlineData("1")]
    [InlineData("2")]
    public void The_example_without_it_is_right_in_any_order(string seed)
    {
        var output = Run(0, Example("block_sum.cu"), "--grid", "4", "--block", "256", "--args", "f32:1024=range", "f32:4", "--checked", "--seed", seed);
        Assert.Contains("block_sum: grid (4,1,1), block (256,1,1): no hazard found", output);
        Assert.Contains("32640 98176 163712 229248", Line(output, "1 "));
    }

    [SkippableFact]
    public void A_value_that_nobody_wrote_is_found()
    {
        var output = Run(1, _folder["saxpy.cu"], "--kernel", "saxpy", "--block", "32", "--args", "32", "2f", "f32:32=undefined", "f32:32", "--checked");
        Assert.Contains(output, line => line.Contains("argument 2, f32:32=undefined"));
    }

    [SkippableFact]
    public void The_example_with_a_race_is_caught_and_names_both_threads()
    {
        var output = Run(1, Example("block_sum_race.cu"), "--grid", "4", "--block", "256", "--args", "f32:1024=range", "f32:4", "--checked");
        Assert.Equal(2, output.Count(line => line.Contains("by thread (")));
        Assert.Contains("    block_sum_race.cu:17", output);
        Assert.Contains("      part[t] += part[t + stride];", output);
    }

    /// <summary>A write of a warp that goes down a column touches a sector for each of its 32 lanes.</summary>
    [SkippableFact]
    public void The_example_with_uncoalesced_writes_is_counted_line_by_line()
    {
        string[] arguments = ["--grid", "4,4", "--block", "32,8", "--args", "128", "f32:16384=range", "f32:16384", "--counted"];
        var slow = Run(0, [Example("transpose_uncoalesced.cu"), .. arguments]);
        Assert.Contains(slow, line => line.Contains("y[column * n + row] = x[row * n + column];") && line.Contains("4 and 32 each"));
        Assert.Contains(slow, line => line.StartsWith("line 11: the write of a warp touches 32 sectors of 32 bytes, 4 would do: ", StringComparison.Ordinal));
        Assert.Contains(slow, line => line.StartsWith("  global memory: 131,072 bytes used of 589,824 moved (22%)", StringComparison.Ordinal));

        var tiled = Run(0, [Example("transpose_tiled.cu"), .. arguments]);
        Assert.DoesNotContain(tiled, line => line.Contains("neighbouring threads"));
        Assert.Contains(tiled, line => line.StartsWith("  global memory: 131,072 bytes used of 131,072 moved (100%)", StringComparison.Ordinal));

        var conflicting = Run(0, [Example("transpose_tiled.cu"), .. arguments, "--define", "PITCH=32"]);
        Assert.Contains(conflicting, line => line.Contains("the read of a warp needs 32 passes over the banks of shared memory, 1 would do"));
    }

    /// <summary>What the help tells to type can be typed: the files are there, and the arguments are theirs. The race is found, which is a failed check.</summary>
    [SkippableFact]
    public void The_examples_of_the_help_work()
    {
        using var help = CliProcess.Start("kernels", "run", "--help");
        Assert.Equal(0, help.Finish().ExitCode);
        string[] examples = [.. help.Output.Where(line => line.Contains("kernels run examples/", StringComparison.Ordinal))];
        Assert.Equal(2, examples.Length);
        foreach (string example in examples)
        {
            string[] arguments = example.Trim().Split(' ')[3..];
            Run(arguments[0].Contains("race", StringComparison.Ordinal) ? 1 : 0, [Path.Combine(Repository.Root, arguments[0]), .. arguments[1..]]);
        }
    }

    [SkippableTheory]
    [InlineData("--kernel axpy --args 1", "saxpy.cu holds no kernel 'axpy'; there are: say, saxpy", "saxpy, say")]
    [InlineData("--args 1", "saxpy.cu holds several kernels; name one with --kernel: ", null)]
    [InlineData("--kernel saxpy --args 1 2f f32:4", "saxpy cannot be launched like this: 3 arguments for 4 parameters", null)]
    [InlineData("--kernel saxpy --args 1 2 f32:4 f32:4", "saxpy cannot be launched like this: argument 1 is an integer, the parameter is .f32", null)]
    [InlineData("--kernel saxpy --args 1L 2f f32:4 f32:4", "saxpy cannot be launched like this: argument 0 has 8 bytes, the parameter 4", null)]
    [InlineData("--kernel say --block 2048 --args 1", "say cannot be launched like this: a block has 1 to (1024,1024,64) threads, 1024 at most", null)]
    [InlineData("--kernel say --shared 100000000 --args 1", "say", null)]
    public void A_launch_that_is_not_the_kernels_is_refused(string arguments, string expected, string? or)
    {
        TestNvrtc.Require();
        var error = new StringWriter();
        Assert.Equal(2, Program.Run(["kernels", "run", _folder["saxpy.cu"], .. arguments.Split(' ')], error));
        Assert.True(error.ToString().Contains(expected) || or is not null && error.ToString().Contains(or), error.ToString());
        Assert.Single(error.ToString().TrimEnd('\n').Split('\n'));
    }

    [SkippableFact]
    public void What_does_not_compile_is_shown_with_the_compilers_words()
    {
        TestNvrtc.Require();
        File.WriteAllText(_folder["broken.cu"], "__global__ void broken(float* x)\n{\n    x[0] = undeclared;\n}\n");
        var error = new StringWriter();
        Assert.Equal(2, Program.Run(["kernels", "run", _folder["broken.cu"], "--args", "f32:1"], error));
        Assert.Contains("broken.cu(3): error", error.ToString());
        Assert.Contains("x[0] = undeclared;", error.ToString());
    }

    [SkippableFact]
    public void Host_code_is_refused_with_a_word_on_how_to_keep_it()
    {
        TestNvrtc.Require();
        string kernel = "#include <cuda_runtime.h>\n#include <cstdint>\n__global__ void one(int32_t* x)\n{\n    x[0] = 1;\n}\n", host = "int main()\n{\n    return 0;\n}\n";
        File.WriteAllText(_folder["host.cu"], kernel + host);
        var error = new StringWriter();
        Assert.Equal(2, Program.Run(["kernels", "run", _folder["host.cu"], "--args", "i32:1"], error));
        Assert.Contains("between #ifndef __CUDACC_RTC__ and #endif", error.ToString());

        File.WriteAllText(_folder["guarded.cu"], $"{kernel}#ifndef __CUDACC_RTC__\n{host}#endif\n");
        Assert.Equal(0, Program.Run(["kernels", "run", _folder["guarded.cu"], "--args", "i32:1"], error));
    }

    [SkippableFact]
    public void A_kernel_that_does_not_end_is_stopped()
    {
        File.WriteAllText(_folder["endless.cu"], "__global__ void endless(volatile int* x)\n{\n    while (x[0] == 0)\n        ;\n}\n");
        var output = Run(1, _folder["endless.cu"], "--block", "1", "--budget", "100000", "--args", "i32:1");
        Assert.Contains(output, line => line.Contains("endless.cu:3"));
    }

    [Theory]
    [InlineData("3", KernelArgKind.Integer, 4)]
    [InlineData("-3", KernelArgKind.Integer, 4)]
    [InlineData("3u", KernelArgKind.Integer, 4)]
    [InlineData("7L", KernelArgKind.Integer, 8)]
    [InlineData("0.5f", KernelArgKind.Float, 4)]
    [InlineData("1e-3f", KernelArgKind.Float, 4)]
    [InlineData("0.5", KernelArgKind.Float, 8)]
    [InlineData("-1e9", KernelArgKind.Float, 8)]
    [InlineData("true", KernelArgKind.Integer, 1)]
    public void A_number_has_the_type_that_it_has_in_c(string text, KernelArgKind kind, int bytes)
    {
        var value = Assert.IsType<ScalarArgument>(LaunchArgument.Parse(text)).Value;
        Assert.Equal((kind, bytes), (value.Kind, value.Size));
    }

    [Fact]
    public void A_buffer_is_filled_as_it_says()
    {
        double[]? Of(string text)
        {
            var buffer = Assert.IsType<BufferArgument>(LaunchArgument.Parse(text));
            return buffer.Contents(1) is { } bytes ? [.. Enumerable.Range(0, buffer.Count).Select(i => buffer.Type.Read(bytes, i * buffer.Type.Bytes))] : null;
        }
        Assert.Equal([0, 0, 0], Of("f32:3")!);
        Assert.Equal([0, 1, 2], Of("f16:3=range")!);
        Assert.Equal([-1.5, -1.5], Of("f64:2=-1.5")!);
        Assert.Equal([7, 7], Of("u8:2=7")!);
        Assert.Null(Of("i32:3=undefined"));
        Assert.All(Of("f32:1000=random")!, value => Assert.InRange(value, -1, 1));
        Assert.All(Of("i64:1000=random")!, value => Assert.InRange(value, 0, 99));
        Assert.Equal(Of("f32:10=random"), Of("f32:10=random"));
    }

    [Theory]
    [InlineData("_Z5saxpyifPKfPf", "saxpy")]
    [InlineData("plain", "plain")]
    [InlineData("_Z99ab", "_Z99ab")]
    public void A_compiled_name_gives_the_written_one(string entry, string name) => Assert.Equal(name, UserKernel.PlainName(entry));

    private static string Example(string name) => Path.Combine(Repository.Root, "examples/kernels", name);

    private static string Line(IReadOnlyList<string> output, string start) => Assert.Single(output, line => line.StartsWith(start, StringComparison.Ordinal));

    private static IReadOnlyList<string> Run(int exitCode, params string[] arguments)
    {
        TestNvrtc.Require();
        using var process = CliProcess.Start(["kernels", "run", .. arguments]);
        var (code, error) = process.Finish();
        Assert.True(code == exitCode, $"exit code {code}: {error}\n{string.Join('\n', process.Output)}");
        return process.Output;
    }
}
