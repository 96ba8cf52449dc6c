using System.Buffers.Binary;
using RawDiffusion.Cli;

namespace RawDiffusion.Tests.Cli;

/// <summary>A user's mistake is told in one line that names what and why, with exit code 2 and no stack trace.</summary>
public class WrongInputTests
{
    [Theory]
    [InlineData("train eight-gausians", "unknown preset 'eight-gausians'; did you mean eight-gaussians? there are: eight-gaussians, two-moons, checkerboard, ")]
    [InlineData("train", "train needs a preset: eight-gaussians, two-moons, checkerboard, ")]
    [InlineData("trian", "unknown command 'trian'; did you mean train? there are: train, sample, evaluate, inpaint, interpolate, edit, inspect, data, study, verify, bench, kernels, doctor")]
    [InlineData("", "a command is needed: train, sample, evaluate, inpaint, interpolate, edit, inspect, data, study, verify, bench, kernels, doctor")]
    [InlineData("train eight-gaussians --stpes 5", "unknown option '--stpes' for eight-gaussians; did you mean --steps? (--help lists them)")]
    [InlineData("train eight-gaussians --wonder 5", "unknown option '--wonder' for eight-gaussians (--help lists them)")]
    [InlineData("data --picture x.png", "--picture is for one data set; say which: eight-gaussians, ")]
    [InlineData("data digits --seed 3", "--seed is for the samples that --picture shows")]
    [InlineData("data digits --data-dir .", "--data-dir is for data that come in files, and digits are made on the fly")]
    [InlineData("train eight-gaussians --steps many", "Cannot parse argument 'many' for option '--steps': a whole number was expected")]
    [InlineData("train eight-gaussians --lr fast", "Cannot parse argument 'fast' for option '--lr': a number was expected")]
    [InlineData("train eight-gaussians --seed -1", "Cannot parse argument '-1' for option '--seed': a whole number from 0 on was expected")]
    [InlineData("sample /nowhere --label three", "Cannot parse argument 'three' for option '--label': a whole number was expected")]
    [InlineData("sample", "Required argument missing for command: 'sample'")]
    [InlineData("sample /nowhere", "/nowhere: there is no such folder")]
    [InlineData("evaluate /nowhere", "/nowhere: there is no such folder")]
    [InlineData("inspect /nowhere", "/nowhere: there is no such file or folder")]
    [InlineData("inspect /", "/: this folder is no run, no checkpoint and no model folder")]
    [InlineData("train eight-gaussians --steps 0", "steps must be at least 1, not 0")]
    [InlineData("train eight-gaussians --batch -3", "batch must be at least 1, not -3")]
    [InlineData("train eight-gaussians --lr 0", "lr must be a positive number, not 0")]
    [InlineData("train eight-gaussians --lr NaN", "lr must be a positive number, not NaN")]
    [InlineData("train eight-gaussians --schedule square", "unknown schedule 'square'; there are: linear, cosine, sigmoid, sub-vp, flow")]
    [InlineData("train eight-gaussians --sampler magic", "unknown sampler 'magic'; there are: ddpm, ddim, euler, heun, ")]
    [InlineData("train eight-gaussians --eta 2", "eta must be in [0, 1], not 2")]
    [InlineData("train eight-gaussians --eta 0.5", "eta is for ddim; the sampler is ddpm")]
    [InlineData("train eight-gaussians --label-dropout 0.2", "label-dropout is for a network that is told classes, and this one is not; give --conditional too")]
    [InlineData("train eight-gaussians --data-dir .", "data-dir is for data that come in files, and eight-gaussians are made on the fly")]
    [InlineData("train eight-gaussians --fast-dev-run --steps 100", "--steps does not apply to --fast-dev-run, which makes a few steps of everything")]
    [InlineData("train eight-gaussians --fast-dev-run --samples 1000", "--samples does not apply to --fast-dev-run")]
    [InlineData("train mnist --conditional --guidance-interval 0.3,3", "guidance-interval says where to guide, and samples are not guided")]
    [InlineData("study samplers --models .", "--models is for studies of images, and samplers is none")]
    [InlineData("train eight-gaussians --device tpu", "unknown device 'tpu'; there are: cpu, reference, cuda, emulated")]
    [InlineData("verify --device tpu", "unknown device 'tpu'; there are: cpu, reference, cuda, emulated")]
    [InlineData("verify --device cuda:x", "unknown device 'cuda:x'; GPUs are cuda, cuda:1, cuda:2, ...")]
    [InlineData("verify --device cpu:1", "unknown device 'cpu:1'; there are: cpu, reference, cuda, emulated")]
    [InlineData("verify --device emulated:fast", "unknown device 'emulated:fast'; it is emulated, or emulated: followed")]
    [InlineData("verify --device emulated:checked,seed=-1", "unknown device 'emulated:checked,seed=-1'")]
    [InlineData("verify --device emulated:sm=70", "unknown device 'emulated:sm=70'")]
    [InlineData("sample /nowhere --device tpu", "unknown device 'tpu'")]
    [InlineData("evaluate /nowhere --device cpu", "/nowhere: there is no such folder")]
    [InlineData("verify --device cpu --operation matmull", "no operation is called 'matmull'; did you mean matmul? there are: neg, exp, ")]
    [InlineData("verify --device cpu --seed x", "Cannot parse argument 'x' for option '--seed': a whole number from 0 on was expected")]
    [InlineData("verify cpu", "unknown option 'cpu' for verify")]
    [InlineData("bench matmull --device cpu", "no operation is called 'matmull'; did you mean matmul? there are: matmul, conv2d, ")]
    [InlineData("bench matmul --device cpu --shapes 4096x4096", "matmul: '4096x4096' is no shape: 'x' and a number are missing after '4096x4096'; expected MxNxK[nn|nt|tn|tt], for example 512x512x512")]
    [InlineData("bench --device cpu --shapes 8x8x8", "--shapes needs one operation that they are shapes of: rawdiffusion bench matmul --shapes 1024x1024x1024")]
    [InlineData("bench matmul softmax --device cpu --shapes 8x8", "--shapes needs one operation")]
    [InlineData("bench matmul --device cpu --rung magic", "no rung is called 'magic'; there are: chosen, cublas, ")]
    [InlineData("bench matmul --device cpu --precision fp8", "unknown precision 'fp8'; there are: fp32, tf32, bf16")]
    [InlineData("bench matmul --device cpu --precision bf16", "the cpu device does not compute in bf16; it does in fp32")]
    [InlineData("bench matmul --device cpu --format pdf", "unknown format 'pdf'; there are: table, markdown, csv, json, html")]
    [InlineData("bench matmul --device cpu --seconds -1", "--seconds must be from 0 to 3600")]
    [InlineData("bench matmul --device cpu --seconds long", "Cannot parse argument 'long' for option '--seconds': a number was expected")]
    [InlineData("bench matmul --device reference", "the reference device is a definition, not to be timed; bench measures cpu, cuda and emulated")]
    [InlineData("bench softmax --device cpu --rung naive", "there is nothing to measure: softmax on cpu in fp32 has none of the rungs naive")]
    [InlineData("bench matmul --device cpu --rung vectorized", "no rung is called 'vectorized'; did you mean vectorised? there are: chosen, cublas, ")]
    [InlineData("bench matmul --device tpu", "unknown device 'tpu'; there are: cpu, reference, cuda, emulated")]
    [InlineData("bench matmul --device emulated:fast", "unknown device 'emulated:fast'")]
    [InlineData("kernels", "kernels needs a command: list, compile, ptx, run")]
    [InlineData("kernels disassemble", "unknown command 'disassemble'; there are: list, compile, ptx, run")]
    [InlineData("kernels list warp_speed", "there is no kernel and no file 'warp_speed'; rawdiffusion kernels list shows them")]
    [InlineData("kernels compile softmaxx.cu", "there is no kernel and no file 'softmaxx.cu'; did you mean softmax.cu? rawdiffusion kernels list shows them")]
    [InlineData("kernels compile --arch gtx1080", "'gtx1080' is no GPU architecture; expected something like sm_80, sm_90a or compute_80.")]
    [InlineData("kernels compile --arch sm_80,compute_80", "compute_80 is PTX, which has no registers yet; compile makes machine code: sm_80")]
    [InlineData("kernels run", "Required argument missing for command: 'run'")]
    [InlineData("kernels run /nowhere.cu", "/nowhere.cu: there is no such file")]
    [InlineData("kernels run /nowhere.cu --grid 0", "--grid: '0' is no size; expected something like 8 or 8,4 or 8,4,2")]
    [InlineData("kernels run /nowhere.cu --grid 1,2,3,4", "--grid: '1,2,3,4' has more than three sizes")]
    [InlineData("kernels run /nowhere.cu --block 8x8", "--block: '8x8' is no size")]
    [InlineData("kernels run /nowhere.cu --shared -1 --args 3", "--shared must not be negative")]
    [InlineData("kernels run /nowhere.cu --args three", "--args: 'three' is no argument; 3 is an int, 7L a long, ")]
    [InlineData("kernels run /nowhere.cu --args 3000000000", "--args: '3000000000' is too large for an int; 3000000000L is a long")]
    [InlineData("kernels run /nowhere.cu --args f31:8", "--args: 'f31:8': there is no type 'f31'; there are: f32, f64, f16, i32, u32, i64, u8")]
    [InlineData("kernels run /nowhere.cu --args f32:", "--args: 'f32:': '' is no number of elements")]
    [InlineData("kernels run /nowhere.cu --args f32:0", "'0' is no number of elements")]
    [InlineData("kernels run /nowhere.cu --args f32:-8", "'-8' is no number of elements")]
    [InlineData("kernels run /nowhere.cu --args f64:2000000000", "has more than 1024 MiB")]
    [InlineData("kernels run /nowhere.cu --args f32:8=ones", "'ones' is nothing to fill a buffer with; there are: zeros, random, range, undefined and numbers")]
    [InlineData("kernels run /nowhere.cu --checked --counted", "--checked and --counted are two ways to execute; give one of them")]
    [InlineData("kernels run /nowhere.cu --budget 0", "--budget must be at least 1")]
    [InlineData("kernels run /nowhere.cu --seed x", "Cannot parse argument 'x' for option '--seed': a whole number from 0 on was expected")]
    [InlineData("kernels ptx", "Required argument missing for command: 'ptx'")]
    [InlineData("kernels ptx shaping", "'shaping' is only a part of a name; there are: shaping_copy_b16, ")]
    [InlineData("kernels ptx shaping_join_b32 --arch sm_80", "sm_80 is machine code; PTX is made for compute_80")]
    [InlineData("kernels ptx shaping_join_b32 --operator silu", "shaping_join_b32 is not made for operators; --operator does not apply to it")]
    [InlineData("kernels ptx elementwise_unary_f32", "elementwise_unary_f32 is made for each operator; give --operator, one of: abs, ")]
    [InlineData("kernels ptx elementwise_unary_f32 --operator add", "give --operator, one of: abs, ")]
    [InlineData("train eight-gaussians --sampling-steps 0", "sampling-steps must be at least 1, not 0")]
    [InlineData("train eight-gaussians --accumulate 3", "accumulate must divide the batch of 512, which 3 does not")]
    [InlineData("train eight-gaussians --steps 2000000000", "steps must be at most 1000000000, not 2000000000")]
    [InlineData("train eight-gaussians --clip-norm -1", "clip-norm must be a positive number, not -1")]
    [InlineData("train eight-gaussians --ema-decay 1.5", "ema-decay must be in [0, 1), not 1.5")]
    [InlineData("train eight-gaussians --time-limit 0", "time-limit must be a positive number, not 0")]
    [InlineData("train eight-gaussians --label-dropout 2", "label-dropout must be in [0, 1], not 2")]
    [InlineData("train mnist --guidance 2", "guidance needs a model that is told classes, and this one is not; train one with --conditional")]
    [InlineData("train mnist --classifier-guidance NaN", "classifier-guidance must be a number, not NaN")]
    [InlineData("train eight-gaussians --classifier-guidance 2", "classifier-guidance needs data with classes, and eight-gaussians has none")]
    [InlineData("train mnist --guidance-interval 0.3,3", "guidance-interval needs a model that is told classes")]
    [InlineData("train mnist --guidance-rescale 0.7", "guidance-rescale needs a model that is told classes")]
    [InlineData("train mnist --conditional --label-dropout 0 --guidance 2", "guidance needs a model that knows samples both with their class and without, and this one was told every class")]
    [InlineData("train mnist --conditional --label-dropout 1 --guidance 2", "and this one was told no class")]
    [InlineData("train mnist --conditional --guidance NaN", "guidance must be a number, not NaN")]
    [InlineData("train mnist --conditional --guidance 2 --guidance-interval 3", "guidance-interval must be two noise levels (sigma / alpha), 0 <= low < high, not 3")]
    [InlineData("train mnist --conditional --guidance 2 --guidance-interval 3,0.3", "0 <= low < high, not 3, 0.3")]
    [InlineData("train mnist --conditional --guidance 2 --guidance-interval -1,NaN", "0 <= low < high, not -1, NaN")]
    [InlineData("train mnist --conditional --guidance 2 --guidance-interval low,high", "--guidance-interval: 'low' is no number; expected something like 0.3,3")]
    [InlineData("train mnist --conditional --guidance 2 --guidance-rescale 1.5", "guidance-rescale must be in [0, 1], not 1.5")]
    [InlineData("train colour-digits --attributes", "attributes are told to a conditional network; give --conditional too")]
    [InlineData("train two-moons --conditional --attributes", "conditional needs data with classes, and two-moons has none")]
    [InlineData("train colour-digits --guidance-of colour=3", "guidance-of needs a model that is told classes")]
    [InlineData("train colour-digits --conditional --guidance-of colour=3", "guidance-of has a scale for 'colour', which the model is not told; it is told: digit")]
    [InlineData("train eight-gaussians --parameterisation noise", "unknown parameterisation 'noise'; there are: epsilon, x0, velocity, score, ")]
    [InlineData("train eight-gaussians --conditional", "conditional needs data with classes, and eight-gaussians has none")]
    [InlineData("train --config /nowhere.json", "/nowhere.json: there is no such file")]
    [InlineData("train --resume /nowhere", "/nowhere: there is no such folder")]
    [InlineData("train --resume /", "/: this folder holds no run: there is no config.json in it")]
    [InlineData("train --config a --resume b", "--config begins a run and --resume goes on with one; give one of them")]
    [InlineData("train --resume b --schedule cosine", "a run goes on with its own process; it cannot be changed with --resume")]
    [InlineData("train --resume b --out c", "--out and --fast-dev-run are for new runs, not for --resume")]
    [InlineData("study", "study needs a name: all, or one of: forward-process")]
    [InlineData("study alchemy", "there is no study 'alchemy'; there are: forward-process")]
    [InlineData("study --table /nowhere/at/all", "/nowhere/at/all: there is no such folder")]
    [InlineData("study --table studies --quick", "--table runs no study, so --quick does not apply")]
    [InlineData("study samplers --quick --device cpu --out /dev/null/x", "/dev/null/x")]
    [InlineData("study samplers --table studies", "--table runs no study; 'samplers' is one too many")]
    [InlineData("train mnist-classifier --offline", "t10k-labels-idx1-ubyte.gz (4,542 bytes, sha256 f7ae60f9")]
    [InlineData("train fashion-mnist --offline", "fashion-mnist is not in ")]
    [InlineData("train cifar10 --offline", "or into a folder named with --data-dir: cifar-10-binary.tar.gz (170,052,171 bytes, sha256 c4a38c50")]
    [InlineData("data mnits", "unknown data set 'mnits'; there are: eight-gaussians, ")]
    [InlineData("data mnist --data-dir /nowhere/at/all", "/nowhere/at/all: there is no such folder; mnist needs one with train-images-idx3-ubyte.gz, ")]
    [InlineData("data digits --picture /nowhere/at/all.png", "/nowhere/at/all.png: there is no such folder to write to")]
    [InlineData("train mnist-classifier --data-dir /nowhere/at/all", "/nowhere/at/all")]
    public void Is_named_in_one_line(string commandLine, string expected)
    {
        var error = new StringWriter();
        int exitCode = Program.Run(commandLine.Split(' ', StringSplitOptions.RemoveEmptyEntries), error);

        AssertOneLine(expected, exitCode, error);
    }

