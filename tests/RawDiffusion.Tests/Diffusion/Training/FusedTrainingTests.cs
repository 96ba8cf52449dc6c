using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Optim;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.Tests.Kernels;

namespace RawDiffusion.Tests.Diffusion.Training;

/// <summary>
/// Many steps by one kernel, whose blocks wait for each other, on an emulated GPU in checked mode: the same training as by ordinary
/// operations on the Cpu device, with the same random numbers.
/// </summary>
public sealed class FusedTrainingTests : IDisposable
{
    /// <summary>
    /// What losses, weights and averages of two devices may differ by after some ten steps, relative to the largest of a tensor: float32
    /// sums are taken in another order, and AdamW's first steps divide gradients by their own size, which makes small errors of small
    /// gradients as large as those of large ones.
    /// </summary>
    private const double Tolerance = 1e-4;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>Batches that do not fill their last tile, each width, one layer and several, all that a network may say.</summary>
    [SkippableTheory]
    [InlineData(32, 2, 8, 44, "epsilon", 10)]
    [InlineData(64, 3, 16, 21, "velocity", 6)]
    [InlineData(32, 1, 32, 3, "x0", 6)]
    [InlineData(128, 2, 32, 17, "epsilon", 3)]
    [InlineData(256, 2, 12, 9, "epsilon", 2)]
    public void It_trains_as_the_cpu_does(int width, int layers, int timeWidth, int batch, string says, int steps)
    {
        TestNvrtc.Require();
        var learner = new Learner(width, layers, timeWidth, batch, says);
        var expected = learner.On(Device.Cpu);
        double[] losses = expected.TrainOrdinarily(steps);
        var actual = learner.On(Emulated.Plain.Device);
        AssertClose("loss", losses, actual.TrainFused(steps));
        foreach (var (name, values) in expected.State.Model.StateDict())
            AssertClose(name, values, actual.State.Model.StateDict()[name]);
        foreach (var (name, values) in expected.State.Ema!.StateDict())
            AssertClose(name, values, actual.State.Ema!.StateDict()[name]);
        foreach (var (name, values) in expected.State.Optimizer.StateDict())
            AssertClose(name, values, actual.State.Optimizer.StateDict()[name]);
        Assert.Equal(expected.Noise.Offset, actual.Noise.Offset);
        Assert.Equal(expected.State.Optimizer.LastGradientNorm, actual.Norms[^1], Tolerance * actual.Norms[^1]);
    }

    /// <summary>The gradients are clipped, or the test before would not show that they are clipped alike.</summary>
    [SkippableFact]
    public void It_clips_gradients()
    {
        TestNvrtc.Require();
        var trained = new Learner(32, 2, 8, 44).On(Emulated.Plain.Device);
        trained.TrainFused(10);
        Assert.Contains(trained.Norms, norm => norm > Learner.ClipNorm);
        Assert.Contains(trained.Norms, norm => norm < Learner.ClipNorm);
    }

    [SkippableFact]
    public void Neither_the_number_of_blocks_nor_of_steps_in_a_launch_nor_their_order_changes_a_bit()
    {
        TestNvrtc.Require();
        var learner = new Learner(32, 2, 8, 44);
        var expected = learner.On(Emulated.Plain.Device);
        double[] losses = expected.TrainFused(7);
        int[] bits = expected.Bits();
        foreach (int blocks in (int[])[1, 2, 5])
        {
            var other = learner.On(Emulated.Plain.Device, blocks);
            double[] pieces = [.. other.TrainFused(1), .. other.TrainFused(2), .. other.TrainFused(4)];
            Assert.Equal(losses, pieces);
            Assert.Equal(bits, other.Bits());
        }
        using var shuffled = new Emulated(scheduleSeed: 5).New();
        var last = learner.On(shuffled);
        Assert.Equal(losses, last.TrainFused(7));
        Assert.Equal(bits, last.Bits());
    }

    /// <summary>More tiles than the most parts there are.</summary>
    [SkippableFact]
    public void A_large_batch_goes_through_in_several_rounds()
    {
        TestNvrtc.Require();
        using var device = new CudaBackend(new EmulatedCudaDriver(new EmulatorOptions()));
        var learner = new Learner(32, 2, 8, 530);
        AssertClose("loss", learner.On(Device.Cpu).TrainOrdinarily(3), learner.On(device).TrainFused(3));
    }

    [SkippableFact]
    public void A_step_that_is_not_finite_changes_nothing()
    {
        TestNvrtc.Require();
        var trained = new Learner(32, 2, 8, 16).On(Emulated.Plain.Device);
        trained.TrainFused(2);
        int[] bits = trained.Bits();
        ulong offset = trained.Noise.Offset;
        // So large a bias makes the square of the error infinite, but not the error.
        var bias = trained.Network.Output.Bias!;
        float kept = bias.ToArray()[0];
        bias.CopyFrom(Tensor.From([1e30f, 0], [2], bias.Device));
        double[] losses = trained.TrainFused(5);
        Assert.Equal(double.PositiveInfinity, Assert.Single(losses));
        Assert.Equal((2, 2, offset), (trained.State.Optimizer.StepCount, trained.State.Ema!.StepCount, trained.Noise.Offset));
        Assert.Equal(1e30f, bias.ToArray()[0]);
        Assert.Equal(bits.Length, trained.Bits().Zip(bits).Count(pair => pair.First == pair.Second) + 2);
        Assert.NotEqual(kept, bias.ToArray()[0]);
    }

