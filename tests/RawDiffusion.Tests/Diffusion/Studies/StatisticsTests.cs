using RawDiffusion.Diffusion.Studies;

namespace RawDiffusion.Tests.Diffusion.Studies;

public class StatisticsTests
{
    [Fact]
    public void Mean_deviation_and_standard_error_are_those_computed_by_hand()
    {
        // Squares about 4: 9 + 1 + 1 + 9, over 3.
        double deviation = Math.Sqrt(20.0 / 3);
        Assert.Equal((4.0, deviation), Statistics.Moments([1, 3, 5, 7]));
        Assert.Equal((4.0, deviation / 2), Statistics.MeanWithError([1, 3, 5, 7]));
    }

    [Fact]
    public void A_single_number_does_not_scatter() => Assert.Equal((3.0, 0.0), Statistics.MeanWithError([3]));
}
