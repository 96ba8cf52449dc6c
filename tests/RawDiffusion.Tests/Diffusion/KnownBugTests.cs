using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.IO;
using RawDiffusion.Tests.Diffusion.Training;

namespace RawDiffusion.Tests.Diffusion;

/// <summary>Mistakes that other implementations of diffusion models have been found to make, and that are not made here.</summary>
public sealed class KnownBugTests : IDisposable
{
    private const double Point = 0.7;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>
    /// A sampler whose loop ends at t = 2 leaves the noise of t = 1 in its samples. Data that are one point show it: whoever goes to the end
    /// arrives there, whoever stops before is off by the noise of the last time but one.
    /// </summary>
    [Theory]
    [MemberData(nameof(EverySampler.NamesOnGrids), MemberType = typeof(EverySampler))]
    public void A_sampler_goes_all_the_way_to_the_data(string name)
    {
        const double LastNoise = 1e-3;
        const int Steps = 40;
        var process = new CosineSchedule();
        double[] times = TimeGrid.LogSnr(process, Steps, LastNoise);
        var asked = new List<double>();
        var denoiser = Denoiser.FromFunction(
            (x, t) =>
            {
                asked.Add(t);
                return x * 0 + Point;
            },
            process, Parameterisation.X0);
        var reached = new List<double>();
        var start = Tensor.Randn(new Generator(1), [50, 2], Device.Reference);
        var samples = EverySampler.Run(name, denoiser, start, times, watch: at => reached.Add(at.Time));
        Assert.Equal(times[1..], reached);
        Assert.Equal(0, reached[^1]);
        // The last question is about the least noise that there is, and it is asked.
        Assert.Equal(times[^2], asked[^1]);
        // Methods of the SDE make an error of the order of the step's length in the noise that is left; a tenth of that is far from all of it.
        Assert.All(samples.ToDoubleArray(), value => Assert.Equal(Point, value, LastNoise / 10));
    }

    [Fact]
    public void Those_that_choose_their_times_end_where_they_are_told()
    {
        var process = new CosineSchedule();
        var denoiser = Denoiser.FromFunction((x, _) => x * 0 + Point, process, Parameterisation.X0);
        var start = Tensor.Randn(new Generator(1), [50, 2], Device.Reference);
        double end = process.TimeOf(1e-3);
        Assert.All(
            Sampler.ProbabilityFlow(denoiser, start, 1, end, new OdeTolerance(1e-6, 1e-6)).ToDoubleArray(), value => Assert.Equal(Point, value, 1e-12));
        double last = double.NaN;
        double[] levels = TimeGrid.LogSnr(process, 20, 0.05)[..^1];
        Sampler.AnnealedLangevin(denoiser, start, levels, new Generator(2), stepsPerLevel: 5, stepSize: 1e-4, at => last = at.Time);
        Assert.Equal(levels[^1], last);
    }

    /// <summary>The step that papers call t = 1 is number 0 of a schedule, and the last that a sampler with all of its steps asks about.</summary>
    [Fact]
    public void The_steps_of_sampling_are_those_of_training()
    {
        var schedule = new DiscreteSchedule(new LinearSchedule(), 100);
        double[] times = TimeGrid.Uniform(new LinearSchedule(), 100);
        Assert.Equal(Enumerable.Range(0, 100).Select(i => schedule.Time(99 - i)), times[..^1]);
    }

    /// <summary>Whoever copies the average over the weights to draw samples, and does not put them back, trains something else from there on.</summary>
    [Fact]
    public void Pictures_on_the_way_leave_the_training_of_points_as_it_is() => AssertPicturesChangeNothing(TinyRun.Config);

    /// <summary>The same with masks of dropout, whose random numbers sampling must not use up, and with labels that are dropped.</summary>
    [Fact]
    public void Pictures_on_the_way_leave_the_training_of_images_as_it_is()
    {
        TinyMnist.Write(_folder["data"]);
        AssertPicturesChangeNothing(TinyRun.Images(_folder["data"]));
    }