    [SkippableFact]
    public void A_run_that_was_stopped_goes_on_to_the_same_bits()
    {
        TestNvrtc.Require();
        var config = TinyRun.Config.With(TinyRun.Json(
            """{ "device": "emulated", "model": { "mlp": { "width": 32 } }, "training": { "fused": "on", "logEvery": 4, "checkpointEvery": 2 } }"""));
        TinyRun.Start(config, _folder["whole"]);
        TinyRun.Start(config, _folder["stopped"], stopAt: 6);
        TinyRun.Resume(_folder["stopped"]);
        Assert.Contains("\"fused\": true", File.ReadAllText(Path.Combine(_folder["stopped"], "config.json")));
        foreach (string file in (string[])["samples.safetensors", "checkpoints/step-12/optimizer.safetensors", "checkpoints/step-12/model/model.safetensors"])
            Assert.Equal(File.ReadAllBytes(Path.Combine(_folder["whole"], file)), File.ReadAllBytes(Path.Combine(_folder["stopped"], file)));
        // And to those of other pieces: a launch goes no further than the next line of the log.
        TinyRun.Start(config.With(TinyRun.Json("""{ "training": { "logEvery": 1 } }""")), _folder["pieces"]);
        Assert.Equal(File.ReadAllBytes(_folder["whole/samples.safetensors"]), File.ReadAllBytes(_folder["pieces/samples.safetensors"]));
    }

    [SkippableTheory]
    [InlineData("cpu", "{}", "cpu is no GPU")]
    [InlineData("emulated", """{ "model": { "mlp": { "width": 48 } } }""", "the hidden layers must be 32, 64, 128 or 256 wide, not 48")]
    [InlineData("emulated", """{ "model": { "mlp": { "timeWidth": 6 } } }""", "a multiple of 4 elements and at most 32, not 6")]
    [InlineData("emulated", """{ "model": { "mlp": { "layers": 9 } } }""", "at most 8 hidden layers, not 9")]
    [InlineData("emulated", """{ "data": { "name": "two-moons" } }""", "the kernel draws mixtures of Gaussians only, and two-moons is none")]
    [InlineData("emulated", """{ "precision": "bf16" }""", "the kernel computes in fp32, not in bf16")]
    [InlineData("emulated", """{ "training": { "detectAnomaly": true } }""", "it could not name the operation")]
    public void What_cannot_be_one_kernel_is_refused_with_the_reason(string device, string changes, string reason)
    {
        TestNvrtc.Require();
        var config = TinyRun.Config.With(TinyRun.Json($$"""{ "device": "{{device}}", "model": { "mlp": { "width": 32 } }, "training": { "fused": "on" } }"""));
        var error = Assert.Throws<ConfigException>(() => TinyRun.Start(config.With(TinyRun.Json(changes)), _folder["run"]));
        Assert.Equal("training.fused", error.Key);
        Assert.Contains(reason, error.Message);
    }

    [SkippableFact]
    public void A_network_that_does_not_fit_into_shared_memory_is_refused()
    {
        TestNvrtc.Require();
        using var device = new Emulated(computeCapability: 75).New();
        var error = Assert.Throws<NotSupportedException>(() => new Learner(128, 5, 32, 8).On(device).TrainFused(1));
        Assert.Contains("66016 bytes of shared memory are needed", error.Message);
    }

    /// <summary>The arithmetic that the kernel's header states, the traffic that it states, and no bank conflicts to speak of.</summary>
    [SkippableFact]
    public void It_computes_and_moves_what_it_says()
    {
        const int Width = 128, Layers = 3, TimeWidth = 32, Batch = 16, Parts = 2, Steps = 2;
        using var traffic = new KernelTraffic();
        // One block for both parts: none waits, and how often it looks whether others have come depends on the moment.
        var trained = new Learner(Width, Layers, TimeWidth, Batch).On(traffic.Device, blocks: 1);
        trained.TrainFused(Steps);
        var moved = traffic.Of("mlp_train_f32");
        int length = trained.State.Optimizer.Arena.Layout.Length;
        int inner = (Layers - 1) * Width * Width;
        // Weights forward and backward, the parts' gradients written and read.
        long weights = 4L * Parts * (2 * inner + (TimeWidth + 8 * (Layers + 5)) * Width), parts = 8L * Parts * length;
        // A gradient, and 3 or so arenas read and written by AdamW and the average; turned weights go one by one, a sector each.
        long update = 4L * 10 * length + 32L * (inner + TimeWidth * Width);
        Assert.InRange(moved.Bytes, Steps * (weights + parts + update) * 0.9, Steps * (weights + parts + update) * 1.2 + 36L * length);
        Assert.Equal(1, moved.Launches);
        Assert.Equal(1, moved.Blocks);
        double flops = Steps * Batch * (6.0 * inner + 4.0 * (TimeWidth + 2) * Width + 12.0 * Width);
        Assert.InRange(moved.Flops, flops, 1.15 * flops + Steps * 40.0 * length);
        Assert.InRange(moved.BankConflicts, 0, moved.SharedRequests / 50);
    }

