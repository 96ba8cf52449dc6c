using RawDiffusion.Diffusion.Metrics;

namespace RawDiffusion.Tests;

public class RadixSortTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(31)]
    [InlineData(10_007)]
    public void SortsAsTheLibraryDoes(int count)
    {
        var random = new Random(count);
        float[] values = new float[count], spare = new float[count + 3];
        for (int i = 0; i < count; i++)
            values[i] = (i % 5) switch { 0 => (random.NextSingle() - 0.5f) * 1e30f, 1 => random.Next(-3, 4), 2 => float.Epsilon * random.Next(-9, 9), _ => random.NextSingle() - 0.5f };
        float[] expected = [.. values];
        Array.Sort(expected);
        RadixSort.Sort(values, spare);
        Assert.Equal(expected, values);
    }

    [Fact]
    public void InfinitiesAreTheExtremes()
    {
        float[] values = [1, float.PositiveInfinity, -1, float.NegativeInfinity, float.MaxValue, float.MinValue];
        RadixSort.Sort(values, new float[6]);
        Assert.Equal([float.NegativeInfinity, float.MinValue, -1, 1, float.MaxValue, float.PositiveInfinity], values);
    }
}