    [Fact]
    public void A_folder_that_holds_a_run_is_not_overwritten()
    {
        using var folder = new TemporaryFolder();
        string config = Path.Combine(folder.Path, "config.json");
        File.WriteAllText(config, "mine");
        var error = new StringWriter();
        int exitCode = Program.Run(["train", "eight-gaussians", "--out", folder.Path], error);

        AssertOneLine("already holds a run", exitCode, error);
        Assert.Equal("mine", File.ReadAllText(config));
    }

    [Theory]
    [InlineData("truncated")]
    [InlineData("garbage")]
    [InlineData("empty")]
    public void A_broken_data_file_is_named(string damage)
    {
        using var folder = new TemporaryFolder();
        byte[] contents = damage switch
        {
            // A header that promises 60,000 images, and one byte of them.
            "truncated" => [.. Header(0x803, 60_000, 28, 28), 7],
            "garbage" => [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17],
            _ => [],
        };
        foreach (string name in new[] { "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte" })
            File.WriteAllBytes(Path.Combine(folder.Path, name), contents);
        var error = new StringWriter();
        int exitCode = Program.Run(["train", "mnist-classifier", "--data-dir", folder.Path, "--out", Path.Combine(folder.Path, "run")], error);

        AssertOneLine("-ubyte", exitCode, error);
    }

    private static void AssertOneLine(string expected, int exitCode, StringWriter error)
    {
        string text = error.ToString();
        Assert.Contains(expected, text);
        Assert.Equal(2, exitCode);
        Assert.StartsWith("rawdiffusion: ", text);
        Assert.Single(text.TrimEnd('\n').Split('\n'));
        Assert.DoesNotContain("   at ", text);
    }

    private static byte[] Header(params int[] words)
    {
        var bytes = new byte[4 * words.Length];
        for (int i = 0; i < words.Length; i++)
            BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(4 * i), words[i]);
        return bytes;
    }
}
