using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Optim;
using RawDiffusion.Tests.Kernels;

namespace RawDiffusion.Tests.Diffusion;

/// <summary>Whole sampling runs by the kernels of the Cuda backend on an emulated GPU, call by call and as one graph.</summary>
public sealed class EmulatedSamplerTests
{
    private static readonly Shape s_images = [2, 8, 8, 1];

    // A device that nobody else gives work to while a graph is recorded.
    private static readonly Emulated s_emulated = new();

    public static TheoryData<string> Samplers => ["ddpm", "ddim"];

    /// <summary>The samples differ from replay to replay, since the noise goes on, as it does without a graph.</summary>
    [SkippableTheory]
    [MemberData(nameof(Samplers))]
    public void A_recorded_run_draws_the_samples_that_it_draws_call_by_call(string sampler)
    {
        TestNvrtc.Require();
        var device = s_emulated.Device;
        var denoiser = Denoiser(device);
        Generator alone = new(7), recorded = new(7);
        var samples = Tensor.Zeros(s_images, device);
        using var graph = new StepGraph(device, () =>
        {
            using var scope = new MemoryScope();
            samples.CopyFrom(Sample(sampler, denoiser, recorded, device));
        }, generators: recorded);
        float[] before = [];
        for (int run = 0; run < 3; run++)
        {
            graph.Run();
            Assert.Equal(Sample(sampler, denoiser, alone, device).ToArray(), samples.ToArray());
            Assert.NotEqual(before, samples.ToArray());
            before = samples.ToArray();
        }
        Assert.True(graph.IsRecorded);
    }

    /// <summary>Rounding errors of one step pass through the network in the next: the samples of three steps agree to a few units of 1e-5.</summary>
    [SkippableTheory]
    [MemberData(nameof(Samplers))]
    public void The_samples_are_those_of_the_cpu(string sampler)
    {
        TestNvrtc.Require();
        float[] expected = Sample(sampler, Denoiser(Device.Cpu), new Generator(7), Device.Cpu).ToArray();
        float[] actual = Sample(sampler, Denoiser(s_emulated.Device), new Generator(7), s_emulated.Device).ToArray();
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], 1e-4);
    }

    /// <summary>Every sampler can have it: only the network is recorded, and the times are among its inputs.</summary>
    [SkippableFact]
    public void A_recorded_network_answers_as_the_network_does()
    {
        TestNvrtc.Require();
        var device = s_emulated.Device;
        var model = Network(device);
        using var recorded = new RecordedNetwork((x, times) => model.Forward(x, times));
        var noise = new Generator(3);
        for (int i = 0; i < 4; i++)
        {
            using var scope = new MemoryScope();
            Tensor x = Tensor.Randn(noise, s_images, device), times = Tensor.Full([2], 100 * i + 1, device);
            Assert.Equal(model.Forward(x, times).ToArray(), recorded.Forward(x, times).ToArray());
            Assert.Equal(i > 0, recorded.IsRecorded);
        }
        // Other shapes are recorded anew.
        Tensor one = Tensor.Randn(noise, [1, 8, 8, 1], device), time = Tensor.Full([1], 5, device);
        Assert.Equal(model.Forward(one, time).ToArray(), recorded.Forward(one, time).ToArray());
        Assert.False(recorded.IsRecorded);
        // Who wants derivatives gets the tape.
        Assert.True(recorded.Forward(one.Detach().RequireGrad(), time).RequiresGrad);
    }

    [Fact]
    public void On_a_cpu_a_recorded_network_is_the_network()
    {
        var model = Network(Device.Cpu);
        using var recorded = new RecordedNetwork((x, times) => model.Forward(x, times));
        Tensor x = Tensor.Randn(new Generator(3), s_images), times = Tensor.Full([2], 7);
        for (int i = 0; i < 3; i++)
            Assert.Equal(model.Forward(x, times).ToArray(), recorded.Forward(x, times).ToArray());
        Assert.False(recorded.IsRecorded);
    }

    private static Tensor Sample(string sampler, Denoiser denoiser, Generator generator, Backend device)
    {
        var x = Sampler.Prior(denoiser.Process, s_images, generator, device);
        double[] times = TimeGrid.Uniform(denoiser.Process, 3);
        return sampler == "ddpm"
            ? Sampler.Ddpm(denoiser, x, times, generator, clipX0: 1)
            : Sampler.Ddim(denoiser, x, times, generator, eta: 0.5, clipX0: 1);
    }

    private static Denoiser Denoiser(Backend device)
    {
        var model = Network(device);
        return new Denoiser(model.Forward, new CosineSchedule());
    }

    private static UNet2D Network(Backend device)
    {
        var config = new UNet2DConfig
        {
            InChannels = 1,
            OutChannels = 1,
            BlockOutChannels = [4, 8],
            DownBlockTypes = ["DownBlock2D", "AttnDownBlock2D"],
            UpBlockTypes = ["AttnUpBlock2D", "UpBlock2D"],
            LayersPerBlock = 1,
            AttentionHeadDim = 4,
            NormNumGroups = 2,
        };
        var model = new UNet2D(config, new Generator(1), device);
        model.Eval();
        return model;
    }
}
