using RawDiffusion.Cli;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.IO;

namespace RawDiffusion.Tests.Diffusion.Training;

/// <summary>Runs whose network is told digit, colour and style: from the training to samples of a certain colour.</summary>
public sealed class AttributesTests(AttributesTests.Run run) : IClassFixture<AttributesTests.Run>, IDisposable
{
    private static readonly SamplingConfig s_sampling = new() { Sampler = "ddim", Steps = 3, Count = 24, Guidance = 2 };

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_run_notes_down_what_can_be_said_of_a_sample()
    {
        var trained = TrainedRun.Open(run.Folder);
        Assert.Equal(["digit", "colour", "style"], trained.Model.LabelKinds.Select(kind => kind.Name));
        Assert.Equal("italic", trained.Model.LabelKinds[2].Values[2]);
        Assert.Equal(11 + 11 + 5, trained.Model.Labels!.Rows);
        Assert.Equal(11 + 11 + 5, trained.Config.Model.Unet2d!.NumClassEmbeds);
    }

    [Fact]
    public void What_is_asked_for_is_told_of_all_samples_and_the_rest_varies()
    {
        var samples = TrainedRun.Open(run.Folder).Sample(
            s_sampling, 1, SilentReporter.Instance, attributes: new Dictionary<string, string> { ["colour"] = "blue", ["style"] = "any" });
        int[] told = samples.Attributes!.ToInt32Array();
        Assert.Equal(new Shape(24, 3), samples.Attributes.Shape);
        for (int i = 0; i < 24; i++)
            Assert.Equal([i % 10, 5, LabelTable.NotTold], told[(3 * i)..(3 * i + 3)]);
        Assert.Equal([.. Enumerable.Range(0, 24).Select(i => i % 10)], samples.Labels!.ToInt32Array());
    }

    /// <summary>
    /// Attributes are told one after the other. With scales of 1 that is the network that is told everything; with equal ones two networks are
    /// asked. Digit 2, colour 3, style 2 are sums with factors -1, -1, 1 and 2, digit 1, colour 3, style 1 with 0, -2, 2 and 1. Three steps.
    /// </summary>
    [Theory]
    [InlineData(1, null, 3)]
    [InlineData(2, null, 6)]
    [InlineData(2, 3.0, 12)]
    [InlineData(1, 3.0, 9)]
    public void Networks_are_asked_as_often_as_the_scales_need(double guidance, double? ofColour, int expected)
    {
        var trained = TrainedRun.Open(run.Folder);
        var sampling = s_sampling with { Guidance = guidance, GuidanceOf = ofColour is { } scale ? new Dictionary<string, double> { ["colour"] = scale } : null };
        trained.Sample(sampling, 1, SilentReporter.Instance);
        Assert.Equal(expected, trained.Model.Evaluations);
    }

    /// <summary>For editing, where a batch may be of any size: the class alone is told, or nothing.</summary>
    [Fact]
    public void A_denoiser_of_any_number_of_samples_is_told_the_class_or_nothing()
    {
        var model = TrainedRun.Open(run.Folder).Model;
        model.Network.Eval();
        var generator = new Generator(6);
        foreach (int n in new[] { 1, 3 })
        {
            var x = Tensor.Randn(generator, [n, 28, 28, 3], Device.Cpu);
            float[] Answer(int digit)
            {
                var labels = model.Labels!.Indices([.. Enumerable.Range(0, 3 * n).Select(i => i % 3 == 0 ? digit : LabelTable.NotTold)]);
                return new RawDiffusion.Diffusion.Denoiser((at, t) => model.Forward(at, t, labels), model.Process, model.Parameterisation).X0(x, 0.5).ToArray();
            }

            Assert.Equal(Answer(LabelTable.NotTold), model.Denoiser().X0(x, 0.5).ToArray());
            Assert.Equal(Answer(7), model.Denoiser(7).X0(x, 0.5).ToArray());
            Assert.NotEqual(Answer(7), model.Denoiser(7, guidance: 3).X0(x, 0.5).ToArray());
        }
        Assert.Contains("label must be in [0, 9], not 10", Assert.Throws<ConfigException>(() => model.Denoiser(10)).Message);
    }

