using RawDiffusion.Backends.Cuda;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Nn;
using RawDiffusion.Optim;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.Tests.Diffusion.Training;

namespace RawDiffusion.Tests;

/// <summary>What a step on a GPU asks of the host, seen on a GPU that does nothing.</summary>
public sealed class IdleGpuTests : IDisposable
{
    private readonly IdleDriver _driver = new();
    private readonly Lazy<CudaBackend> _device;

    public IdleGpuTests() => _device = new(() => new CudaBackend(_driver));

    public void Dispose()
    {
        if (_device.IsValueCreated)
            _device.Value.Dispose();
    }

    /// <summary>With new inputs, the numbers of optimizer and average, and random numbers: all that a step is given.</summary>
    [SkippableFact]
    public void A_recorded_step_allocates_nothing_and_waits_for_nothing()
    {
        TestNvrtc.Require();
        var device = _device.Value;
        var model = new Linear(6, 4, new Generator(1), device: device);
        var optimizer = new AdamW(model);
        var ema = new Ema(model);
        var noise = new Generator(2);
        Tensor x = Tensor.Zeros([8, 6], device), loss = Tensor.Zeros(Shape.Scalar, device);
        var losses = new ScalarTrace(device, 2000);
        float[] values = new float[x.Count];
        using var graph = new StepGraph(device, () =>
        {
            using var scope = new MemoryScope();
            var y = F.Dropout(model.Forward(x), 0.1, noise).Square().Mean();
            y.Backward();
            loss.CopyFrom(y);
            optimizer.ClipGradNorm(1);
            optimizer.Step();
            optimizer.ZeroGrad();
            ema.Update();
        }, optimizer, ema, noise);
        for (int i = 0; i < 4; i++)
            Step();
        Assert.True(graph.IsRecorded);
        long waits = _driver.Waits, launches = _driver.Launches, graphs = _driver.GraphLaunches, before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 500; i++)
            Step();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal((waits, launches), (_driver.Waits, _driver.Launches));
        Assert.Equal(500, _driver.GraphLaunches - graphs);

        void Step()
        {
            values[0]++;
            x.CopyFrom(values);
            optimizer.LearningRate *= 0.99;
            graph.Run();
            losses.Add(loss);
            losses.Add(optimizer.GradientNorm);
        }
    }

    /// <summary>Data, times and noise, whatever is learned: nothing is allocated, and the host waits only to read the losses, 50 at a time.</summary>
    [SkippableTheory]
    [InlineData("{}")]
    [InlineData("""{ "process": { "parameterisation": "velocity" }, "training": { "accumulate": 2 } }""")]
    [InlineData("""{ "process": { "learnVariance": true } }""")]
    [InlineData("""{ "process": { "schedule": "flow", "parameterisation": "flow-velocity" }, "sampling": { "sampler": "euler" } }""")]
    [InlineData("""{ "process": { "parameterisation": "preconditioned" }, "training": { "weight": "edm", "times": "log-snr" } }""")]
    public void A_warm_step_of_a_preset_allocates_nothing(string settings)
    {
        TestNvrtc.Require();
        var config = Presets.Find("eight-gaussians").Config.With(TinyRun.Json(settings));
        config.Check();
        var points = new PointData("eight-gaussians", new EightGaussians());
        var model = DiffusionModel.Create(config with { Data = config.Data with { Shape = [2], StandardDeviation = 1.4 } }, _device.Value);
        ExpectNothing(config.Training, model, points);
    }

    /// <summary>Images are gathered on the device: what is sent are their indices, which nobody reads back.</summary>
    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_warm_step_of_images_allocates_nothing(bool conditional)
    {
        TestNvrtc.Require();
        const int Size = 8, Count = 5000;
        var config = Presets.Find("mnist").Config.With(TinyRun.Json("""{ "model": { "unet2d": { "dropout": 0.1 } } }"""));
        var images = new LabelledImages(new byte[Count * Size * Size], new byte[Count], Size, Size, channels: 1, classes: 2);
        var kind = new LabelKind("class", ["black", "white"]);
        var data = new ImageData("black", kind, images, images);
        config = config with
        {
            Data = config.Data with { Shape = [Size, Size, 1], StandardDeviation = 1, Classes = 2 },
            Model = config.Model with { Conditional = conditional },
        };
        var model = DiffusionModel.Create(config with { Model = DiffusionModel.Fit(config) }, _device.Value);
        ExpectNothing(config.Training with { Batch = 4 }, model, data);
    }

    private void ExpectNothing(TrainingConfig training, DiffusionModel model, ITrainingData data)
    {
        const int Steps = 100, MostUnknown = 50;
        var noise = new Generator(2);
        var state = TrainingState.New(model.Network, model.Files, training, [.. model.Generators, ("noise", noise)]);
        var objective = new TrainingObjective(training, model, noise, _device.Value);
        var told = model.Labels is { } table ? new ToldLabels(table, 0.2, new Generator(3), _device.Value) : null;
        var batches = new DataBatches(data, 0, _device.Value, samples => objective.Batch(samples.X, told is null ? null : samples.Labels), told);
        using var trainer = new Trainer(state, training, batches.Next);
        // Until every piece of the pinned memory that inputs are sent from is there: three of 4 MB, and 6 to 36 KB of inputs a step.
        for (int i = 0; i < 2205; i++)
            trainer.RunStep();
        long waits = _driver.Waits, launches = _driver.Launches, before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Steps; i++)
            trainer.RunStep();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        // Losses and gradient norms; and once, if that much is sent, a piece of pinned memory is come round to again.
        Assert.InRange(_driver.Waits - waits, 2 * Steps / MostUnknown, 2 * Steps / MostUnknown + 1);
        Assert.InRange(_driver.Launches - launches, 0, Steps);
    }

    /// <summary>Losses are read when they are logged, every tenth step here, and at least every 50 steps.</summary>
    [SkippableTheory]
    [InlineData(10, 10)]
    [InlineData(0, 2)]
    public void A_training_waits_for_the_device_only_to_read_its_losses(int logEvery, int reads)
    {
        TestNvrtc.Require();
        var device = _device.Value;
        var model = new MlpDenoiser(new Generator(1), device, width: 16, layers: 1);
        var schedule = new DiscreteSchedule(new LinearSchedule(), device: device);
        var noise = new Generator(2);
        var state = new TrainingState(model, WeightFiles.Plain(model), new AdamW(model), new Ema(model), ("noise", noise));
        long before = 0;
        using var trainer = new Trainer(state, new TrainingConfig { Steps = 103, Batch = 8, LogEvery = logEvery }, (_, count) =>
        {
            // Step 3 is the first that is neither logged as the first nor made call by call nor recorded.
            if (state.Step == 3)
                before = _driver.Waits;
            return new NoisedBatch(model.Forward, schedule, Tensor.Zeros([count, 2], device), null, noise);
        });
        Assert.Equal(TrainingEnd.Finished, trainer.Run(SilentReporter.Instance, "train", default));
        // Each time losses and gradient norms; and once more after the last step.
        Assert.Equal(2 * (reads + 1), _driver.Waits - before);
    }
}
