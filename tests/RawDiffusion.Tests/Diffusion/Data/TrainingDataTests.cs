using RawDiffusion.Backends.Cpu;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>Training data are functions of the sample's number: what a run has seen is one number.</summary>
public class TrainingDataTests
{
    private const int Images = 40;

    public static TheoryData<string> Names => [.. Sets.Keys];

    private static Dictionary<string, ITrainingData> Sets { get; } = new()
    {
        ["points"] = new PointData("eight-gaussians", new EightGaussians()),
        ["images"] = MakeImages(maxShift: 0, mirror: false),
        ["digits"] = new DigitData(colored: false),
        ["coloured digits"] = new DigitData(colored: true),
        ["augmented images"] = MakeImages(maxShift: 2, mirror: true),
    };

    [Theory]
    [MemberData(nameof(Names))]
    public void AStreamIsTheSameHoweverItIsCutIntoBatches(string name)
    {
        var data = Sets[name];
        var whole = data.Draw(5, 37, seed: 3);
        Assert.Equal(data.SampleShape.Prepend(37), whole.X.Shape);
        var parts = new[] { data.Draw(40, 2, seed: 3), data.Draw(5, 1, seed: 3), data.Draw(6, 34, seed: 3) };
        Assert.Equal(whole.X.ToArray(), Values(parts[1]).Concat(Values(parts[2])).Concat(Values(parts[0])));
        if (data.Classes > 0)
        {
            int[] labels = whole.Labels!.ToInt32Array();
            Assert.Equal(labels[35..], parts[0].Labels!.ToInt32Array());
            Assert.Equal(labels[1..35], parts[2].Labels!.ToInt32Array());
            Assert.All(labels, label => Assert.InRange(label, 0, data.Classes - 1));
        }
        Assert.Equal(0, data.Draw(5, 0, seed: 3).X.Count);
        Assert.Throws<ArgumentOutOfRangeException>(() => data.Draw(-1, 1, seed: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => data.Draw(0, -1, seed: 0));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void SeedsHaveStreamsOfTheirOwnAndTheHeldOutSetAnother(string name)
    {
        var data = Sets[name];
        float[] first = Values(data.Draw(0, 20, seed: 0));
        Assert.NotEqual(first, Values(data.Draw(0, 20, seed: 1)));
        Assert.NotEqual(first, Values(data.HeldOut.Draw(0, 20, seed: 0)));
        Assert.Same(data.HeldOut, data.HeldOut.HeldOut);
        Assert.Equal((data.SampleShape, data.Classes), (data.HeldOut.SampleShape, data.HeldOut.Classes));
    }

    /// <summary>A batch of two epochs finds the orders of both.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void AWarmBatchTakesLittleManagedMemory(string name)
    {
        var data = Sets[name];
        var cpu = new CpuBackend();
        for (int i = 0; i < 3; i++)
            DrawInScope(i);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            DrawInScope(0);
        // Tensors and a generator; the values of the batch alone would be 512 bytes or more.
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / 100, 0, 500);

        void DrawInScope(int batch)
        {
            using var scope = new MemoryScope();
            data.Draw(64 * batch, 64, seed: 1, cpu);
        }
    }

    /// <summary>Sets of images are gathered from a copy on the device; whatever comes from the host comes through the same.</summary>
    [SkippableTheory]
    [MemberData(nameof(Names))]
    public void AGpuGetsTheBitsThatTheHostMakes(string name)
    {
        TestNvrtc.Require();
        using var emulated = new CudaBackend(new EmulatedCudaDriver(new EmulatorOptions { Mode = ExecutionMode.Checked }));
        foreach (long first in (long[])[0, 33, 1000])
        {
            Batch expected = Sets[name].Draw(first, 9, seed: 3), actual = Sets[name].Draw(first, 9, seed: 3, emulated);
            Assert.Equal(emulated, actual.X.Device);
            Assert.Equal(expected.X.Shape, actual.X.Shape);
            Assert.Equal(expected.X.ToArray(), actual.X.ToArray());
            Assert.Equal(expected.Labels?.ToInt32Array(), actual.Labels?.ToInt32Array());
        }
    }

    [Fact]
    public void EveryEpochHoldsEachImageOnceInAnOrderOfItsOwn()
    {
        var data = MakeImages(maxShift: 0, mirror: false);
        // Each image is filled with its number.
        float[] pixels = Values(data.Draw(0, 3 * Images, seed: 7));
        int[] order = [.. Enumerable.Range(0, 3 * Images).Select(i => (int)Math.Round((pixels[i * 12] + 1) * 127.5))];
        for (int epoch = 0; epoch < 3; epoch++)
            Assert.Equal(Enumerable.Range(0, Images), order[(epoch * Images)..((epoch + 1) * Images)].Order());
        Assert.NotEqual(order[..Images], order[Images..(2 * Images)]);
        Assert.NotEqual(order[Images..(2 * Images)], order[(2 * Images)..]);
        Assert.Equal(order.Select(image => image % 3), data.Draw(0, 3 * Images, seed: 7).Labels!.ToInt32Array());
        Assert.Equal(Images, data.Count);
    }

    [Fact]
    public void FarEpochsAreReachedAtOnce()
    {
        var data = MakeImages(maxShift: 0, mirror: false);
        const long Far = 1L << 60;
        Assert.Equal(Values(data.Draw(Far, 30, seed: 1)), Values(MakeImages(maxShift: 0, mirror: false).Draw(Far, 30, seed: 1)));
    }

    [Fact]
    public void AugmentationMovesAndMirrorsTheWholeImage()
    {
        // Pixels 1 to 12 of one 3 x 4 image.
        byte[] pixels = [.. Enumerable.Range(1, 12).Select(i => (byte)i)];
        var images = new LabelledImages(pixels, [0], 3, 4, 1, 1);
        Assert.Equal([0, 0, 0, 0, 0, 1, 2, 3, 0, 5, 6, 7], Draw(new ImagePick(0, Down: 1, Right: 1)));
        Assert.Equal([7, 8, 0, 0, 11, 12, 0, 0, 0, 0, 0, 0], Draw(new ImagePick(0, Down: -1, Right: -2)));
        Assert.Equal([4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9], Draw(new ImagePick(0, Mirrored: true)));
        Assert.Equal([0, 4, 3, 2, 0, 8, 7, 6, 0, 12, 11, 10], Draw(new ImagePick(0, Right: 1, Mirrored: true)));
        Assert.Equal(new float[12], Draw(new ImagePick(0, Down: 9)));

        float[] Draw(ImagePick pick) => images.ImageTensor([pick], low: 0, high: 255).ToArray();
    }

    [Fact]
    public void ShiftsAndMirroringsAreEquallyLikely()
    {
        // One image with a bright pixel off its middle shows how it was moved.
        byte[] pixels = new byte[7 * 7];
        pixels[3 * 7 + 4] = 255;
        var images = new LabelledImages(pixels, [0], 7, 7, 1, 1);
        var data = new ImageData("one", new LabelKind("class", ["it"]), images, images) { MaxShift = 1, Mirror = true };
        const int Count = 18_000;
        float[] values = Values(data.Draw(0, Count, seed: 1));
        var seen = new int[49];
        for (int i = 0; i < Count; i++)
            seen[values.AsSpan(i * 49, 49).IndexOf(1)]++;
        // Columns 3 to 5 unmirrored, 1 to 3 mirrored: 18 equally likely cases, column 3 in both halves. Five standard deviations.
        double deviation = 5 * Math.Sqrt(Count / 18.0);
        for (int row = 2; row <= 4; row++)
        {
            foreach (int column in new[] { 1, 2, 4, 5 })
                Assert.Equal(Count / 18.0, seen[row * 7 + column], deviation);
            Assert.Equal(Count / 9.0, seen[row * 7 + 3], 2 * deviation);
        }
        Assert.Equal(1, values.Count(value => value == 1) / (double)Count);
    }

    private static float[] Values(Batch batch) => batch.X.ToArray();

    /// <summary>Images of 2 x 6, image i filled with byte i, its label i mod 3; the held-out ones are brighter.</summary>
    private static ImageData MakeImages(int maxShift, bool mirror)
    {
        LabelledImages Make(int brightness) => new(
            [.. Enumerable.Range(0, Images * 12).Select(i => (byte)(i / 12 + brightness))],
            [.. Enumerable.Range(0, Images).Select(i => (byte)(i % 3))], 2, 6, 1, 3);
        return new ImageData("bytes", new LabelKind("class", ["a", "b", "c"]), Make(0), Make(100)) { MaxShift = maxShift, Mirror = mirror };
    }
}
