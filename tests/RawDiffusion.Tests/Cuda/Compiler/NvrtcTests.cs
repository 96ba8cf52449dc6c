using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>Compiling CUDA C++ without a GPU.</summary>
public class NvrtcTests
{
    private const string Scale = """
        #include "scale.cuh"
        extern "C" __global__ void scale_f32(float* x, float factor, int n)
        {
            int i = blockIdx.x * blockDim.x + threadIdx.x;
            if (i < n)
                x[i] = scaled(x[i], factor);
        }
        """;

    private static readonly Dictionary<string, string> s_headers = new()
    {
        ["scale.cuh"] = "#include \"inner.cuh\"\n__device__ float scaled(float x, float factor) { return twice(x * factor); }\n",
        ["inner.cuh"] = "__device__ float twice(float x) { return x + x; }\n",
        ["unused.cuh"] = "this is no C++",
    };

    private static readonly KernelSource s_scale = new("scale.cu", Scale, s_headers);

    [SkippableFact]
    public void ASourceWithHeadersBecomesPtx()
    {
        TestNvrtc.Require();
        var kernels = Nvrtc.Compile(s_scale, new KernelTarget("compute_80"), "--fmad=false");
        Assert.Contains(".visible .entry scale_f32(", kernels.Ptx);
        Assert.Contains(".target sm_80", kernels.Ptx);
        Assert.NotEqual('\0', kernels.Ptx[^1]);
        Assert.Empty(kernels.Resources);
    }

    /// <summary>NVRTC itself would name them in whatever folder the process is in.</summary>
    [SkippableFact]
    public void LineInformationNamesTheFilesAsTheyWereGiven()
    {
        TestNvrtc.Require();
        string ptx = Nvrtc.Compile(s_scale, new KernelTarget("compute_80"), "--generate-line-info").Ptx;
        Assert.Matches(@"\.file\s+\d+ ""scale\.cu""", ptx);
        Assert.Matches(@"\.file\s+\d+ ""scale\.cuh""", ptx);
    }

    [SkippableTheory]
    [InlineData("sm_75")]
    [InlineData("sm_80")]
    [InlineData("sm_90a")]
    public void ASourceBecomesMachineCode(string architecture)
    {
        TestNvrtc.Require();
        var kernels = Nvrtc.Compile(s_scale, Nvrtc.Nearest(new KernelTarget(architecture)), "--ptxas-options=-v");
        Assert.Equal("\u007fELF"u8, kernels.Image.AsSpan(0, 4));
        var resources = Assert.Single(kernels.Resources);
        Assert.Equal("scale_f32", resources.Kernel);
        Assert.InRange(resources.Registers, 4, 32);
        Assert.Equal((0, 0, 0), (resources.SharedBytes, resources.SpillStoreBytes, resources.StackBytes));
        Assert.Throws<InvalidOperationException>(() => kernels.Ptx);
    }

    [SkippableFact]
    public void AnErrorShowsFileLineAndText()
    {
        TestNvrtc.Require();
        var source = new KernelSource("wrong.cu", "extern \"C\" __global__ void f(float* y)\n{\n    y[0] = no_such_thing;\n}\n");
        var error = Assert.Throws<KernelCompilationException>(() => Nvrtc.Compile(source, new KernelTarget("compute_80")));
        Assert.StartsWith("wrong.cu does not compile for compute_80: NVRTC", error.Message);
        Assert.Contains("wrong.cu(3): error: identifier \"no_such_thing\" is undefined", error.Message);
        Assert.Contains("y[0] = no_such_thing;", error.Message);
    }

    [SkippableFact]
    public void AMissingHeaderIsNamed()
    {
        TestNvrtc.Require();
        var error = Assert.Throws<KernelCompilationException>(
            () => Nvrtc.Compile(new KernelSource("wrong.cu", "#include \"absent.cuh\"\n"), new KernelTarget("compute_80")));
        Assert.Contains("absent.cuh", error.Message);
    }

    [SkippableFact]
    public void AnUnknownOptionIsNamed()
    {
        TestNvrtc.Require();
        var error = Assert.Throws<KernelCompilationException>(() => Nvrtc.Compile(s_scale, new KernelTarget("compute_80"), "--no-such-option"));
        Assert.Contains("no-such-option", error.Message);
    }

    [SkippableFact]
    public void AGpuNewerThanTheCompilerGetsPtx()
    {
        TestNvrtc.Require();
        Assert.Equal("compute_" + Nvrtc.Architectures[^1], Nvrtc.Nearest(new KernelTarget("sm_999")).Architecture);
        Assert.Equal("sm_80", Nvrtc.Nearest(new KernelTarget("sm_80")).Architecture);
        Assert.Contains("sm_20", Assert.Throws<NotSupportedException>(() => Nvrtc.Nearest(new KernelTarget("sm_20"))).Message);
    }

    [SkippableFact]
    public void SpillsAreReported()
    {
        TestNvrtc.Require();
        // 64 values live across a barrier do not fit into the 32 registers that the launch bounds leave.
        var source = new KernelSource("spill.cu", """
            extern "C" __global__ void __launch_bounds__(1024, 2) spill(float* x)
            {
                float v[64];
                #pragma unroll
                for (int i = 0; i < 64; i++)
                    v[i] = x[threadIdx.x + i * 1024];
                __syncthreads();
                #pragma unroll
                for (int i = 0; i < 64; i++)
                    x[threadIdx.x * 64 + i] = v[i] * v[(i * 7 + 3) % 64];
            }
            """);
        var resources = Assert.Single(Nvrtc.Compile(source, new KernelTarget("sm_80"), "--ptxas-options=-v").Resources);
        Assert.True(resources.SpillStoreBytes > 0 && resources.SpillLoadBytes > 0, resources.ToString());
        Assert.Equal(32, resources.Registers);
    }

    /// <summary>NVRTC 11.8 gives only the number of a line, 12 its text too: either way it is shown once.</summary>
    [Theory]
    [InlineData("wrong.cu(2): error: no\n\n1 error")]
    [InlineData("wrong.cu(2): error: no\n      int x = y;\n              ^\n\n1 error")]
    [InlineData("h.cuh(1): error: no")]
    public void TheTextOfALineIsShownOnce(string log)
    {
        var source = new KernelSource("wrong.cu", "void f() {\n    int x = y;\n}\n", new Dictionary<string, string> { ["h.cuh"] = "int x = y;" });
        string message = new KernelCompilationException(source, new KernelTarget("sm_80"), "No.", log).Message;
        Assert.Equal(2, message.Split("int x = y;").Length);
    }

    [Fact]
    public void OnlyWhatIsIncludedCounts() => Assert.Equal(["inner.cuh", "scale.cuh"], s_scale.Included());

    [Fact]
    public void TheReportOfSeveralKernelsIsRead()
    {
        const string Log = """
            ptxas info    : 0 bytes gmem
            ptxas info    : Compiling entry function 'a' for 'sm_80'
            ptxas info    : Function properties for a
                16 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads
            ptxas info    : Used 40 registers, 4096 bytes smem, 372 bytes cmem[0]
            ptxas info    : Compiling entry function 'b' for 'sm_80'
            ptxas info    : Function properties for b
                0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
            ptxas info    : Used 8 registers, 360 bytes cmem[0]
            """;
        Assert.Equal([new("a", 40, 4096, 16, 8, 4), new("b", 8, 0, 0, 0, 0)], KernelResources.Parse(Log));
    }
}
