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
using RawDiffusion.Tests.Kernels;

namespace RawDiffusion.Tests.Diffusion.Training;

/// <summary>
/// Whole trainings by the kernels of the Cuda backend on an emulated GPU, call by call and as a graph, against the Cpu device: the same
/// losses up to the rounding of float32 sums, which are taken in another order.
/// </summary>
public sealed class EmulatedTrainingTests : IDisposable
{
    /// <summary>What the losses of two devices may differ by, relative.</summary>
    private const double LossTolerance = 1e-4;

    private readonly TemporaryFolder _folder = new();

    // A device that nobody else gives work to while a graph is recorded.
    private static readonly Emulated s_emulated = new();

    public void Dispose() => _folder.Dispose();

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_mlp_of_the_eight_gaussians_trains_as_on_the_cpu(bool graph)
    {
        TestNvrtc.Require();
        var expected = Points(Device.Cpu).Train(200);
        AssertClose(expected, Points(s_emulated.Device, graph).Train(200));
        // It has learned something, so the losses compared are not those of an untrained network.
        Assert.True(expected[^20..].Average() < 0.8 * expected[..20].Average());
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_unet_with_attention_classes_and_dropout_trains_as_on_the_cpu(bool graph)
    {
        TestNvrtc.Require();
        AssertClose(Images(Device.Cpu).Train(8), Images(s_emulated.Device, graph).Train(8));
    }

    /// <summary>Whatever the host decides about a batch is copied to where a recorded step reads it, for every objective there is.</summary>
    [SkippableTheory]
    [InlineData("""{ "process": { "learnVariance": true } }""")]
    [InlineData("""{ "process": { "schedule": "flow", "parameterisation": "flow-velocity" }, "sampling": { "sampler": "euler" } }""")]
    [InlineData("""{ "process": { "parameterisation": "preconditioned" }, "training": { "weight": "edm", "times": "log-snr" } }""")]
    [InlineData("""{ "process": { "parameterisation": "score" }, "training": { "weight": "min-snr", "accumulate": 2 } }""")]
    public void Every_objective_trains_as_on_the_cpu(string settings)
    {
        TestNvrtc.Require();
        var config = TinyRun.Config.With(TinyRun.Json(settings));
        config.Check();
        var expected = Configured(config, Device.Cpu, refills: false).Train(12);
        Assert.Equal(expected, Configured(config, Device.Cpu).Train(12));
        AssertClose(expected, Configured(config, s_emulated.Device).Train(12));
        AssertClose(expected, Configured(config, s_emulated.Device, graph: true).Train(12));
    }

    /// <summary>Times become rows of a table, and labels become times: on the device, so that a step can be recorded.</summary>
    [SkippableTheory]
    [InlineData("learned", null)]
    [InlineData("positional", "timestep")]
    [InlineData("fourier", null)]
    public void Every_embedding_of_times_and_classes_can_be_recorded(string times, string? classes)
    {
        TestNvrtc.Require();
        Func<UNet2DConfig, UNet2DConfig> change = config => config with
        {
            TimeEmbeddingType = times, NumTrainTimesteps = 1001, ClassEmbedType = classes, NumClassEmbeds = classes is null ? config.NumClassEmbeds : null,
        };
        var direct = Images(s_emulated.Device, change: change);
        var graph = Images(s_emulated.Device, graph: true, change: change);
        Assert.Equal(direct.Train(4), graph.Train(4));
        Assert.Equal(direct.Bits(), graph.Bits());
    }

    [SkippableFact]
    public void A_run_repeats_to_the_same_bits_and_a_graph_makes_the_same()
    {
        TestNvrtc.Require();
        Learner first = Images(s_emulated.Device), second = Images(s_emulated.Device), graph = Images(s_emulated.Device, graph: true);
        var losses = first.Train(4);
        Assert.Equal(losses, second.Train(4));
        Assert.Equal(losses, graph.Train(4));
        Assert.Equal(first.Bits(), second.Bits());
        Assert.Equal(first.Bits(), graph.Bits());
    }

    [SkippableFact]
    public void Parts_of_a_batch_are_added_up_in_a_graph_too()
    {
        TestNvrtc.Require();
        AssertClose(Images(Device.Cpu, parts: 2).Train(3), Images(s_emulated.Device, graph: true, parts: 2).Train(3));
    }

    /// <summary>The losses wait on the device; a checkpoint that is due has them read before it is written.</summary>
    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_loss_that_is_not_finite_is_noticed_before_the_next_checkpoint(bool graph)
    {
        TestNvrtc.Require();
        var error = TrainInto(nanStep: 7, new TrainingConfig { Steps = 1000, Batch = 4, Warmup = 0, LogEvery = 0, CheckpointEvery = 5 }, graph, out var checkpoints, out int made);
        Assert.Equal(7, error.Step);
        Assert.Contains("step 7: the loss is NaN; --detect-anomaly names the first operation", error.Message);
        Assert.Equal([5], checkpoints);
        Assert.Equal(10, made);
    }

    [SkippableFact]
    public void A_loss_that_is_not_finite_is_noticed_within_fifty_steps()
    {
        TestNvrtc.Require();
        var error = TrainInto(nanStep: 52, new TrainingConfig { Steps = 1000, Batch = 4, Warmup = 0, LogEvery = 0, CheckpointEvery = 0 }, graph: true, out _, out int made);
        Assert.Equal(52, error.Step);
        // The first step's loss is always logged, so reading comes at 1, 51, 101.
        Assert.Equal(101, made);
    }

    private DivergedException TrainInto(int nanStep, TrainingConfig config, bool graph, out List<int> checkpoints, out int made)
    {
        var device = s_emulated.Device;
        var model = new MlpDenoiser(new Generator(1), device, width: 8, layers: 1);
        var schedule = new DiscreteSchedule(new LinearSchedule(), device: device);
        var noise = new Generator(2);
        var state = new TrainingState(model, WeightFiles.Plain(model), new AdamW(model), ema: null, ("noise", noise));
        var saved = checkpoints = [];
        using var trainer = new Trainer(state, config, (_, count) =>
            new NoisedBatch(model.Forward, schedule, Tensor.Full([count, 2], state.Step == nanStep - 1 ? double.NaN : 1, device), null, noise))
        {
            Records = graph,
            Checkpoint = () => saved.Add(state.Step),
        };
        var error = Assert.Throws<DivergedException>(() => trainer.Run(SilentReporter.Instance, "train", default));
        made = state.Step;
        return error;
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_saved_run_goes_on_to_the_same_bits(bool graph)
    {
        TestNvrtc.Require();
        var straight = Images(s_emulated.Device, graph);
        var losses = straight.Train(5);
        var stopped = Images(s_emulated.Device, graph);
        stopped.Train(2);
        stopped.State.Save(_folder["saved"]);
        var resumed = Images(s_emulated.Device, graph);
        resumed.State.Load(_folder["saved"]);
        Assert.Equal(losses[2..], resumed.Train(5));
        Assert.Equal(straight.Bits(), resumed.Bits());
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_saved_run_goes_on_on_another_device(bool toTheCpu)
    {
        TestNvrtc.Require();
        Backend from = toTheCpu ? s_emulated.Device : Device.Cpu, to = toTheCpu ? Device.Cpu : s_emulated.Device;
        var losses = Images(Device.Cpu).Train(8);
        var stopped = Images(from);
        stopped.Train(4);
        stopped.State.Save(_folder["saved"]);
        var resumed = Images(to);
        resumed.State.Load(_folder["saved"]);
        AssertClose(losses[4..], resumed.Train(8));
    }

    private static void AssertClose(double[] expected, double[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(actual[i] - expected[i]) <= LossTolerance * expected[i], $"the loss of step {i + 1} of {expected.Length} is {actual[i]:R}, expected {expected[i]:R}");
    }

    private static Learner Points(Backend device, bool graph = false)
    {
        var data = new PointData("eight-gaussians", new EightGaussians());
        var model = new MlpDenoiser(new Generator(1), device, width: 48);
        var schedule = new DiscreteSchedule(new LinearSchedule(), device: device);
        var noise = new Generator(2);
        var state = new TrainingState(
            model, WeightFiles.Plain(model), new AdamW(model), new Ema(model), ("noise", noise));
        return new Learner(state, new TrainingConfig { Batch = 64, Warmup = 0, LearningRate = 2e-3 }, graph,
            (first, count) => new NoisedBatch(model.Forward, schedule, data.Draw(first, count, 0, device).X, null, noise));
    }

    /// <summary>What a configuration says is learned, of points.</summary>
    /// <param name="refills">Whether all steps have one batch, whose contents are replaced.</param>
    private static Learner Configured(RunConfig config, Backend device, bool graph = false, bool refills = true)
    {
        var data = new PointData("eight-gaussians", new EightGaussians());
        var model = DiffusionModel.Create(config with { Data = config.Data with { Shape = [2], StandardDeviation = 1.4 } }, device);
        var noise = new Generator(2);
        var state = TrainingState.New(model.Network, model.Files, config.Training, ("noise", noise));
        var objective = new TrainingObjective(config.Training, model, noise, device);
        return new Learner(
            state, config.Training with { Warmup = 0 }, graph,
            refills ? new DataBatches(data, 0, device, samples => objective.Batch(samples.X, null)).Next
            : (first, count) => objective.Batch(data.Draw(first, count, 0, device).X, null));
    }

    private static Learner Images(Backend device, bool graph = false, int parts = 1, Func<UNet2DConfig, UNet2DConfig>? change = null)
    {
        const int Size = 8, Classes = 3;
        var config = new UNet2DConfig
        {
            SampleSize = [Size, Size],
            InChannels = 1,
            OutChannels = 1,
            BlockOutChannels = [8, 8],
            DownBlockTypes = ["DownBlock2D", "AttnDownBlock2D"],
            UpBlockTypes = ["AttnUpBlock2D", "UpBlock2D"],
            LayersPerBlock = 1,
            AttentionHeadDim = 4,
            NormNumGroups = 4,
            NumClassEmbeds = Classes,
            Dropout = 0.1,
        };
        var model = new UNet2D(change is null ? config : change(config), new Generator(1), device);
        var schedule = new DiscreteSchedule(new CosineSchedule(), device: device);
        var noise = new Generator(2);
        var state = new TrainingState(
            model, WeightFiles.UNet(model), new AdamW(model), new Ema(model), ("noise", noise), ("dropout", model.DropoutGenerator));
        return new Learner(state, new TrainingConfig { Batch = 4, Accumulate = parts, Warmup = 0 }, graph, (first, count) =>
        {
            int[] labels = [.. Enumerable.Range((int)first, count).Select(i => i % Classes)];
            return new NoisedBatch(
                model.Forward, schedule, Discs(first, count, Size).To(device), Tensor.From(labels, [count], device), noise, Parameterisation.Velocity);
        });
    }

    /// <summary>Images of a bright disc on dark ground, each at a place of its own.</summary>
    private static Tensor Discs(long first, int count, int size)
    {
        var values = new float[count * size * size];
        for (int n = 0; n < count; n++)
        {
            int row = (int)(first + n) * 5 % size, column = (int)(first + n) * 3 % size;
            for (int i = 0; i < size * size; i++)
            {
                int down = i / size - row, right = i % size - column;
                values[n * size * size + i] = down * down + right * right < 16 ? 1 : -1;
            }
        }
        return Tensor.From(values, [count, size, size, 1], Device.Cpu);
    }

    private sealed record Learner(TrainingState State, TrainingConfig Config, bool Graph, BatchSource Source)
    {
        /// <summary>Trains until so many steps are made.</summary>
        /// <returns>The losses.</returns>
        public double[] Train(int steps)
        {
            var losses = new List<double>();
            // All runs have the learning rates of a run of 1000 steps.
            using var trainer = new Trainer(State, Config with { Steps = 1000 }, Source) { Records = Graph };
            while (State.Step < steps)
            {
                State.LossSum = 0;
                trainer.RunStep();
                trainer.ReadLosses();
                losses.Add(State.LossSum);
            }
            return [.. losses];
        }

        /// <summary>The bits of all weights and of their average.</summary>
        public int[] Bits()
        {
            var weights = State.Model.StateDict().Values.Concat(State.Ema!.StateDict().Values.Where(tensor => tensor.DType == DType.Float32));
            return [.. weights.SelectMany(tensor => tensor.ToArray()).Select(BitConverter.SingleToInt32Bits)];
        }
    }
}
