using static RawDiffusion.Tests.TestTensors;

namespace RawDiffusion.Tests;

public class ReductionTests
{
    /// <summary>Rows, columns, narrow columns, several groups of axes, nothing to reduce, and enough for several chunks and pieces.</summary>
    public static TheoryData<int[], int[]> Cases => new()
    {
        { [], [] }, { [1], [0] }, { [33], [0] }, { [5, 31], [1] }, { [5, 31], [0] }, { [5, 31], [0, 1] }, { [7, 1, 3], [1] },
        { [3, 4, 5, 6], [0, 2] }, { [3, 4, 5, 6], [1, 3] }, { [3, 4, 5, 6], [1, 2] }, { [2, 3, 2, 3, 2, 3], [0, 2, 4] },
        { [4, 3000, 3], [1] }, { [3000, 17], [0] }, { [200, 70], [0] }, { [300000], [0] }, { [3, 100001], [1] }, { [70000, 5], [0] },
        { [70000, 5], [1] }, { [2, 300, 257], [1] }, { [50, 3001], [0] }, { [40, 50, 130], [0, 2] }, { [5000, 130], [0] }, { [2, 5000, 8], [0, 1] },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void SumAgreesWithReference(int[] shape, int[] axes)
    {
        var x = Random(1, new Shape(shape), Device.Cpu);
        var expected = x.To(Device.Reference).Sum(axes);
        AssertClose(expected, x.Sum(axes), x.Count / Math.Max(1, expected.Count));
        Assert.Equal(x.Sum(axes, keepDims: true).ToArray(), x.Sum(axes).ToArray());
    }

    [Fact]
    public void ReferenceSumsTheNamedAxes()
    {
        var x = Tensor.From([1.0, 2, 3, 4, 5, 6], [2, 3], Device.Reference);
        Assert.Equal([5, 7, 9], x.Sum(0).ToDoubleArray());
        Assert.Equal([6, 15], x.Sum(-1).ToDoubleArray());
        Assert.Equal(21, x.Sum().Item());
        Assert.Equal(new Shape(2, 1), x.Sum(1, keepDims: true).Shape);
        Assert.Equal([2, 5], x.Mean(1).ToDoubleArray());
    }

    [Fact]
    public void ASumOfNothingIsZero()
    {
        foreach (var device in new[] { Device.Reference, Device.Cpu })
        {
            Assert.Equal([0, 0, 0], Tensor.Zeros([0, 3], device).Sum(0).ToArray());
            Assert.Equal(0, Tensor.Zeros([3, 0, 2], device).Sum().Item());
            Assert.Empty(Tensor.Zeros([0, 3], device).Sum(1).ToArray());
        }
    }

    [Fact]
    public void TheNumberOfThreadsDoesNotChangeASum()
    {
        var x = Random(1, [3, 200003], Device.Cpu);
        var y = Random(2, [30011, 37], Device.Cpu);
        int before = Backends.Cpu.Workers.Count;
        try
        {
            Backends.Cpu.Workers.SetCount(1);
            var (rows, columns) = (x.Sum(1).ToArray(), y.Sum(0).ToArray());
            Backends.Cpu.Workers.SetCount(4);
            Assert.Equal(rows, x.Sum(1).ToArray());
            Assert.Equal(columns, y.Sum(0).ToArray());
        }
        finally
        {
            Backends.Cpu.Workers.SetCount(before);
        }
    }

    [Fact]
    public void AWrongAxisIsNamed()
    {
        var error = Assert.Throws<ArgumentException>(() => Tensor.Ones([2, 3]).Sum(2));
        Assert.Equal("sum: axis 2 does not exist in a tensor of shape [2, 3].", error.Message);
        Assert.Throws<ArgumentException>(() => Tensor.Ones([2, 3]).Sum([1, -1]));
    }
}
