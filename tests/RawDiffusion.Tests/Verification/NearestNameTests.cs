using RawDiffusion.Verification;

namespace RawDiffusion.Tests;

/// <summary>A name with a slip of the hand finds the one that was meant; another word finds none.</summary>
public class NearestNameTests
{
    private static readonly string[] s_names = ["matmul", "conv2d", "conv2dGradInput", "softmax", "sum", "sub"];

    [Theory]
    [InlineData("matmull", "matmul")]
    [InlineData("mtmul", "matmul")]
    [InlineData("MATMUL", "matmul")]
    [InlineData("sotfmax", "softmax")]
    [InlineData("conv", "conv2d")]
    [InlineData("conv2dgradinputs", "conv2dGradInput")]
    [InlineData("summ", "sum")]
    [InlineData("usm", "sum")]
    [InlineData("dance", null)]
    [InlineData("x", null)]
    [InlineData("", null)]
    public void The_nearest_name_is_found(string name, string? nearest) => Assert.Equal(nearest, NearestName.Of(name, s_names));

    [Fact]
    public void The_hint_stands_before_a_list()
    {
        Assert.Equal("did you mean softmax? ", NearestName.Hint("softmx", s_names));
        Assert.Equal("", NearestName.Hint("dance", s_names));
    }
}