    /// <summary>The samples are those of the guidance that is composed by hand.</summary>
    [Fact]
    public void Samples_are_guided_by_each_attribute_with_its_scale()
    {
        var trained = TrainedRun.Open(run.Folder);
        var model = trained.Model;
        var sampling = s_sampling with { Count = 4, GuidanceOf = new Dictionary<string, double> { ["colour"] = 3 }, ClipX0 = null };
        var samples = trained.Sample(sampling, 5, SilentReporter.Instance);

        int[] values = samples.Attributes!.ToInt32Array();
        RawDiffusion.Diffusion.Denoiser Told(int kinds)
        {
            var labels = model.Labels!.Indices([.. values.Select((value, i) => i % 3 < kinds ? value : LabelTable.NotTold)]);
            return new RawDiffusion.Diffusion.Denoiser((x, t) => model.Forward(x, t, labels), model.Process, model.Parameterisation);
        }

        model.Network.Eval();
        var guided = Guidance.ClassifierFree(Told(0), [new(Told(1), 2), new(Told(2), 3), new(Told(3), 2)]);
        var generator = new Generator(5, RandomStreams.Sampling);
        var start = Sampler.Prior(model.Process, [4, 28, 28, 3], generator);
        var expected = Sampler.Ddim(guided, start, RawDiffusion.Diffusion.Processes.TimeGrid.Uniform(model.Process, 3), generator);
        Assert.Equal(expected.ToArray(), samples.X.ToArray());
    }

    [Fact]
    public void The_command_line_asks_for_attributes_by_name()
    {
        var error = new StringWriter();
        Assert.True(
            Program.Run(
                ["sample", run.Folder, "--n", "2", "--steps", "2", "--attribute", "digit=7", "colour=pink", "--guidance", "2", "--guidance-of", "colour=4,style=1",
                    "--out", _folder["pink"]],
                error) == 0,
            error.ToString());
        using var file = Safetensors.Load(_folder["pink.safetensors"]);
        Assert.Equal([7, 7], file.Read("labels").ToInt32Array());
        Assert.Equal(7, file.Read("attributes").ToInt32Array()[1]);
    }

    [Theory]
    [InlineData("--attribute size=3", "attribute 'size' cannot be asked for: the model is told: digit, colour, style")]
    [InlineData("--attribute style=gothic", "attribute style is none of regular, bold, italic, outlined or any: 'gothic'")]
    [InlineData("--attribute red", "--attribute: 'red' is no name with a value; expected something like colour=red")]
    [InlineData("--attribute colour=red colour=blue", "--attribute: 'colour' is given twice")]
    [InlineData("--label 3 --attribute digit=3", "label and the attribute digit are the same; give one of them")]
    [InlineData("--guidance-of size=3", "guidance-of has a scale for 'size', which the model is not told; it is told: digit, colour, style")]
    [InlineData("--guidance-of colour=much", "--guidance-of: 'much' is no number; expected something like colour=3,style=1.5")]
    [InlineData("--guidance-of colour=NaN", "guidance-of must be a number for 'colour', not NaN")]
    public void What_cannot_be_asked_for_is_named(string options, string expected)
    {
        var error = new StringWriter();
        Assert.Equal(2, Program.Run(["sample", run.Folder, "--n", "2", .. options.Split(' ')], error));
        Assert.Equal($"rawdiffusion: {expected}\n", error.ToString().ReplaceLineEndings("\n"));
    }

    [Fact]
    public void Guidance_of_a_model_that_is_told_nothing_is_refused()
    {
        var config = TinyRun.Config;
        var model = DiffusionModel.Create(config with { Data = config.Data with { Shape = [2] } }, Device.Cpu);
        string message = Assert.Throws<ConfigException>(
            () => model.Sample(config.Sampling with { Guidance = 2 }, new Generator(1), SilentReporter.Instance)).Message;
        Assert.StartsWith("sampling.guidance needs a model that is told classes", message);
    }

    /// <summary>Four steps of a tiny network, ended before it is judged.</summary>
    public sealed class Run : IDisposable
    {
        private readonly TemporaryFolder _folder = new();

        public Run()
        {
            var config = Presets.Find("colour-digits").Config.With(TinyRun.Json(
                """
                {
                  "model": {
                    "conditional": true, "attributes": true,
                    "unet2d": {
                      "blockOutChannels": [8, 8], "downBlockTypes": ["DownBlock2D", "DownBlock2D"], "upBlockTypes": ["UpBlock2D", "UpBlock2D"],
                      "normNumGroups": 4, "layersPerBlock": 1, "addAttention": false
                    }
                  },
                  "training": { "steps": 6, "batch": 6, "labelDropout": 0.3, "sampleEvery": 0, "checkpointEvery": 0, "keepCheckpoints": 1 },
                  "sampling": { "steps": 2, "count": 12, "guidance": 1.5, "guidanceOf": { "style": 2 } }
                }
                """));
            TinyRun.Start(config, Folder, stopAt: 4);
        }

        public string Folder => _folder["run"];

        public void Dispose() => _folder.Dispose();
    }
}
