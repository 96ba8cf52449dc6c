using RawDiffusion.Backends;
using static RawDiffusion.Tests.TestTensors;

namespace RawDiffusion.Tests;

public class BroadcastingTests
{
    /// <summary>Every layout the loops distinguish: equal, scalar, row, column, both, in the middle, short rows, empty, several pieces.</summary>
    public static TheoryData<int[], int[]> Shapes => new()
    {
        { [], [] }, { [1], [1] }, { [31], [31] }, { [33], [] }, { [], [33] }, { [5, 32], [32] }, { [32], [5, 32] },
        { [5, 1], [5, 37] }, { [37, 1], [1, 41] }, { [7, 3], [3] }, { [7, 3], [7, 1] }, { [3], [7, 3] }, { [2, 5, 1, 3], [5, 4, 1] },
        { [2, 3, 5, 64], [2, 1, 1, 64] }, { [2, 3, 5, 7], [2, 1, 1, 7] }, { [0, 4], [4] }, { [4, 0], [1] }, { [1], [0] },
        { [40000], [40000] }, { [20000, 3], [3] }, { [3], [20000, 3] }, { [20000, 3], [20000, 1] }, { [1000, 67], [67] },
        { [1000, 67], [1000, 1] }, { [2, 70001], [2, 1] }, { [70001, 1], [1, 2] }, { [2, 3, 2, 3, 2, 3], [3, 1, 3, 1, 3] },
        { [100, 1, 40, 1, 7], [3, 1, 5, 7] },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void ABinaryOperationBroadcastsAsOnReference(int[] a, int[] b)
    {
        var expected = Run(Device.Reference);
        var actual = Run(Device.Cpu);
        AssertClose(expected, actual);

        Tensor Run(Backend device) => Random(1, new Shape(a), device) - Random(2, new Shape(b), device);
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void TheGradientOfAnInputHasItsShape(int[] a, int[] b)
    {
        var expected = Run(Device.Reference, out int terms);
        var actual = Run(Device.Cpu, out _);
        for (int i = 0; i < 2; i++)
            AssertClose(expected[i]!, actual[i]!, terms);

        Tensor?[] Run(Backend device, out int terms)
        {
            Tensor x = Random(1, new Shape(a), device).RequireGrad(), y = Random(2, new Shape(b), device).RequireGrad();
            var z = x * y;
            terms = z.Count;
            return Autograd.Grad(z, [x, y], Random(3, z.Shape, device));
        }
    }

    [Fact]
    public void ReferenceRepeatsRowsAndColumns()
    {
        var x = Tensor.From([1.0, 2, 3], [3, 1], Device.Reference) + Tensor.From([10.0, 20], [2], Device.Reference);
        Assert.Equal([11, 21, 12, 22, 13, 23], x.ToDoubleArray());
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void BroadcastToRepeatsAndSumToAddsUp(int[] a, int[] b)
    {
        var shape = Shape.Broadcast(new Shape(a), new Shape(b), "test");
        var expected = Random(1, new Shape(a), Device.Reference).BroadcastTo(shape);
        AssertClose(expected, Random(1, new Shape(a), Device.Cpu).BroadcastTo(shape));
        var full = Random(4, shape, Device.Cpu);
        AssertClose(full.To(Device.Reference).SumTo(new Shape(a)), full.SumTo(new Shape(a)), Math.Max(1, shape.Count));
    }

    [Fact]
    public void IntegersBroadcastToo()
    {
        foreach (var device in new[] { Device.Reference, Device.Cpu })
            Assert.Equal([1, 1, 2, 2], Tensor.From([1, 2], [2, 1], device).BroadcastTo([2, 2]).ToInt32Array());
    }

    [Fact]
    public void ShapesThatDoNotBroadcastAreNamed()
    {
        var error = Assert.Throws<ArgumentException>(() => Tensor.Ones([2, 3]) + Tensor.Ones([4]));
        Assert.Equal("add: shapes [2, 3] and [4] do not broadcast (3 against 4).", error.Message);
        Assert.Throws<ArgumentException>(() => Tensor.Ones([2, 3]).BroadcastTo([3]));
        Assert.Throws<ArgumentException>(() => Tensor.Ones([3]).SumTo([2, 3]));
    }
}
