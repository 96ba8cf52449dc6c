using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Editing;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Tests.Diffusion.Editing;

public class KnownPartTests
{
    [Fact]
    public void A_mask_of_height_and_width_is_for_all_images_and_channels()
    {
        var x = Tensor.Full([2, 2, 3, 3], 5);
        var known = new KnownPart(x, Tensor.From([1.0, 0, 0, 0, 1, 1], [2, 3, 1]));
        float[] filled = known.Fill(Tensor.Zeros(x.Shape)).ToArray();
        float[] image = [5, 5, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 5];
        Assert.Equal([.. image, .. image], filled);
    }

    /// <summary>A sum of products would carry over what is not known, be it not a number.</summary>
    [Fact]
    public void What_lies_behind_the_mask_is_never_looked_at()
    {
        var known = new KnownPart(Tensor.From([1.0, double.NaN], [1, 2]), Tensor.From([1.0, 0], [2]));
        Assert.Equal([1f, 2f], known.Fill(Tensor.From([double.NaN, 2.0], [1, 2])).ToArray());
        Assert.Equal([1f, 0f], known.X.ToArray());
        var process = new LinearSchedule();
        var guided = Inpainting.Guide(Denoiser.FromFunction((x, _) => x, process, Parameterisation.X0), known);
        Assert.All(guided.X0(Tensor.Ones([1, 2]), 0.5).ToArray(), value => Assert.True(float.IsFinite(value), $"{value}"));
        var image = new KnownPart(Tensor.From([1.0, double.NaN], [1, 1, 2, 1]), Tensor.From([1.0, 0], [1, 2, 1]));
        Assert.Equal([1f, 1, 0, 0], MaskConditioning.Channels(image).ToArray());
    }

    [Theory]
    [InlineData(2, 4)]
    [InlineData(3)]
    [InlineData(1, 2, 3, 3)]
    public void A_mask_of_another_size_is_refused(params int[] extents)
    {
        var error = Assert.Throws<ArgumentException>(() => new KnownPart(Tensor.Zeros([2, 3, 2]), Tensor.Ones(new Shape(extents))));
        Assert.Contains($"a mask of shape {new Shape(extents)} does not fit samples of shape [2, 3, 2]", error.Message);
    }

    [Theory]
    [InlineData(0.5)]
    [InlineData(-1)]
    [InlineData(double.NaN)]
    public void A_mask_that_is_not_0_or_1_is_refused(double value)
    {
        var error = Assert.Throws<ArgumentException>(() => new KnownPart(Tensor.Zeros([1, 2]), Tensor.From([1, value], [2])));
        Assert.Contains(FormattableString.CurrentCulture($"this one has the value {value}"), error.Message);
    }

    [Fact]
    public void Samples_need_an_axis_to_be_numbered_along()
    {
        Assert.Contains("not [3]", Assert.Throws<ArgumentException>(() => new KnownPart(Tensor.Zeros([3]), Tensor.Ones([3]))).Message);
        Assert.Throws<ArgumentException>(() => new KnownPart(Tensor.Zeros([2, 2]), Tensor.Ones([2])).Fill(Tensor.Zeros([1, 2])));
    }
}
