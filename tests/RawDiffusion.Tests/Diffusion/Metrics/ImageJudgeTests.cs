using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests;

/// <summary>The judge on images that a classifier learns in a moment: bright on the left or bright on the right.</summary>
public class ImageJudgeTests
{
    private const int Size = 8;

    private static readonly HalvesData s_data = new(0);

    private readonly ImageJudge _judge = new(TrainedClassifier(), s_data);

    [Fact]
    public void RealImagesAreAtTheFloorAndJudgedRight()
    {
        var batch = s_data.Draw(5000, 400, seed: 9);
        var judgement = _judge.Judge(batch.X, batch.Labels);
        Assert.Equal(400, judgement.Count);
        Assert.Equal(1, judgement.Right);
        Assert.Equal(1, judgement.Confident);
        // What one draw of two clusters scatters by is mostly its share of the classes, squared: chi-square of one degree, which
        // exceeds four times its mean in one draw of twenty. The draw is always the same one.
        Assert.InRange(judgement.Distance / judgement.Floor, 0, 4);
    }

    [Fact]
    public void SharesAreThoseOfTheClassesShown()
    {
        var batch = s_data.Draw(0, 1000, seed: 9);
        double right = batch.Labels!.ToInt32Array().Average();
        var shares = _judge.Judge(batch.X).ClassShares;
        Assert.Equal(right, shares[1], 12);
        Assert.Equal(1, shares.Sum(), 12);
    }

    [Fact]
    public void WithoutLabelsNothingIsSaidOfRightAndWrong() => Assert.Null(_judge.Judge(s_data.Draw(0, 10, 0).X).Right);

    [Fact]
    public void ImagesOfTheWrongClassAreWrong()
    {
        var batch = s_data.Draw(0, 100, seed: 9);
        var mirrored = Tensor.Concat([batch.X.Slice(2, Size / 2, Size / 2), batch.X.Slice(2, 0, Size / 2)], 2);
        Assert.Equal(0, _judge.Judge(mirrored, batch.Labels).Right);
    }

    [Fact]
    public void NoiseIsFarAboveTheFloor()
    {
        var judgement = _judge.Judge(Tensor.Randn(new Generator(3), [400, Size, Size, 1]));
        Assert.True(judgement.Distance > 20 * judgement.Floor, $"{judgement.Distance} against {judgement.Floor}");
    }

    [Fact]
    public void WhatCannotBeJudgedIsRefused()
    {
        Assert.Contains("[N, 8, 8, 1]", Assert.Throws<ArgumentException>(() => _judge.Judge(Tensor.Ones([3, 8, 8, 3]))).Message);
        Assert.Throws<ArgumentException>(() => _judge.Judge(Tensor.Ones([1, 8, 8, 1])));
        Assert.Throws<ArgumentException>(() => _judge.Judge(Tensor.Ones([3, 8, 8, 1]), Tensor.From([1, 2], [2])));
        Assert.Throws<ArgumentException>(() => new ImageJudge(TrainedClassifier(), new PointData("eight-gaussians", new EightGaussians())));
    }

    private static ConvClassifier TrainedClassifier()
    {
        var model = new ConvClassifier(new Generator(1), size: Size, classes: 2);
        var optimizer = new AdamW(model.NamedParameters(), 3e-3);
        for (int step = 0; step < 30; step++)
        {
            using var scope = new MemoryScope();
            var batch = s_data.Draw(step * 64, 64, seed: 1);
            F.CrossEntropy(model.Forward(batch.X), batch.Labels!).Backward();
            optimizer.Step();
            optimizer.ZeroGrad();
        }
        return model;
    }

    private sealed class HalvesData(ulong stream) : ITrainingData
    {
        public string Name => "halves";

        public Shape SampleShape => [Size, Size, 1];

        public IReadOnlyList<LabelKind> LabelKinds => [new("half", ["left", "right"])];

        public int? Count => null;

        public ITrainingData HeldOut => new HalvesData(stream + 1);

        public void Fill(Batch batch, long first, ulong seed)
        {
            const int PerSample = Size * Size;
            int count = batch.X.Shape[0];
            float[] pixels = new float[count * PerSample];
            int[] labels = new int[count];
            for (int n = 0; n < count; n++)
            {
                var noise = Tensor.Rand(new Generator(seed, stream, (ulong)(first + n) * PerSample), [PerSample + 1]).ToArray();
                labels[n] = noise[PerSample] < 0.5 ? 0 : 1;
                for (int i = 0; i < PerSample; i++)
                    pixels[n * PerSample + i] = noise[i] - (i % Size / (Size / 2) == labels[n] ? 0 : 1);
            }
            batch.X.CopyFrom(pixels);
            batch.Labels!.CopyFrom(labels);
        }
    }
}
