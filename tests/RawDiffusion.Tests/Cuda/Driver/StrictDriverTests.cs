using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Cuda;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Tests.Diffusion.Training;
using RawDiffusion.Tests.Kernels;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests;

/// <summary>
/// What the library asks of a real GPU, machine code included, against a libcuda that runs nothing and refuses what a real one refuses: a
/// block that needs more registers than there are, a call that a capture forbids, memory of a graph that is gone, host memory that is
/// changed before it was copied from. In a process of its own: a process has one libcuda.
/// </summary>
public sealed class StrictDriverTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>Every row of the table in every precision, forward and backward, and every rung of every ladder.</summary>
    [SkippableTheory]
    [InlineData(75)]
    [InlineData(80)]
    [InlineData(90)]
    public void EveryKernelCanBeLaunchedAsItIs(int capability) => Assert.Equal("", Run("strict-operations", capability));

    /// <summary>Whole trainings: by graphs, by the fused kernel, of points and of images, with sampling from a recorded network.</summary>
    [SkippableTheory]
    [InlineData(80)]
    [InlineData(90)]
    public void TrainingAndSamplingAskForNothingForbidden(int capability) => Assert.Equal("", Run("strict-trainings", capability));

    /// <summary>That the library would notice.</summary>
    [SkippableFact]
    public void WhatIsForbiddenIsRefused() => Assert.Equal("", Run("strict-mistakes", 80));

    /// <summary>The part that runs in the other process: each operation whose work was refused, and why.</summary>
    public static string Operations(string argument)
    {
        var refused = new Refusals();
        using (var device = new CudaBackend(new NativeCudaDriver()))
        {
            foreach (var precision in device.Precisions)
            {
                device.AllowTf32 = precision == Precision.Tf32;
                foreach (var row in OperationTable.All.Where(row => precision != Precision.BFloat16 || row.HasBFloat16))
                    refused.Try($"{row} in {precision.Name()}", () => CaseRun.Make(row, device, precision));
            }
            foreach (var rung in Ladders.All.SelectMany(ladder => ladder.Rungs))
            {
                foreach (var row in RungTests.RowsOf(rung.Operation, rung.Precision).Where(row => rung.Precision != Precision.BFloat16 || row.HasBFloat16))
                {
                    refused.Try($"{row} by {rung.Name}", () =>
                    {
                        using var use = device.Use(rung);
                        CaseRun.Make(row, device, rung.Precision);
                    });
                }
            }
        }
        refused.Try("the end", CheckNothingIsLeft);
        return refused.ToString();
    }

    /// <param name="folder">For the runs.</param>
    public static string Trainings(string folder)
    {
        var points = TinyRun.Config.With(Json("""{ "device": "cuda", "model": { "mlp": { "width": 32 } }, "training": { "steps": 60 } }"""));
        var images = Presets.Find("digits").Config.With(Json(
            """
            {
              "device": "cuda",
              "model": {
                "conditional": true,
                "unet2d": {
                  "blockOutChannels": [16, 16], "downBlockTypes": ["DownBlock2D", "AttnDownBlock2D"], "upBlockTypes": ["AttnUpBlock2D", "UpBlock2D"],
                  "normNumGroups": 4, "layersPerBlock": 1, "attentionHeadDim": 8, "dropout": 0.2
                }
              },
              "training": { "steps": 8, "batch": 4, "logEvery": 3, "labelDropout": 0.5, "sampleEvery": 0, "checkpointEvery": 5 },
              "sampling": { "steps": 5, "count": 10 },
              "evaluation": { "classifierSteps": 4 }
            }
            """));
        var refused = new Refusals();
        foreach (string fused in (string[])["on", "off"])
            Train($"points, fused {fused}", points.With(Json($$"""{ "training": { "fused": "{{fused}}" } }""")));
        foreach (string precision in (string[])["fp32", "tf32", "bf16"])
            Train($"images in {precision}", images.With(Json($$"""{ "precision": "{{precision}}" }""")));
        return refused.ToString();

        void Train(string what, RunConfig config) => refused.Try(what, () =>
        {
            string run = Path.Combine(folder, what);
            try
            {
                TinyRun.Start(config, run);
            }
            catch (ArgumentException e) when (e.Message.EndsWith("is no axis.", StringComparison.Ordinal))
            {
                // All points that are read back are zeros, of which no picture can be drawn.
            }
            Assert.True(File.Exists(Path.Combine(run, "samples.safetensors")), "it drew no samples");
        });
    }

    public static unsafe string Mistakes(string argument)
    {
        using var context = new CudaContext(new NativeCudaDriver());
        var driver = context.Driver;
        var source = new KernelSource("mistakes.cu", """
            extern "C" __global__ void __launch_bounds__(128) bound(float* x) { x[threadIdx.x] = 1; }
            extern "C" __global__ void tile(float* x) { __shared__ float y[8192]; y[threadIdx.x] = x[threadIdx.x]; __syncthreads(); x[threadIdx.x] = y[31 - threadIdx.x]; }
            extern "C" __global__ void later(float* x) { x[threadIdx.x] = 1; }
            """);
        using var module = context.LoadModule(new KernelCompiler(null).Compile(source, context.Target));
        CudaKernel bound = module.GetKernel("bound"), tile = module.GetKernel("tile");
        using var buffer = context.Allocate(1024);
        Assert.Equal(128, bound.MaxThreadsPerBlock);
        // What the library reads from the machine code is what the compiler said.
        var compiled = new KernelCompiler(null).Compile(source, context.Target).Resources.ToDictionary(kernel => kernel.Kernel);
        Assert.Equal((compiled["tile"].Registers, compiled["bound"].Registers), (tile.Registers, bound.Registers));
        bound.Launch(1, 128, 0, buffer.Pointer);
        AssertFails(CudaResult.LaunchOutOfResources, () => bound.Launch(1, 160, 0, buffer.Pointer));
        AssertFails(CudaResult.InvalidValue, () => driver.Launch(tile.Function, 1, 32, 20 * 1024, context.Stream.Handle, buffer.Pointer));
        tile.Launch(1, 32, 20 * 1024, buffer.Pointer);
        AssertFails(CudaResult.NotFound, () => module.GetKernel("absent"));
        var freed = driver.Allocate(512);
        driver.Free(freed);
        AssertFails(CudaResult.InvalidValue, () => tile.Launch(1, 32, 0, freed));
        AssertFails(CudaResult.InvalidContext, () => OnAnotherThread(() => driver.Allocate(16)));

        using var unrelated = context.CreateEvent(timing: false);
        unrelated.Record();
        Action[] forbidden =
        [
            () => driver.Allocate(16), () => driver.AllocateHost(16), () => context.Stream.Synchronize(), () => _ = context.Stream.IsDone, () => driver.SynchronizeContext(),
            () => _ = unrelated.IsDone, unrelated.Synchronize, () => context.LoadModule(new KernelCompiler(null).Compile(source, context.Target)),
            () => buffer.CopyTo<float>(new float[1]),
        ];
        foreach (var call in forbidden)
        {
            driver.BeginCapture(context.Stream.Handle);
            AssertFails(CudaResult.StreamCaptureUnsupported, call);
            Assert.False(context.IsLost);
            AssertFails(CudaResult.StreamCaptureInvalidated, () => driver.EndCapture(context.Stream.Handle));
        }
        using var graph = CudaGraph.Capture(context, () =>
        {
            Assert.False(context.IsLost);
            module.GetKernel("later").Launch(1, 32, 0, buffer.Pointer);
        });
        graph.Launch();
        context.Synchronize();

        // It copies as late as it may: pieces that were filled again too early would end the process.
        using var staging = new PinnedStaging(context, pieces: 2, pieceBytes: 512);
        for (int i = 0; i < 20; i++)
            staging.Upload<int>([i, i + 1, i + 2], buffer.Pointer);
        return "";
    }

    private static void AssertFails(CudaResult result, Action call) => Assert.Equal(result, Assert.Throws<CudaException>(call).Result);

    private static void OnAnotherThread(Action work)
    {
        Exception? error = null;
        var thread = new Thread(() => error = Record.Exception(work));
        thread.Start();
        thread.Join();
        if (error is not null)
            throw error;
    }

    private static unsafe void CheckNothingIsLeft()
    {
        Assert.True(CudaLibraries.Driver.TryLoad(out nint library));
        Assert.Equal(0, ((delegate* unmanaged<int>)NativeLibrary.GetExport(library, "strict_live"))());
    }

    private static JsonObject Json(string text) => TinyRun.Json(text);

    private string Run(string child, int capability)
    {
        TestNvrtc.Require();
        FakeLibrary.Compile("Driver/strict_libcuda.c", _folder.Path, "libcuda.so.1");
        string nvrtc = Path.GetDirectoryName(CudaLibraries.Nvrtc.Path) ?? "";
        using var process = ChildProcess.Start(child, _folder["runs"],
            ("RAWDIFFUSION_CUDA_LIBRARIES", _folder.Path + Path.PathSeparator + nvrtc), ("RAWDIFFUSION_FAKE_CAPABILITY", $"{capability}"));
        return ChildProcess.Finish(process);
    }

    /// <summary>What was refused, once for each reason.</summary>
    private sealed class Refusals
    {
        private readonly Dictionary<string, string> _reasons = [];

        public void Try(string what, Action work)
        {
            try
            {
                work();
            }
            catch (NotSupportedException)
            {
                // A rung that is not for this shape or this GPU.
            }
            catch (Exception e)
            {
                _reasons.TryAdd(e.Message, what);
            }
        }

        public override string ToString() => string.Join('\n', _reasons.Select(reason => $"{reason.Value}: {reason.Key}"));
    }
}
