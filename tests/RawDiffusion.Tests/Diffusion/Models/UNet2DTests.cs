using RawDiffusion.Backends.Cpu;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Peers;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests.Diffusion.Models;

/// <summary>The arithmetic is judged by <see cref="GoldenUNetTests"/>; here are shapes, sizes, modes and wrong input.</summary>
public class UNet2DTests
{
    internal static UNet2DConfig Tiny { get; } = new()
    {
        InChannels = 1, OutChannels = 2, BlockOutChannels = [4, 8], DownBlockTypes = ["DownBlock2D", "AttnDownBlock2D"],
        UpBlockTypes = ["AttnUpBlock2D", "UpBlock2D"], LayersPerBlock = 1, NormNumGroups = 2, AttentionHeadDim = 4,
    };

    // The network of google/ddpm-celebahq-256; that of google/ddpm-cifar10-32 is the one that is compared with PyTorch's.
    private static readonly UNet2DConfig s_celeba = PeerModels.Cifar with
    {
        BlockOutChannels = [128, 128, 256, 256, 512, 512],
        DownBlockTypes = ["DownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
        UpBlockTypes = ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"],
    };

    public static TheoryData<string> Variants => ["tiny", "resnet", "classes", "timestep", "identity", "fourier", "learned", "no middle", "one level", "uneven head"];

    [Theory]
    [MemberData(nameof(Variants))]
    public void An_image_keeps_its_size_and_every_parameter_gets_a_gradient(string variant)
    {
        var config = Variant(variant);
        var model = new UNet2D(config, new Generator(1));
        Tensor? labels = !config.HasClasses ? null
            : config.ClassEmbedType == "identity" ? Tensor.Ones([3, config.TimeChannels])
            : Tensor.From([0, 2, 1], [3]);
        var y = model.Forward(Tensor.Randn(new Generator(2), [3, 8, 12, 1]), Tensor.From([1f, 5, 2], [3]), labels);

        Assert.Equal(new Shape(3, 8, 12, 2), y.Shape);
        y.Square().Sum().Backward();
        Assert.All(model.NamedParameters().Where(p => p.Parameter.RequiresGrad), p => Assert.NotNull(p.Parameter.Grad));
        Assert.Equal(variant == "fourier" ? ["time_proj.weight"] : [], model.NamedParameters().Where(p => !p.Parameter.RequiresGrad).Select(p => p.Name));
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void The_size_is_known_without_making_the_network(string variant)
    {
        var model = new UNet2D(Variant(variant), new Generator(1));

        Assert.Equal(new UNet2DSize(model.Parameters().Count, model.ParameterCount), UNet2DSize.Of(Variant(variant)));
    }

    [Fact]
    public void The_published_networks_have_their_published_sizes()
    {
        Assert.Equal(new UNet2DSize(328, 35_746_307), UNet2DSize.Of(PeerModels.Cifar));
        Assert.Equal(new UNet2DSize(450, 113_673_219), UNet2DSize.Of(s_celeba));
        Assert.Equal(1_623_169, UNet2DSize.Of(PeerModels.Mnist).Values);
    }

    [Fact]
    public void Parameters_have_the_names_of_diffusers()
    {
        var names = new UNet2D(Tiny, new Generator(1)).NamedParameters().Select(p => p.Name).ToArray();

        string[] expected =
        [
            "conv_in.weight", "time_embedding.linear_1.weight", "time_embedding.linear_2.bias", "down_blocks.0.resnets.0.norm1.weight",
            "down_blocks.0.resnets.0.conv1.bias", "down_blocks.0.resnets.0.time_emb_proj.weight", "down_blocks.0.downsamplers.0.conv.weight",
            "down_blocks.1.resnets.0.conv_shortcut.weight", "down_blocks.1.attentions.0.group_norm.weight", "down_blocks.1.attentions.0.to_q.weight",
            "down_blocks.1.attentions.0.to_out.0.bias", "mid_block.resnets.1.norm2.weight", "mid_block.attentions.0.to_v.bias",
            "up_blocks.0.upsamplers.0.conv.weight", "up_blocks.1.resnets.1.conv2.weight", "conv_norm_out.bias", "conv_out.weight",
        ];
        Assert.Empty(expected.Except(names));
    }

    [Fact]
    public void Times_may_be_whole_numbers_and_matter()
    {
        var model = new UNet2D(Tiny, new Generator(1));
        var x = Tensor.Randn(new Generator(2), [2, 4, 4, 1]);
        float[] whole = model.Forward(x, Tensor.From([3, 900], [2])).ToArray();

        Assert.Equal(whole, model.Forward(x, Tensor.From([3f, 900], [2])).ToArray());
        Assert.NotEqual(whole, model.Forward(x, Tensor.From([4, 900], [2])).ToArray());
    }

    [Fact]
    public void Labels_matter()
    {
        var model = new UNet2D(Variant("classes"), new Generator(1));
        var x = Tensor.Randn(new Generator(2), [1, 4, 4, 1]);
        float[] With(int label) => model.Forward(x, Tensor.Ones([1]), Tensor.From([label], [1])).ToArray();

        Assert.NotEqual(With(0), With(1));
    }

    [Fact]
    public void Dropout_acts_in_training_only_and_is_repeated_from_its_generator()
    {
        var model = new UNet2D(Tiny with { Dropout = 0.5 }, new Generator(1));
        Tensor x = Tensor.Randn(new Generator(2), [2, 4, 4, 1]), t = Tensor.Ones([2]);
        float[] Run() => model.Forward(x, t).ToArray();
        ulong start = model.DropoutGenerator.Offset;
        float[] first = Run();
        Assert.NotEqual(first, Run());
        model.DropoutGenerator.Offset = start;
        Assert.Equal(first, Run());

        model.Eval();
        float[] evaluated = Run();
        Assert.Equal(evaluated, Run());
        model.Train();
        Assert.NotEqual(evaluated, Run());
    }

    [Theory]
    [InlineData(6, 8, 1, "images of 6 x 8 cannot be halved 2 times; height and width must be multiples of 4")]
    [InlineData(8, 10, 1, "images of 8 x 10 cannot be halved")]
    [InlineData(0, 8, 1, "images of 0 x 8")]
    [InlineData(8, 8, 3, "images are [N, H, W, 1], not [2, 8, 8, 3]")]
    public void Images_that_do_not_fit_are_refused(int height, int width, int channels, string message)
    {
        var model = new UNet2D(Tiny with { BlockOutChannels = [4, 8, 8], DownBlockTypes = Three("DownBlock2D"), UpBlockTypes = Three("UpBlock2D") }, new Generator(1));
        var error = Assert.Throws<ArgumentException>(() => model.Forward(Tensor.Zeros([2, height, width, channels]), Tensor.Ones([2])));

        Assert.Contains(message, error.Message);
    }

    [Fact]
    public void Times_that_do_not_fit_are_refused()
    {
        var x = Tensor.Zeros([2, 4, 4, 1]);
        Assert.Contains("[3]", Assert.Throws<ArgumentException>(() => new UNet2D(Tiny, new Generator(1)).Forward(x, Tensor.Ones([3]))).Message);
        var learned = new UNet2D(Variant("learned"), new Generator(1));
        Assert.Contains("1.5", Assert.Throws<ArgumentException>(() => learned.Forward(x, Tensor.Full([2], 1.5))).Message);
        Assert.ThrowsAny<ArgumentException>(() => learned.Forward(x, Tensor.Full([2], 10)));
    }

    [Fact]
    public void Labels_that_are_missing_unexpected_or_no_class_are_refused()
    {
        Tensor x = Tensor.Zeros([2, 4, 4, 1]), t = Tensor.Ones([2]);
        UNet2D plain = new(Tiny, new Generator(1)), classes = new(Variant("classes"), new Generator(1));

        Assert.Contains("needs labels", Assert.Throws<ArgumentException>(() => classes.Forward(x, t)).Message);
        Assert.Contains("takes no labels", Assert.Throws<ArgumentException>(() => plain.Forward(x, t, Tensor.From([0, 1], [2]))).Message);
        Assert.Contains("[3]", Assert.Throws<ArgumentException>(() => classes.Forward(x, t, Tensor.From([0, 1, 2], [3]))).Message);
        Assert.Contains("3", Assert.ThrowsAny<ArgumentException>(() => classes.Forward(x, t, Tensor.From([0, 3], [2]))).Message);
        Assert.ThrowsAny<ArgumentException>(() => classes.Forward(x, t, Tensor.From([0, -1], [2])));
        Assert.ThrowsAny<ArgumentException>(() => classes.Forward(x, t, Tensor.From([0f, 1], [2])));
    }

    [Fact]
    public void Settings_that_are_impossible_or_unknown_are_refused_by_name_and_value()
    {
        (UNet2DConfig Config, string Message)[] cases =
        [
            (Tiny with { NormNumGroups = 3 }, "norm_num_groups cannot be 3"),
            (Tiny with { AttnNormNumGroups = 3 }, "attn_norm_num_groups cannot be 3"),
            (Tiny with { AttentionHeadDim = 16 }, "attention_head_dim cannot be 16"),
            (Tiny with { DownBlockTypes = ["DownBlock2D", "CrossAttnDownBlock2D"] }, "down_block_types cannot be 'CrossAttnDownBlock2D'"),
            (Tiny with { UpBlockTypes = ["DownBlock2D", "UpBlock2D"] }, "up_block_types cannot be 'DownBlock2D'"),
            (Tiny with { DownBlockTypes = Three("DownBlock2D") }, "block_out_channels has 2 levels, down_block_types 3, up_block_types 2"),
            (Tiny with { BlockOutChannels = [], DownBlockTypes = [], UpBlockTypes = [] }, "the number of block_out_channels cannot be 0"),
            (Tiny with { InChannels = 0 }, "in_channels cannot be 0"),
            (Tiny with { LayersPerBlock = 0 }, "layers_per_block cannot be 0"),
            (Tiny with { DownsamplePadding = 2 }, "downsample_padding cannot be 2"),
            (Tiny with { DownsampleType = "fir" }, "downsample_type cannot be 'fir'"),
            (Tiny with { ActFn = "tanh" }, "act_fn cannot be 'tanh'"),
            (Tiny with { Dropout = 1.5 }, "dropout cannot be 1.5"),
            (Tiny with { ResnetTimeScaleShift = "spatial" }, "resnet_time_scale_shift cannot be 'spatial'"),
            (Tiny with { MidBlockType = "UNetMidBlock2DCrossAttn" }, "mid_block_type cannot be 'UNetMidBlock2DCrossAttn'"),
            (Tiny with { MidBlockScaleFactor = 0 }, "mid_block_scale_factor cannot be 0"),
            (Tiny with { TimeEmbeddingType = "learned" }, "num_train_timesteps cannot be 0"),
            (Tiny with { FreqShift = 2 }, "freq_shift cannot be 2"),
            (Tiny with { ClassEmbedType = "projection" }, "class_embed_type cannot be 'projection'"),
            (Tiny with { NormEps = -1 }, "norm_eps cannot be -1"),
        ];
        foreach (var (config, message) in cases)
        {
            Assert.Contains(message, Assert.Throws<ArgumentException>(() => new UNet2D(config, new Generator(1))).Message);
            Assert.Throws<ArgumentException>(() => UNet2DSize.Of(config));
        }
    }

    private static string[] Three(string type) => [type, type, type];

    private static UNet2DConfig Variant(string name) => name switch
    {
        "tiny" => Tiny,
        "resnet" => Tiny with
        {
            DownBlockTypes = ["ResnetDownsampleBlock2D", "AttnDownBlock2D"], UpBlockTypes = ["AttnUpBlock2D", "UpBlock2D"],
            DownsampleType = "resnet", UpsampleType = "resnet", ResnetTimeScaleShift = "scale_shift", ActFn = "gelu", MidBlockScaleFactor = 2,
        },
        "classes" => Tiny with { NumClassEmbeds = 3 },
        "timestep" => Tiny with { ClassEmbedType = "timestep", ActFn = "mish" },
        "identity" => Tiny with { ClassEmbedType = "identity", TimeEmbeddingDim = 6, ActFn = "relu" },
        "fourier" => Tiny with { TimeEmbeddingType = "fourier", AttnNormNumGroups = 4 },
        "learned" => Tiny with { TimeEmbeddingType = "learned", NumTrainTimesteps = 10, CenterInputSample = true },
        "no middle" => Tiny with { MidBlockType = null },
        "one level" => Tiny with { BlockOutChannels = [8], DownBlockTypes = ["DownBlock2D"], UpBlockTypes = ["AttnUpBlock2D"], AddAttention = false },
        _ => Tiny with { AttentionHeadDim = 3, LayersPerBlock = 3, DownsamplePadding = 0 },
    };
}

/// <summary>
/// Changes the number of threads, on which the scratch memory of kernels depends, as the tests of the pool of threads do: they do not
/// run at the same time.
/// </summary>
[Collection(nameof(WorkersTests))]
public class UNet2DTrainingTests
{
    /// <summary>Trained for as many steps as a test can wait for; RAWDIFFUSION_LONG_TESTS=1 makes it 10,000.</summary>
    [Fact]
    public void Memory_stays_flat_over_many_steps()
    {
        int steps = Environment.GetEnvironmentVariable("RAWDIFFUSION_LONG_TESTS") == "1" ? 10_000 : 60;
        var cpu = new CpuBackend();
        var model = new UNet2D(UNet2DTests.Tiny with { OutChannels = 1, Dropout = 0.1 }, new Generator(1), cpu);
        var optimizer = new AdamW(model);
        Tensor x = Tensor.Randn(new Generator(2), [2, 4, 4, 1], cpu), t = Tensor.Ones([2], cpu);
        void Step()
        {
            using var scope = new MemoryScope();
            optimizer.ZeroGrad();
            F.MseLoss(model.Forward(x, t), x).Backward();
            optimizer.Step();
        }
        for (int i = 0; i < 5; i++)
            Step();
        var warm = cpu.Statistics;
        for (int i = 0; i < steps; i++)
            Step();

        Assert.Equal(warm, cpu.Statistics);
    }

    [Fact]
    public void A_training_gives_the_same_bits_with_one_and_two_threads()
    {
        float[] one = Train(1);

        Assert.Equal(one, Train(2));
        Assert.Equal(one, Train(1));
    }

    /// <summary>Without a tape, blocks hand their intermediate results back one after the other: the memory of one block is enough.</summary>
    [Fact]
    public void Without_a_tape_the_same_numbers_take_less_memory()
    {
        var (taped, much) = Run(useTape: true);
        var (plain, little) = Run(useTape: false);

        Assert.Equal(taped, plain);
        Assert.InRange(little, 1, much / 2);

        static (float[] Output, long Bytes) Run(bool useTape)
        {
            var cpu = new CpuBackend();
            var model = new UNet2D(UNet2DTests.Tiny with { LayersPerBlock = 3 }, new Generator(1), cpu);
            Tensor x = Tensor.Randn(new Generator(2), [8, 16, 16, 1], cpu), t = Tensor.Ones([8], cpu);
            long before = cpu.Statistics.BytesHeld;
            using var scope = new MemoryScope();
            using var mode = useTape ? default(IDisposable) : new NoGrad();
            return (model.Forward(x, t).ToArray(), cpu.Statistics.BytesHeld - before);
        }
    }

    private static float[] Train(int threads)
    {
        int before = Workers.Count;
        Workers.SetCount(threads);
        try
        {
            var model = new UNet2D(PeerModels.Mnist with { Dropout = 0.1 }, new Generator(1));
            var optimizer = new AdamW(model);
            var generator = new Generator(2);
            for (int i = 0; i < 2; i++)
            {
                using var scope = new MemoryScope();
                Tensor x = Tensor.Randn(generator, [3, 16, 16, 1]), t = Tensor.From([1f, 10, 100], [3]);
                optimizer.ZeroGrad();
                F.MseLoss(model.Forward(x, t), x).Backward();
                optimizer.Step();
            }
            return [.. model.Parameters().SelectMany(p => p.ToArray())];
        }
        finally
        {
            Workers.SetCount(before);
        }
    }
}
