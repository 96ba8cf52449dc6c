using RawDiffusion.Diffusion.Models;

namespace RawDiffusion.Tests.Diffusion.Models;

public class ModelTests
{
    [Fact]
    public void The_mlp_denoiser_answers_in_the_shape_of_its_input_and_knows_the_time()
    {
        var model = new MlpDenoiser(new Generator(1));
        var x = Tensor.Ones([2, 2]);
        var y = model.Forward(x, Tensor.From([0f, 900], [2])).ToArray();

        Assert.Equal(4, y.Length);
        Assert.NotEqual(y[..2], y[2..]);
        Assert.Equal(
            ["time.weight", "time.bias", "hidden.0.weight", "hidden.0.bias", "hidden.1.weight", "hidden.1.bias", "hidden.2.weight", "hidden.2.bias", "output.weight", "output.bias"],
            model.NamedParameters().Select(p => p.Name));
    }

    [Fact]
    public void The_mlp_denoiser_sends_gradients_to_every_parameter()
    {
        var model = new MlpDenoiser(new Generator(1), dimensions: 3, width: 8, layers: 2, timeWidth: 4);
        model.Forward(Tensor.Ones([5, 3]), Tensor.Ones([5])).Sum().Backward();

        Assert.All(model.Parameters(), p => Assert.NotNull(p.Grad));
    }

    [Theory]
    [InlineData(28, 1)]
    [InlineData(32, 3)]
    [InlineData(9, 1)]
    public void The_classifier_gives_logits_and_features_for_images_of_its_size(int size, int channels)
    {
        var model = new ConvClassifier(new Generator(1), size: size, channels: channels, classes: 7);
        var x = Tensor.Randn(new Generator(2), [3, size, size, channels]);

        Assert.Equal(new Shape(3, 7), model.Forward(x).Shape);
        Assert.Equal(new Shape(3, ConvClassifier.FeatureCount), model.Features(x).Shape);
        model.Forward(x).Sum().Backward();
        Assert.All(model.Parameters(), p => Assert.NotNull(p.Grad));
    }

    [Fact]
    public void An_impossible_classifier_is_refused()
    {
        Assert.Throws<ArgumentException>(() => new ConvClassifier(new Generator(1), size: 7));
        Assert.Throws<ArgumentException>(() => new ConvClassifier(new Generator(1), width: 24));
    }

    [Fact]
    public void The_models_agree_on_both_devices()
    {
        var x = Tensor.Randn(new Generator(2), [2, 12, 12, 1], Device.Reference);
        var reference = new ConvClassifier(new Generator(1), Device.Reference, size: 12);
        var cpu = new ConvClassifier(new Generator(1), Device.Cpu, size: 12);
        cpu.LoadStateDict(reference.StateDict());

        // Logits near 1 through five layers in float32.
        foreach (var (e, a) in reference.Forward(x).ToDoubleArray().Zip(cpu.Forward(x.To(Device.Cpu)).ToDoubleArray()))
            Assert.Equal(e, a, 1e-5);
    }
}
