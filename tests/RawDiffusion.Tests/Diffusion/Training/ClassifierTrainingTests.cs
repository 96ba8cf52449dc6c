using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Training;

namespace RawDiffusion.Tests.Diffusion.Training;

/// <summary>Classifiers learn what they are for within some steps: of an attribute, and of noised images. By chance they would be right once in ten times.</summary>
public class ClassifierTrainingTests
{
    private const int Tested = 200;

    [Fact]
    public void A_classifier_can_be_of_any_attribute()
    {
        var data = new DigitData(colored: true);
        var model = ClassifierTraining.Train(data, steps: 30, 0, Device.Cpu, SilentReporter.Instance, default, kind: 1);
        var (x, _, attributes) = data.HeldOut.Draw(0, Tested, 0);
        Assert.Equal(new Shape(Tested, 10), model.Forward(x).Shape);
        Assert.InRange(Right(model.Forward(x), attributes!.Slice(1, 1, 1).Reshape(Tested)), 0.6, 1);
    }

    [Fact]
    public void A_classifier_of_noised_images_knows_clean_ones_better()
    {
        var data = new DigitData(colored: false);
        var process = new CosineSchedule();
        var model = ClassifierTraining.TrainNoisy(
            new NoisyImageClassifier(new Generator(1), Device.Cpu, width: 16), data, process, steps: 40, 0, SilentReporter.Instance, default);
        var (x0, labels, _) = data.HeldOut.Draw(0, Tested, 0);
        double At(double ratio)
        {
            double t = process.TimeOf(ratio);
            var x = x0 * process.Alpha(t) + Tensor.Randn(new Generator(2), x0.Shape) * process.Sigma(t);
            return Right(model.Forward(x, Tensor.Full([Tested], process.NetworkTime(t))), labels!);
        }

        double clean = At(0.1), noisy = At(10);
        Assert.InRange(clean, 0.5, 1);
        Assert.True(noisy < clean, $"{noisy} of noisy and {clean} of clean digits are told");
    }

    private static double Right(Tensor logits, Tensor labels) =>
        logits.ArgMax(1).ToInt32Array().Zip(labels.ToInt32Array(), (guess, label) => guess == label ? 1.0 : 0).Average();
}
