using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Nn;
using RawDiffusion.Optim;
using RawDiffusion.Tests.Kernels;

namespace RawDiffusion.Tests.Optim;

/// <summary>A step that a device repeats as a whole makes the bits that it makes call by call.</summary>
public sealed class StepGraphTests
{
    // A device that nobody else gives work to while a graph is recorded.
    private static readonly Emulated s_emulated = new();

    private static CudaBackend Emulated => s_emulated.Device;

    public static TheoryData<string> Optimizers => ["adamw", "adam", "sgd", "sgd with momentum"];

    /// <summary>
    /// The step count, the learning rate, the average's decay and the random numbers differ in every run. The graph takes step and average in
    /// one, which changes no bit.
    /// </summary>
    [SkippableTheory]
    [MemberData(nameof(Optimizers))]
    public void What_differs_from_run_to_run_reaches_the_graph(string optimizer)
    {
        Training plain = new(Emulated, optimizer), graph = new(Emulated, optimizer) { InOne = true };
        using var recorded = new StepGraph(Emulated, graph.Step, graph.Optimizer, graph.Ema, graph.Noise);
        for (int i = 0; i < 7; i++)
        {
            plain.Optimizer.LearningRate = graph.Optimizer.LearningRate = 0.1 / (i + 1);
            plain.Step();
            recorded.Run();
            Assert.Equal(i > 0, recorded.IsRecorded);
            Assert.Equal(plain.Noise.Offset, graph.Noise.Offset);
            Assert.Equal((i + 1, i + 1), (graph.Optimizer.StepCount, graph.Ema.StepCount));
            Assert.Equal(plain.Values(), graph.Values());
        }
    }

    [SkippableFact]
    public void Runs_read_what_their_inputs_hold_by_then()
    {
        var device = Emulated;
        Tensor x = Tensor.Zeros([3], device), y = Tensor.Zeros([3], device);
        using var graph = new StepGraph(device, () =>
        {
            using var scope = new MemoryScope();
            y.CopyFrom(x * 2 + 1);
        });
        for (int i = 0; i < 4; i++)
        {
            x.CopyFrom([i, i + 1f, i + 2f]);
            graph.Run();
            Assert.Equal([2 * i + 1, 2 * i + 3, 2 * i + 5], y.ToArray());
        }
    }

    [SkippableFact]
    public void Several_generators_and_several_draws_go_on_as_without_a_graph()
    {
        var device = Emulated;
        Generator first = new(1), second = new(1, stream: 5), firstAlone = new(1), secondAlone = new(1, stream: 5);
        var y = Tensor.Zeros([4, 10], device);
        using var graph = new StepGraph(device, () => Draw(y, first, second), generators: [first, second]);
        var expected = Tensor.Zeros([4, 10], device);
        for (int i = 0; i < 4; i++)
        {
            graph.Run();
            Draw(expected, firstAlone, secondAlone);
            Assert.Equal(expected.ToArray(), y.ToArray());
            // Others draw between the runs.
            Tensor.Rand(first, [3], device: device);
            Tensor.Rand(firstAlone, [3], device: device);
        }

        static void Draw(Tensor to, Generator first, Generator second)
        {
            using var scope = new MemoryScope();
            to.CopyFrom(Tensor.Stack(
                [
                    Tensor.Rand(first, [10], device: to.Device), Tensor.Randn(second, [10], to.Device), Tensor.Randn(first, [10], to.Device),
                    F.Dropout(Tensor.Ones([10], to.Device), 0.5, second),
                ], 0));
        }
    }

    /// <summary>What the first run of one leaves in the pool is taken by the recording of the other: it runs once more.</summary>
    [SkippableFact]
    public void Two_steps_that_begin_together_are_both_recorded()
    {
        Training first = new(Emulated, "adamw"), second = new(Emulated, "adamw"), plain = new(Emulated, "adamw");
        using var one = new StepGraph(Emulated, first.Step, first.Optimizer, first.Ema, first.Noise);
        using var other = new StepGraph(Emulated, second.Step, second.Optimizer, second.Ema, second.Noise);
        for (int i = 0; i < 4; i++)
        {
            one.Run();
            other.Run();
            plain.Step();
        }
        Assert.True(one.IsRecorded && other.IsRecorded);
        Assert.Equal(plain.Values(), first.Values());
        Assert.Equal(plain.Values(), second.Values());
    }

    [SkippableFact]
    public void A_generator_that_is_not_named_is_an_error()
    {
        var generator = new Generator(3);
        var y = Tensor.Zeros([4], Emulated);
        using var graph = new StepGraph(Emulated, () =>
        {
            using var scope = new MemoryScope();
            y.CopyFrom(Tensor.Rand(generator, [4], device: y.Device));
        });
        graph.Run();
        Assert.Contains("stream 0 of seed 3", Assert.Throws<InvalidOperationException>(graph.Run).Message);
    }

    [SkippableFact]
    public void A_step_that_reads_from_the_device_cannot_be_recorded_and_changes_no_count()
    {
        var training = new Training(Emulated, "adamw");
        using var graph = new StepGraph(Emulated, () =>
        {
            training.Step();
            training.Values();
        }, training.Optimizer, training.Ema, training.Noise);
        graph.Run();
        ulong offset = training.Noise.Offset;
        Assert.ThrowsAny<Exception>(graph.Run);
        Assert.Equal((1, 1, offset), (training.Optimizer.StepCount, training.Ema.StepCount, training.Noise.Offset));
        Assert.False(Emulated.IsRecording);
    }

    [Fact]
    public void A_cpu_makes_every_run_call_by_call()
    {
        Training plain = new(Device.Cpu, "adamw"), graph = new(Device.Cpu, "adamw");
        using var direct = new StepGraph(Device.Cpu, graph.Step, graph.Optimizer, graph.Ema, graph.Noise);
        for (int i = 0; i < 3; i++)
        {
            plain.Step();
            direct.Run();
        }
        Assert.False(direct.IsRecorded);
        Assert.Equal(plain.Values(), graph.Values());
    }

    /// <summary>A linear map that learns a function of noise, with dropout.</summary>
    private sealed class Training
    {
        private readonly Linear _model;

        public Training(Backend device, string optimizer)
        {
            _model = new Linear(5, 3, new Generator(1), device: device);
            Optimizer = optimizer switch
            {
                "adamw" => new AdamW(_model),
                "adam" => new Adam(_model, weightDecay: 0.1),
                "sgd" => new Sgd(_model, 0.1, weightDecay: 0.1),
                _ => new Sgd(_model, 0.1, momentum: 0.9, nesterov: true),
            };
            Ema = new Ema(_model);
        }

        public Optimizer Optimizer { get; }

        public Ema Ema { get; }

        /// <summary>Whether the optimizer updates the average.</summary>
        public bool InOne { get; init; }

        public Generator Noise { get; } = new(2);

        public void Step()
        {
            using var scope = new MemoryScope();
            var x = Tensor.Randn(Noise, [8, 5], _model.Weight.Device);
            F.MseLoss(F.Dropout(_model.Forward(x), 0.2, Noise), x.Slice(1, 0, 3).Tanh()).Backward();
            Optimizer.ClipGradNorm(0.5);
            Optimizer.Step(InOne ? Ema : null);
            Optimizer.ZeroGrad();
            if (!InOne)
                Ema.Update();
        }

        public float[] Values() => [.. _model.StateDict().Values.Concat(Ema.StateDict().Values.Where(tensor => tensor.DType == DType.Float32)).SelectMany(tensor => tensor.ToArray())];
    }
}