    private void AssertPicturesChangeNothing(RunConfig config)
    {
        TinyRun.Start(config, _folder["without"]);
        TinyRun.Start(config.With(TinyRun.Json("""{ "training": { "sampleEvery": 1 } }""")), _folder["with"]);
        Assert.True(Directory.GetFiles(_folder["with/samples"]).Length > Directory.GetFiles(_folder["without/samples"]).Length + 3);
        // The log has every loss on the way, a checkpoint the weights, their average and the optimizer's moments.
        foreach (string file in Directory.EnumerateFiles(_folder["without"], "*.safetensors", SearchOption.AllDirectories))
        {
            string other = Path.Combine(_folder["with"], Path.GetRelativePath(_folder["without"], file));
            Assert.True(File.ReadAllBytes(file).AsSpan().SequenceEqual(File.ReadAllBytes(other)), $"{other} differs");
        }
        Assert.Equal(Losses("without"), Losses("with"));

        IEnumerable<string> Losses(string run) => File.ReadAllLines(_folder[$"{run}/log.csv"]).Select(line => string.Join(',', line.Split(',')[..5]));
    }

    /// <summary>Judging draws samples with the average as well, from another process later: the checkpoint is not touched.</summary>
    [Fact]
    public void Evaluating_leaves_weights_and_average_as_they_are()
    {
        TinyRun.Start(TinyRun.Config, _folder["run"]);
        var run = TrainedRun.Open(_folder["run"]);
        var before = Weights(run.Model);
        var samples = run.Sample(run.Config.Sampling, 1, SilentReporter.Instance);
        run.Evaluate(samples, run.Config, SilentReporter.Instance);
        Assert.Equal(before, Weights(run.Model));
        // What is sampled is the average, and not the weights as they were trained.
        using var average = Safetensors.Load(Path.Combine(_folder["run"], "checkpoints", "step-12", "ema", "model.safetensors"));
        using var trained = Safetensors.Load(Path.Combine(_folder["run"], "checkpoints", "step-12", "model", "model.safetensors"));
        string name = average.Entries[0].Name;
        Assert.Equal(average.Read(name, Device.Cpu).ToArray(), run.Model.Network.StateDict()[name].ToArray());
        Assert.NotEqual(trained.Read(name, Device.Cpu).ToArray(), run.Model.Network.StateDict()[name].ToArray());
    }

    /// <summary>Dropout that is still on makes samples worse and different each time.</summary>
    [Fact]
    public void Sampling_turns_dropout_off_and_then_leaves_the_network_in_its_mode()
    {
        TinyMnist.Write(_folder["data"]);
        TinyRun.Start(TinyRun.Images(_folder["data"]), _folder["run"]);
        var run = TrainedRun.Open(_folder["run"]);
        var network = (UNet2D)run.Model.Network;
        Assert.Equal(0.2, network.Config.Dropout);
        network.Eval();
        float[] expected = Sample();
        Assert.False(network.IsTraining);
        network.Train();
        ulong drawn = network.DropoutGenerator.Offset;
        Assert.Equal(expected, Sample());
        Assert.Equal(expected, Sample());
        Assert.Equal(drawn, network.DropoutGenerator.Offset);
        Assert.True(network.IsTraining);
        // With it on, the same network says something else each time: there was something to turn off.
        Tensor images = Tensor.Ones([1, 28, 28, 1]), time = Tensor.Full([1], 500), label = Tensor.From([3], [1]);
        Assert.NotEqual(network.Forward(images, time, label).ToArray(), network.Forward(images, time, label).ToArray());

        float[] Sample() => run.Sample(run.Config.Sampling, 5, SilentReporter.Instance).X.ToArray();
    }

    /// <summary>The judge's features must not depend on when they are asked for either.</summary>
    [Fact]
    public void Judging_gives_the_same_figures_twice()
    {
        TinyMnist.Write(_folder["data"]);
        TinyRun.Start(TinyRun.Images(_folder["data"]), _folder["run"]);
        var run = TrainedRun.Open(_folder["run"]);
        var samples = run.Sample(run.Config.Sampling, 5, SilentReporter.Instance);
        run.Model.Network.Train();
        var first = run.Evaluate(samples, run.Config, SilentReporter.Instance);
        var second = run.Evaluate(samples, run.Config, SilentReporter.Instance);
        Assert.Equal(first.Rows, second.Rows);
        Assert.Equal(first.Metrics["cfid"], second.Metrics["cfid"]);
    }

    private static float[] Weights(DiffusionModel model) => [.. model.Network.StateDict().Values.SelectMany(tensor => tensor.ToArray())];
}