    private static void AssertClose(string what, Tensor expected, Tensor actual)
    {
        if (expected.DType == DType.Int32)
            Assert.Equal(expected.ToInt32Array(), actual.ToInt32Array());
        else
            AssertClose(what, [.. expected.ToArray().Select(value => (double)value)], [.. actual.ToArray().Select(value => (double)value)]);
    }

    private static void AssertClose(string what, double[] expected, double[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double largest = expected.Max(Math.Abs);
        for (int i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(actual[i] - expected[i]) <= Tolerance * largest, $"{what}[{i}] is {actual[i]:R}, expected {expected[i]:R}");
    }

    /// <summary>A network, its data and all that a training has, the same on every device.</summary>
    private sealed record Learner(int Width, int Layers, int TimeWidth, int Batch, string Says = "epsilon")
    {
        public const double ClipNorm = 0.55;

        // Components of different weights and widths.
        private static readonly GaussianMixture s_mixture = new(
            new GaussianComponent(new Point2(1, -0.5), 0.2, 1), new GaussianComponent(new Point2(-1, 1), 0.05, 3), new GaussianComponent(new Point2(0, 2), 0, 0.5));

        public Learning On(Backend device, int? blocks = null)
        {
            var network = new MlpDenoiser(new Generator(1), device, width: Width, layers: Layers, timeWidth: TimeWidth);
            var noise = new Generator(2);
            var state = new TrainingState(network, WeightFiles.Plain(network), new AdamW(network, weightDecay: 0.1), new Ema(network, 0.9), ("noise", noise));
            var target = Says switch
            {
                "x0" => Parameterisation.X0,
                "velocity" => Parameterisation.Velocity,
                _ => Parameterisation.Epsilon,
            };
            var config = new TrainingConfig { Batch = Batch, Steps = 12, Warmup = 2, LearningRate = 1e-2, ClipNorm = ClipNorm, OverfitBatches = 5 };
            return new Learning(state, config, network, noise, new DiscreteSchedule(new LinearSchedule(), device: device), target, new PointData("mixture", s_mixture), blocks);
        }
    }

    private sealed record Learning(
        TrainingState State, TrainingConfig Config, MlpDenoiser Network, Generator Noise, DiscreteSchedule Schedule, Parameterisation Target,
        PointData Data, int? Blocks)
    {
        private const ulong Seed = 4;

        private FusedMlpTraining? _fused;

        /// <summary>Of the last steps.</summary>
        public float[] Norms { get; private set; } = [];

        /// <summary>Makes so many steps by ordinary operations.</summary>
        /// <returns>The losses.</returns>
        public double[] TrainOrdinarily(int steps)
        {
            using var trainer = new Trainer(State, Config, (first, count) =>
                new NoisedBatch(Network.Forward, Schedule, Data.Draw(first, count, Seed, Network.Output.Weight.Device).X, null, Noise, Target));
            var losses = new double[steps];
            for (int i = 0; i < steps; i++)
            {
                State.LossSum = 0;
                trainer.RunStep();
                trainer.ReadLosses();
                losses[i] = State.LossSum;
            }
            return losses;
        }

        /// <summary>Makes so many steps by the kernel, in one launch.</summary>
        /// <returns>The losses.</returns>
        public double[] TrainFused(int steps)
        {
            var target = Target switch
            {
                Parameterisation.X0 => MlpTarget.CleanSample,
                Parameterisation.Velocity => MlpTarget.Velocity,
                _ => MlpTarget.Noise,
            };
            _fused ??= new FusedMlpTraining(
                FusedTraining.Layers(Network),
                FusedTraining.Problem(Network, (GaussianMixture)Data.Distribution, Data.Stream(0, Seed), Schedule, Noise, target, Config.Batch),
                (AdamW)State.Optimizer, State.Ema, Config.ClipNorm, Blocks);
            using var trainer = new Trainer(State, Config, (_, _) => throw new InvalidOperationException("The kernel draws for itself."));
            var (losses, norms) = _fused.Run(trainer.NextSteps(steps));
            Norms = norms.ToArray();
            State.Step = State.Optimizer.StepCount;
            State.Samples = (long)State.Step * Config.Batch;
            return [.. losses.ToArray().Select(loss => (double)loss)];
        }

        /// <summary>The bits of all weights, of their averages and of the optimizer's.</summary>
        public int[] Bits()
        {
            var tensors = State.Model.StateDict().Values.Concat(State.Ema!.StateDict().Values).Concat(State.Optimizer.StateDict().Values);
            return [.. tensors.Where(tensor => tensor.DType == DType.Float32).SelectMany(tensor => tensor.ToArray()).Select(BitConverter.SingleToInt32Bits)];
        }
    }
}
