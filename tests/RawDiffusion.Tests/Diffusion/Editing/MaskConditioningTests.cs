using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Editing;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Tests.Diffusion.Editing;

public class MaskConditioningTests
{
    private static readonly LinearSchedule s_process = new();

    private static readonly UNet2DConfig s_config = new()
    {
        InChannels = 1, OutChannels = 1, BlockOutChannels = [8, 8], DownBlockTypes = ["DownBlock2D", "DownBlock2D"],
        UpBlockTypes = ["UpBlock2D", "UpBlock2D"], NormNumGroups = 4, LayersPerBlock = 1, AddAttention = false,
    };

    private static UNet2D Network() => new(s_config, new Generator(1), Device.Cpu);

    private static KnownPart Known(int count)
    {
        var generator = new Generator(5);
        return new KnownPart(Tensor.Randn(generator, [count, 8, 8, 1], Device.Cpu), RandomMasks.Draw(count, 8, 8, generator, Device.Cpu));
    }

    [Fact]
    public void A_widened_network_says_the_same_whatever_it_is_told()
    {
        var network = Network();
        var widened = MaskConditioning.Widen(network);
        Assert.Equal(3, widened.Config.InChannels);
        var x = Tensor.Randn(new Generator(2), [3, 8, 8, 1], Device.Cpu);
        double[] before = new Denoiser(network.Forward, s_process).Epsilon(x, 0.3).ToDoubleArray();
        double[] after = MaskConditioning.Denoiser(widened, s_process, Parameterisation.Epsilon, Known(3)).Epsilon(x, 0.3).ToDoubleArray();
        // Sums with zeros between, in another order: float32 rounding through a few layers.
        Assert.All(before.Zip(after), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
    }

    [Fact]
    public void A_network_that_is_told_classes_is_refused() => Assert.Contains(
        "classes", Assert.Throws<ArgumentException>(() => MaskConditioning.Widen(new UNet2D(s_config with { NumClassEmbeds = 3 }, new Generator(1), Device.Cpu))).Message);

    [Fact]
    public void The_network_is_told_nothing_of_what_is_not_known()
    {
        var known = new KnownPart(Tensor.From([3.0, 4.0], [1, 1, 2, 1]), Tensor.From([1.0, 0], [1, 2, 1]));
        Assert.Equal([3f, 1, 0, 0], MaskConditioning.Channels(known).ToArray());
    }

    /// <summary>Images of one grey each, so that what is known says what is not, which noise hides from a network that is not told.</summary>
    [Fact]
    public void Fine_tuning_teaches_to_look_at_the_known_part()
    {
        var network = Network();
        float[] before = network.ConvIn.Weight.ToArray();
        var widened = MaskConditioning.Widen(network);
        MaskConditioning.FineTune(
            widened, s_process, Parameterisation.X0, new Greys(), new TrainingConfig { Steps = 150, Batch = 16, LearningRate = 5e-3, Warmup = 10, EmaDecay = 0.9 }, 1, SilentReporter.Instance);

        Assert.Equal(before, network.ConvIn.Weight.ToArray());
        var images = new Greys().Draw(0, 20, 7, Device.Cpu).X;
        var known = new KnownPart(images, RandomMasks.Draw(20, 8, 8, new Generator(3), Device.Cpu));
        var denoiser = MaskConditioning.Denoiser(widened, s_process, Parameterisation.X0, known);
        var generator = new Generator(4);
        var filled = known.Fill(Sampler.Ddim(denoiser, Sampler.Prior(s_process, images.Shape, generator, Device.Cpu), TimeGrid.Uniform(s_process, 5), generator));
        // The greys have the variance 1/3. Without the known part no guess would be better than that.
        double error = (filled - images).Square().Mean().Item() / (1 - known.Mask.Mean().Item());
        Assert.True(error < 0.1, $"{error}");
        Assert.Equal((images * known.Mask).ToArray(), (filled * known.Mask).ToArray());
    }

    [Fact]
    public void Fine_tuning_stops_when_it_is_asked_to()
    {
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => MaskConditioning.FineTune(
            MaskConditioning.Widen(Network()), s_process, Parameterisation.Epsilon, new Greys(), new TrainingConfig(), 1, SilentReporter.Instance, stop.Token));
    }

    [Fact]
    public void Masks_are_of_every_kind_and_the_same_however_they_are_cut()
    {
        var all = RandomMasks.Draw(400, 28, 28, new Generator(1), Device.Cpu);
        float[] values = all.ToArray();
        Assert.All(values, value => Assert.True(value is 0 or 1));
        double[] known = [.. Enumerable.Range(0, 400).Select(i => values.AsSpan(i * 784, 784).ToArray().Average(v => (double)v))];
        Assert.All(known, share => Assert.InRange(share, 0.01, 0.99));
        // A quarter are halves, of which no other kind is likely; half the boxes that alone are known and few other masks leave less than 0.4.
        Assert.InRange(known.Count(share => share == 0.5), 60, 140);
        Assert.InRange(known.Count(share => share < 0.4), 60, 200);
        Assert.InRange(known.Count(share => share > 0.6), 60, 240);

        var generator = new Generator(1);
        var parts = Tensor.Concat([RandomMasks.Draw(150, 28, 28, generator, Device.Cpu), RandomMasks.Draw(250, 28, 28, generator, Device.Cpu)]);
        Assert.Equal(values, parts.ToArray());
    }

    [Fact]
    public void Images_too_small_for_a_box_are_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => RandomMasks.Draw(1, 3, 28, new Generator(1)));

    /// <summary>Images of 8 x 8 pixels of one grey in [-1, 1].</summary>
    private sealed class Greys : ITrainingData
    {
        public string Name => "greys";

        public Shape SampleShape => [8, 8, 1];

        public int Classes => 0;

        public IReadOnlyList<LabelKind> LabelKinds => [];

        public int? Count => null;

        public ITrainingData HeldOut => this;

        public void Fill(Batch batch, long first, ulong seed) => batch.X.CopyFrom(
            Tensor.Rand(new Generator(seed, 9, (ulong)first), [batch.X.Shape[0], 1, 1, 1], -1, 1, batch.X.Device).BroadcastTo(batch.X.Shape));
    }
}
