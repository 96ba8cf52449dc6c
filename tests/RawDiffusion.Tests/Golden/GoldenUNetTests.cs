using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.IO;
using Xunit.Abstractions;

namespace RawDiffusion.Tests;

/// <summary>
/// Whole UNets against PyTorch: output, loss and every gradient to 1e-4 of each tensor's largest absolute value. Folders of
/// tests/golden hold a model as diffusers saves it and io.safetensors; unet2d and unet2d-google were made with diffusers 0.40, the
/// others by make_unet.py.
/// </summary>
public class GoldenUNetTests(ITestOutputHelper log)
{
    private const double Tolerance = 1e-4;

    public static TheoryData<string> Folders => [.. FolderNames];

    internal static string[] FolderNames => [.. Directory.GetDirectories(Root, "unet2d*").Select(path => Path.GetFileName(path)).Order()];

    private static string Root => Path.Combine(AppContext.BaseDirectory, "golden");

    [Theory]
    [MemberData(nameof(Folders))]
    public void OutputLossAndEveryGradientAgreeOnTheCpu(string folder) => Compare(folder, Device.Cpu);

    /// <summary>The naive loops in float64, on the networks that are small enough for them.</summary>
    [Theory]
    [InlineData("unet2d-google")]
    [InlineData("unet2d-learned")]
    [InlineData("unet2d-mish")]
    [InlineData("unet2d-scale-shift")]
    public void OutputLossAndEveryGradientAgreeOnReference(string folder) => Compare(folder, Device.Reference);

    private void Compare(string folder, Backend device)
    {
        var model = ModelFolder.Load(Path.Combine(Root, folder), device);
        using var io = Safetensors.Load(Path.Combine(Root, folder, "io.safetensors"));
        var x = Channels.Last(io.Read("x_nchw", device)).RequireGrad();
        var y = model.Forward(x, io.Read("t", device), io.Contains("labels") ? io.Read("labels", device) : null);
        var loss = F.MseLoss(y, Channels.Last(io.Read("target_nchw", device)));
        loss.Backward();

        var comparison = new Comparison(io);
        comparison.Add("output_nchw", y);
        comparison.Add("loss", loss.Reshape(1));
        comparison.Add("grad.x_nchw", x.Grad!);
        foreach (var (name, parameter) in model.NamedParameters().Where(p => p.Parameter.RequiresGrad))
            comparison.Add("grad." + name, parameter.Grad!);
        log.WriteLine($"{folder} on {device.Name}: {comparison}");
        comparison.AssertAgreement();
    }

    /// <summary>Holds results against those of a file, which must have them all.</summary>
    private sealed class Comparison(SafetensorsFile io)
    {
        private readonly HashSet<string> _left = [.. io.Entries.Select(entry => entry.Name).Except(["x_nchw", "t", "labels", "target_nchw"])];
        private readonly List<(string Name, double Error)> _errors = [];

        public void Add(string name, Tensor actual)
        {
            Assert.True(_left.Remove(name), $"there is no {name} in the file");
            var expected = Channels.Last(io.Read(name, actual.Device));
            Assert.Equal(expected.Shape, actual.Shape);
            double[] e = expected.ToDoubleArray(), a = actual.ToDoubleArray();
            double scale = e.Max(Math.Abs), error = e.Zip(a, (x, y) => Math.Abs(x - y)).Max();
            if (name.EndsWith(".to_k.bias"))
            {
                // A key's bias adds the same to all scores of a query, which softmax does not see: the gradient is zero, and what
                // either side has is rounding of the terms that cancel, which are as large as the gradient of the query's bias.
                string query = name.Replace(".to_k.", ".to_q.");
                scale = io.Read(query, Device.Reference).ToDoubleArray().Max(Math.Abs);
            }
            _errors.Add((name, error / scale));
        }

        public void AssertAgreement()
        {
            Assert.Empty(_left);
            Assert.True(_errors.All(e => e.Error <= Tolerance), string.Join('\n', _errors.Where(e => !(e.Error <= Tolerance)).Select(e => $"{e.Name}: {e.Error:e1}")));
        }

        public override string ToString()
        {
            var (name, error) = _errors.MaxBy(e => e.Error);
            return FormattableString.Invariant($"{_errors.Count} tensors, worst relative error {error:e1} in {name}");
        }
    }

    private static class Channels
    {
        /// <summary>NCHW to NHWC, or OIHW to OHWI.</summary>
        public static Tensor Last(Tensor x) => x.Rank == 4 ? x.Permute(0, 2, 3, 1) : x;
    }
}
