using RawDiffusion.Backends;

namespace RawDiffusion.Tests;

/// <summary>Inputs and comparisons for tests that run an operation on both devices.</summary>
internal static class TestTensors
{
    /// <summary>Uniform in [-2, 2), rounded to float32 so that both devices see the same numbers.</summary>
    public static Tensor Random(int seed, Shape shape, Backend device)
    {
        var random = new Random(seed);
        var values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)(random.NextDouble() * 4 - 2);
        return Tensor.From(values, shape, device);
    }

    /// <summary>PyTorch's float32 tolerances, scaled by the square root of the number of terms in a sum.</summary>
    public static void AssertClose(Tensor expected, Tensor actual, int terms = 1)
    {
        Assert.Equal(expected.Shape, actual.Shape);
        double[] e = expected.ToDoubleArray(), a = actual.ToDoubleArray();
        for (int i = 0; i < e.Length; i++)
        {
            double tolerance = (1e-5 + 1.3e-6 * Math.Abs(e[i])) * Math.Sqrt(Math.Max(1, terms));
            Assert.True(Math.Abs(e[i] - a[i]) <= tolerance || e[i].Equals(a[i]), $"element {i} of {expected.Shape}: {a[i]} instead of {e[i]}");
        }
    }
}
