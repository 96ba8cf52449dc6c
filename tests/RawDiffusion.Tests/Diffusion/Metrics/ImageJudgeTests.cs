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

    /// <summary>What a classifier was trained on it knows better than what it has not seen: no floor may be made of it.</summary>
    [Theory]
    [InlineData(null, 300, 300, 10_000)]
    [InlineData(1000, 300, 300, 700)]
    [InlineData(1000, 700, 500, 500)]
    [InlineData(5, 300, 2, 3)]
    public void The_floor_is_between_images_that_the_classifier_has_not_seen(int? heldOut, int n, int count, int others)
    {
        var judge = new ImageJudge(TrainedClassifier(), new HalvesData(0) { Forbidden = true, HeldOutCount = heldOut });
        var real = judge.Judge(s_data.Draw(0, n, seed: 9).X).Real;
        Assert.Equal((count, others), (real.Count, real.OtherCount));
        Assert.True(double.IsFinite(real.Distances.Frechet) && double.IsFinite(real.SpatialDistance));
    }

    /// <summary>An image in both sets would bring them nearer: each draw is compared with exactly those that it leaves.</summary>
    [Fact]
    public void No_image_is_on_both_sides_of_the_floor()
    {
        // Two images held out: one against the other, at the distance of two sets of one, which have no spread.
        Assert.True(double.IsNaN(new ImageJudge(TrainedClassifier(), new HalvesData(0) { HeldOutCount = 3 }).Judge(s_data.Draw(0, 10, 9).X).Floor));
        var classifier = TrainedClassifier();
        var all = new HalvesData(1) { Limit = 40 };
        var judged = new ImageJudge(classifier, new HalvesData(0) { HeldOutCount = 40 }).Judge(s_data.Draw(0, 20, 9).X);
        using var noGrad = new NoGrad();
        double expected = 0;
        foreach (int start in new[] { 0, 20 })
        {
            FeatureStatistics one = new(ConvClassifier.FeatureCount), other = new(ConvClassifier.FeatureCount);
            one.Add(classifier.Features(all.Draw(start, 20, 0).X));
            other.Add(classifier.Features(all.Draw(20 - start, 20, 0).X));
            expected += FrechetDistance.Between(one, other) / 2;
        }
        Assert.Equal(expected, judged.Floor, 1e-6 * expected);
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

        /// <summary>Of how many the held-out ones are; null for no end of them.</summary>
        public int? HeldOutCount { get; init; }

        public int? Limit { get; init; }

        /// <summary>Whether nothing may be drawn.</summary>
        public bool Forbidden { get; init; }

        public int? Count => Limit;

        public ITrainingData HeldOut => new HalvesData(stream + 1) { Limit = HeldOutCount };

        public void Fill(Batch batch, long first, ulong seed)
        {
            const int PerSample = Size * Size;
            int count = batch.X.Shape[0];
            Assert.False(Forbidden, "a training image was drawn");
            Assert.True(Limit is null || first + count <= Limit, "an image was drawn twice");
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
