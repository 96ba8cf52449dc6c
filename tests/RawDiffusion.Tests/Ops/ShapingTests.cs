using RawDiffusion.Backends;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests;

/// <summary>Operations that move elements; more shapes, gradients and threads are in the table of operations.</summary>
public class ShapingTests
{
    public static TheoryData<string> Devices => [.. Device.Names];

    private static Tensor Counting(Shape shape, Backend device)
    {
        var values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = i;
        return Tensor.From(values, shape, device);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Reshape_shares_memory_and_infers_one_extent(string name)
    {
        var x = Counting([2, 3, 4], Device.Parse(name));
        var y = x.Reshape(-1, 6);
        Assert.Equal(new Shape(4, 6), y.Shape);
        Assert.Same(x.Storage, y.Storage);
        Assert.Equal(new Shape(2, 12), x.Flatten(1).Shape);
        Assert.Equal(new Shape(2, 1, 3, 4), x.Unsqueeze(1).Shape);
        Assert.Equal(new Shape(2, 3, 4, 1), x.Unsqueeze(-1).Shape);
        Assert.Equal(x.Shape, x.Unsqueeze(-1).Squeeze(-1).Shape);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Permute_moves_axis_i_of_the_source_to_its_place_in_the_order(string name)
    {
        var y = Counting([2, 3, 4], Device.Parse(name)).Permute(2, 0, 1);
        Assert.Equal(new Shape(4, 2, 3), y.Shape);
        float[] values = y.ToArray();
        for (int a = 0; a < 2; a++)
        {
            for (int b = 0; b < 3; b++)
            {
                for (int c = 0; c < 4; c++)
                    Assert.Equal((a * 3 + b) * 4 + c, values[(c * 2 + a) * 3 + b]);
            }
        }
    }

    [Fact]
    public void Permute_of_axes_of_extent_1_shares_memory()
    {
        var x = Counting([2, 1, 5], Device.Cpu);
        Assert.Same(x.Storage, x.Transpose(0, 1).Storage);
        Assert.Same(x.Storage, x.Permute(0, 2, 1).Storage);
        Assert.NotSame(x.Storage, x.Transpose(0, 2).Storage);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Slices_pads_and_concatenations_have_the_values_of_numpy(string name)
    {
        var x = Counting([2, 3], Device.Parse(name));
        Assert.Equal([1, 2, 4, 5], x.Slice(1, 1, 2).ToArray());
        Assert.Equal([3, 4, 5], x.Slice(0, 1, 1).ToArray());
        Assert.Equal([9, 9, 9, 9, 0, 1, 2, 9, 3, 4, 5, 9], x.Pad([1, 0], [0, 1], 9).ToArray());
        Assert.Equal([5], x.Crop([1, 2], [1, 1]).ToArray());
        Assert.Equal([0, 1, 2, 0, 3, 4, 5, 3], Tensor.Concat([x, x.Slice(1, 0, 1)], 1).ToArray());
        Assert.Equal([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5], Tensor.Stack([x, x], -1).ToArray());
        Assert.Equal([2, 1], x.Chunk(2, 1).Select(part => part.Shape[1]));
        Assert.Equal([1, 2], x.Split([1, 2], 1).Select(part => part.Shape[1]));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Integers_are_moved_too(string name)
    {
        var x = Tensor.From([0, 1, 2, 3, 4, 5], [2, 3], Device.Parse(name));
        Assert.Equal([0, 3, 1, 4, 2, 5], x.Transpose(0, 1).ToInt32Array());
        Assert.Equal([4, 5], x.Crop([1, 1], [1, 2]).ToInt32Array());
        Assert.Equal([7, 0, 1, 2, 7, 3, 4, 5], x.Pad([0, 1], [0, 0], 7).ToInt32Array());
        Assert.Equal([0, 1, 2, 3, 4, 5, 3, 4, 5], Tensor.Concat([x, x.Slice(0, 1, 1)], 0).ToInt32Array());
    }

    [Fact]
    public void Gradients_of_overlapping_slices_add_up()
    {
        var x = Counting([5], Device.Reference).RequireGrad();
        var y = Tensor.Concat([x.Slice(0, 0, 3), x.Slice(0, 2, 3)], 0);
        y.Backward(Counting([6], Device.Reference));
        Assert.Equal([0, 1, 2 + 3, 4, 5], x.Grad!.ToArray());
    }

    [Fact]
    public void Cpu_moves_the_same_elements_as_reference_on_every_row_of_the_table()
    {
        string[] operations = ["reshape", "flatten", "unsqueeze", "squeeze", "permute", "slice", "crop", "pad", "split", "chunk", "concat", "stack"];
        foreach (var row in OperationTable.All.Where(row => operations.Contains(row.Operation)))
        {
            Tensor[] reference = [.. row.Inputs.Select(input => Counting(input.Shape, Device.Reference))];
            Tensor[] cpu = [.. row.Inputs.Select(input => Counting(input.Shape, Device.Cpu))];
            Tensor expected = row.Run(reference), actual = row.Run(cpu);
            Assert.Equal(expected.Shape, actual.Shape);
            Assert.Equal(expected.ToArray(), actual.ToArray());
        }
    }

    [Theory]
    [InlineData(64, 64)]
    [InlineData(129, 200)]
    [InlineData(1000, 3)]
    [InlineData(3, 1000)]
    [InlineData(512, 260)]
    public void Large_transposes_reach_every_element(int rows, int columns)
    {
        var x = Counting([2, rows, columns], Device.Cpu);
        float[] values = x.Transpose(1, 2).ToArray();
        for (int n = 0; n < 2; n++)
        {
            for (int c = 0; c < columns; c++)
            {
                for (int r = 0; r < rows; r++)
                    Assert.Equal((n * rows + r) * columns + c, values[(n * columns + c) * rows + r]);
            }
        }
    }

    [Fact]
    public void Wrong_shapes_are_named()
    {
        var x = Counting([2, 3], Device.Cpu);
        Assert.Contains("[2, 3] (6 elements) does not fit [4, -1]", Assert.Throws<ArgumentException>(() => x.Reshape(4, -1)).Message);
        Assert.Contains("permute: axis 0 is given twice", Assert.Throws<ArgumentException>(() => x.Permute(0, 0)).Message);
        Assert.Contains("slice: [2, 4) is not inside axis 1", Assert.Throws<ArgumentOutOfRangeException>(() => x.Slice(1, 2, 2)).Message);
        Assert.Contains("crop: [1, 3) is not inside axis 0", Assert.Throws<ArgumentException>(() => x.Crop([1, 0], [2, 3])).Message);
        Assert.Contains("concat: Float32 [2, 2] does not continue Float32 [2, 3]", Assert.Throws<ArgumentException>(() => Tensor.Concat([x, x.Slice(1, 0, 2)], 0)).Message);
        Assert.Contains("squeeze: axis 0 of [2, 3] has extent 2", Assert.Throws<ArgumentException>(() => x.Squeeze(0)).Message);
        Assert.Contains("broadcastTo: [2, 3] cannot be repeated", Assert.Throws<ArgumentException>(() => x.BroadcastTo([1, 3])).Message);
    }
}
