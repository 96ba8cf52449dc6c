using RawDiffusion.Cli;
using RawDiffusion.IO;
using RawDiffusion.Tests.Diffusion.Training;

namespace RawDiffusion.Tests.Cli;

/// <summary>The commands that change images with the model of a run: inpaint, interpolate, edit.</summary>
public sealed class EditingCommandTests(EditingCommandTests.Runs runs) : IClassFixture<EditingCommandTests.Runs>
{
    private const int Side = 28;

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Methods => ["replacement --steps 3", "repaint --steps 4 --jump 2 --resamplings 2", "gradient --steps 2"];

    [Theory]
    [MemberData(nameof(Methods))]
    public void Inpainting_keeps_what_is_white_in_the_mask(string method)
    {
        Execute(["inpaint", runs.Images, "--image", runs.Digit, "--mask", runs.Mask, "--n", "2", "--out", _folder["filled"], "--method", .. method.Split(' ')]);
        using var file = Safetensors.Load(_folder["filled.safetensors"]);
        var made = file.Read("x");
        Assert.Equal(new Shape(2, Side, Side, 1), made.Shape);
        byte[] digit = Png.Load(runs.Digit).Pixels;
        float[] values = made.ToArray();
        for (int i = 0; i < values.Length; i++)
        {
            if (i % Side < Side / 2)
                Assert.Equal(digit[i % digit.Length] / 127.5f - 1, values[i]);
        }
        // Image, what is known of it, and two fillings, four times as large, with gaps.
        var picture = Png.Load(_folder["filled.png"]);
        Assert.Equal((4 * (4 * Side + 2) + 2, 4 * Side + 4), (picture.Width, picture.Height));
    }

    [Fact]
    public void An_interpolation_has_both_ends_and_as_many_images_as_asked()
    {
        Execute(["interpolate", runs.Images, "--index", "3", "8", "--steps", "2", "--n", "5", "--out", _folder["way"]]);
        using var file = Safetensors.Load(_folder["way.safetensors"]);
        Assert.Equal(new Shape(5, Side, Side, 1), file.Read("x").Shape);
    }

    [Fact]
    public void An_edit_is_called_by_a_number_in_the_run_where_it_has_no_name()
    {
        Execute(["edit", runs.Images, "--image", runs.Digit, "--strength", "0.3", "--label", "3", "--steps", "2", "--n", "3"]);
        Assert.True(File.Exists(Path.Combine(runs.Images, "samples", "edit-1.png")));
        using var file = Safetensors.Load(Path.Combine(runs.Images, "samples", "edit-1.safetensors"));
        Assert.Equal(new Shape(3, Side, Side, 1), file.Read("x").Shape);
    }

    /// <summary>DIGIT, MASK, COLOUR, SMALL, TEXT and WHITE stand for files.</summary>
    [Theory]
    [InlineData("inpaint RUN --image DIGIT", "Option '--mask' is required")]
    [InlineData("inpaint RUN --mask MASK", "either --image or --index says which image; give one of them")]
    [InlineData("inpaint RUN --image DIGIT --index 3 --mask MASK", "either --image or --index says which image; give one of them")]
    [InlineData("inpaint RUN --image DIGIT --mask MASK --method magic", "unknown method 'magic'; there are: replacement, repaint, gradient")]
    [InlineData("inpaint RUN --image DIGIT --mask SMALL", "small.png: it is 5 x 4 pixels, and the samples of this model are 28 x 28")]
    [InlineData("inpaint RUN --image SMALL --mask MASK", "small.png: it is 5 x 4 pixels, and the samples of this model are 28 x 28")]
    [InlineData("inpaint RUN --image COLOUR --mask MASK", "colour.png: it is in colour, and the samples of this model are grey")]
    [InlineData("inpaint RUN --image DIGIT --mask TEXT", "text.png: ")]
    [InlineData("inpaint RUN --image /nowhere.png --mask MASK", "/nowhere.png")]
    [InlineData("inpaint RUN --image DIGIT --mask /nowhere.png", "/nowhere.png")]
    [InlineData("inpaint RUN --image DIGIT --mask WHITE", "white.png: it keeps the whole image, so there is nothing to fill in")]
    [InlineData("inpaint RUN --image DIGIT --mask MASK --method gradient --jump 3", "--jump is for the method repaint, not for gradient")]
    [InlineData("inpaint RUN --image DIGIT --mask MASK --method replacement --resamplings 3", "--resamplings is for the method repaint, not for replacement")]
    [InlineData("inpaint RUN --image DIGIT --mask MASK --weight 3", "--weight is for the method gradient, not for repaint")]
    [InlineData("edit RUN --image DIGIT --guidance 2", "--guidance leads to a class; say to which with --label")]
    [InlineData("edit RUN --image DIGIT --guidance 1.5", "--guidance leads to a class; say to which with --label")]
    [InlineData("edit RUN --image DIGIT --data-dir .", "--data-dir is for --index, which takes images from the run's data")]
    [InlineData("interpolate RUN --seed 5 --index 3 4", "unknown option '--seed' for interpolate")]
    [InlineData("inpaint RUN --image DIGIT --mask MASK --steps 8", "a jump of 10 steps does not fit a walk of 8, whose last is made once: nothing would be resampled; give at most 7, or more steps")]
    [InlineData("inpaint RUN --index 20 --mask MASK", "index must be in [0, 19], not 20")]
    [InlineData("inpaint RUN --index -1 --mask MASK", "index must be in [0, 19], not -1")]
    [InlineData("inpaint RUN --image DIGIT --mask MASK --n 0", "n must be at least 1, not 0")]
    [InlineData("inpaint RUN --image DIGIT --mask MASK --steps 0", "steps must be at least 1, not 0")]
    [InlineData("inpaint RUN --image DIGIT --mask MASK --steps 2 --jump 0", "a jump is at least 1 step long, not 0")]
    [InlineData("inpaint RUN --image DIGIT --mask MASK --steps 2 --jump 1 --resamplings 0", "each stretch is walked at least once, not 0 times")]
    [InlineData("inpaint RUN --image DIGIT --mask MASK --method gradient --weight -2", "the weight of the known part must not be negative, and this one is -2")]
    [InlineData("inpaint RUN --image DIGIT --mask MASK --label 10", "label must be in [0, 9], not 10")]
    [InlineData("inpaint RUN --image DIGIT --mask MASK --out /nowhere/x", "/nowhere/x.png: there is no such folder to write to")]
    [InlineData("inpaint POINTS --image DIGIT --mask MASK", "inpaint is for images, and ")]
    [InlineData("inpaint /nowhere --image DIGIT --mask MASK", "/nowhere: there is no such folder")]
    [InlineData("interpolate RUN --index 3", "--index needs 2 of them, not 1")]
    [InlineData("interpolate RUN --image DIGIT DIGIT DIGIT", "--image needs 2 of them, not 3")]
    [InlineData("interpolate RUN --index 3 4 --n 1", "n must be at least 2, both ends of the way, not 1")]
    [InlineData("edit RUN --image DIGIT --strength 0", "the strength of an edit must be in (0, 1], not 0")]
    [InlineData("edit RUN --image DIGIT --strength 1.5", "the strength of an edit must be in (0, 1], not 1.5")]
    [InlineData("edit FLOW --image DIGIT --strength 1", "the schedule flow of this run ends without; only edit with a --strength below 1 can")]
    [InlineData("inpaint FLOW --image DIGIT --mask MASK --steps 3 --jump 1", "the schedule flow of this run ends without; only edit with a --strength below 1 can")]
    [InlineData("interpolate FLOW --index 3 4", "the schedule flow of this run ends without; only edit with a --strength below 1 can")]
    [InlineData("edit RUN --image DIGIT --strength hard", "Cannot parse argument 'hard' for option '--strength': a number was expected")]
    public void Wrong_input_is_told_in_one_line(string commandLine, string expected)
    {
        string[] arguments = commandLine.Split(' ');
        for (int i = 0; i < arguments.Length; i++)
        {
            arguments[i] = arguments[i] switch
            {
                "RUN" => runs.Images, "POINTS" => runs.Points, "FLOW" => runs.Flow, "DIGIT" => runs.Digit, "MASK" => runs.Mask,
                "COLOUR" => runs.Colour, "SMALL" => runs.Small, "TEXT" => runs.Text, "WHITE" => runs.White, var other => other,
            };
        }
        var error = new StringWriter();
        Assert.Equal(2, Program.Run(arguments, error));
        string text = error.ToString();
        Assert.StartsWith("rawdiffusion: ", text);
        Assert.Contains(expected, text);
        Assert.Single(text.TrimEnd('\n').Split('\n'));
    }

