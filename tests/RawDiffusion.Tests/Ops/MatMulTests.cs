namespace RawDiffusion.Tests;

public class MatMulTests
{
    [Fact]
    public void MultipliesByHand()
    {
        var a = Tensor.From([1.0, 2, 3, 4, 5, 6], [2, 3], Device.Reference);
        var b = Tensor.From([7.0, 8, 9, 10, 11, 12], [3, 2], Device.Reference);
        Assert.Equal([58, 64, 139, 154], a.MatMul(b).ToDoubleArray());
        Assert.Equal([39, 49, 59, 54, 68, 82, 69, 87, 105], a.MatMul(b, transposeA: true, transposeB: true).ToDoubleArray());
    }

    [Fact]
    public void LinearReadsWeightsAsOutByIn()
    {
        var x = Tensor.From([1.0, 2, 3], [1, 3], Device.Reference);
        var weight = Tensor.From([1.0, 0, 0, 0, 10, 100], [2, 3], Device.Reference);
        Assert.Equal([1.5, 319], F.Linear(x, weight, Tensor.From([0.5, -1], [2], Device.Reference)).ToDoubleArray());
    }

    [Theory]
    [InlineData(64, 64, 64)]
    [InlineData(6, 16, 1)]
    [InlineData(200, 300, 500)]
    [InlineData(512, 2, 128)]
    [InlineData(2, 512, 1000)]
    [InlineData(20, 30, 5000)]
    [InlineData(3100, 520, 6)]
    [InlineData(13, 3200, 20)]
    public void SumsOfSmallIntegersAreExact(int m, int n, int k)
    {
        // Products and partial sums are whole numbers below 2^24, so any order of summation must give the same float32 exactly.
        var random = new Random(1);
        double[] a = Integers(random, m * k), b = Integers(random, k * n), bias = Integers(random, n);
        foreach (bool transposeA in new[] { false, true })
        {
            foreach (bool transposeB in new[] { false, true })
            {
                Tensor Product(Backends.Backend device) => Tensor.From(a, transposeA ? [k, m] : [m, k], device)
                    .MatMul(Tensor.From(b, transposeB ? [n, k] : [k, n], device), transposeA, transposeB);
                Assert.Equal(Product(Device.Reference).ToArray(), Product(Device.Cpu).ToArray());
            }
        }
        Tensor Linear(Backends.Backend device) =>
            F.Linear(Tensor.From(a, [m, k], device), Tensor.From(b, [n, k], device), Tensor.From(bias, [n], device));
        Assert.Equal(Linear(Device.Reference).ToArray(), Linear(Device.Cpu).ToArray());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AnEmptySumIsZeroOrTheBias(bool bias)
    {
        foreach (var device in new[] { Device.Cpu, Device.Reference })
        {
            var y = F.Linear(Tensor.Zeros([2, 0], device), Tensor.Zeros([3, 0], device), bias ? Tensor.From([1.0, 2, 3], [3], device) : null);
            Assert.Equal(bias ? [1, 2, 3, 1, 2, 3] : new float[6], y.ToArray());
        }
    }

    [Fact]
    public void InfinityBesideTheBorderOfATileStaysInItsRowAndColumn()
    {
        // Tiles at the border compute more than is stored; nothing of it may leak.
        var a = Tensor.Ones([7, 5], Device.Cpu);
        var values = new float[5 * 17];
        Array.Fill(values, 1);
        values[16] = float.PositiveInfinity;
        var c = a.MatMul(Tensor.From(values, [5, 17], Device.Cpu)).ToArray();
        for (int i = 0; i < c.Length; i++)
            Assert.Equal(i % 17 == 16 ? float.PositiveInfinity : 5, c[i]);
    }

    [Fact]
    public void ErrorsNameTheOperationAndTheShapes()
    {
        Tensor a = Tensor.Ones([2, 3]), b = Tensor.Ones([4, 5]);
        var error = Assert.Throws<ArgumentException>(() => a.MatMul(b));
        Assert.Contains("matmul", error.Message);
        Assert.Contains("[2, 3]", error.Message);
        Assert.Contains("[4, 5]", error.Message);
        Assert.Throws<ArgumentException>(() => a.MatMul(Tensor.Ones([3])));
        Assert.Throws<ArgumentException>(() => Tensor.Ones([2, 2, 3]).MatMul(Tensor.Ones([3, 3, 4])));
        Assert.Throws<ArgumentException>(() => a.MatMul(Tensor.Ones([3, 3], Device.Reference)));
        Assert.Contains("weight", Assert.Throws<ArgumentException>(() => F.Linear(a, b)).Message);
        Assert.Contains("bias", Assert.Throws<ArgumentException>(() => F.Linear(a, Tensor.Ones([4, 3]), Tensor.Ones([3]))).Message);
    }

    private static double[] Integers(Random random, int count)
    {
        var values = new double[count];
        for (int i = 0; i < count; i++)
            values[i] = random.Next(-8, 9);
        return values;
    }
}