    [Theory]
    [InlineData("inpaint")]
    [InlineData("interpolate")]
    [InlineData("edit")]
    public void Examples_of_the_help_can_be_parsed(string command)
    {
        using var process = CliProcess.Start(command, "--help");
        Assert.Equal(0, process.Finish().ExitCode);
        string[] examples = [.. process.Output.SkipWhile(line => line != "Examples:").Skip(1).Where(line => line.Length > 0)];
        Assert.NotEmpty(examples);
        foreach (string line in examples)
            Assert.Empty(Program.CreateRoot().Parse(line.Trim().Split(' ')[1..]).Errors);
    }

    private static void Execute(string[] arguments)
    {
        var error = new StringWriter();
        Assert.True(Program.Run(arguments, error) == 0, error.ToString());
    }

    /// <summary>Two finished runs, and pictures for them.</summary>
    public sealed class Runs : IDisposable
    {
        private readonly TemporaryFolder _folder = new();

        public Runs()
        {
            TinyMnist.Write(_folder["data"]);
            TinyRun.Start(TinyRun.Config, Points);
            TinyRun.Start(TinyRun.Images(_folder["data"]), Images);
            TinyRun.Start(TinyRun.Images(_folder["data"]).With(TinyRun.Json("""
                { "process": { "schedule": "flow", "parameterisation": "flow-velocity" }, "sampling": { "sampler": "euler" } }
                """)), Flow);
            byte[] digit = new byte[Side * Side], mask = new byte[Side * Side];
            for (int i = 0; i < digit.Length; i++)
                (digit[i], mask[i]) = ((byte)(7 * i), (byte)(i % Side < Side / 2 ? 255 : 0));
            File.WriteAllBytes(Digit, Png.Encode(digit, Side, Side, PngColor.Grey));
            File.WriteAllBytes(Mask, Png.Encode(mask, Side, Side, PngColor.Grey));
            File.WriteAllBytes(Small, Png.Encode(new byte[20], 5, 4, PngColor.Grey));
            File.WriteAllBytes(White, Png.Encode([.. Enumerable.Repeat((byte)255, Side * Side)], Side, Side, PngColor.Grey));
            File.WriteAllBytes(Colour, Png.Encode([.. digit, .. mask, .. digit], Side, Side, PngColor.Rgb));
            File.WriteAllText(Text, "no picture");
        }

        public string Points => _folder["points"];

        public string Flow => _folder["flow"];

        public string Images => _folder["images"];

        public string Digit => _folder["digit.png"];

        public string Mask => _folder["mask.png"];

        public string Small => _folder["small.png"];

        public string Colour => _folder["colour.png"];

        public string White => _folder["white.png"];

        public string Text => _folder["text.png"];

        public void Dispose() => _folder.Dispose();
    }
}
