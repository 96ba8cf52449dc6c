using RawDiffusion.Verification.Bench;

namespace RawDiffusion.Tests;

/// <summary>Shapes as text, and what an operation at a shape costs at least.</summary>
public class BenchTableTests
{
    /// <summary>Counted by hand; bytes of every input and output once, in float32 and in bfloat16.</summary>
    [Theory]
    // 2 * 2 * 3 * 4; (2 * 4 + 4 * 3 + 2 * 3) elements.
    [InlineData("matmul", "2x3x4", 48, 104, 52)]
    [InlineData("matmul", "2x3x4tn", 48, 104, 52)]
    // 16 pixels, 3 x 3 kernels from 2 to 3 channels: 2 * 16 * 3 * 9 * 2; x 32, w 54, y 48, and 3 biases that stay float32.
    [InlineData("conv2d", "1x4x4x2to3k3", 1728, 4 * (32 + 54 + 48 + 3), 2 * (32 + 54 + 48) + 12)]
    // 8 x 6 pixels become 4 x 3 of 5 samples: 2 * 60 * 7 * 9 * 7.
    [InlineData("conv2dGradInput", "5x8x6x7k3s2", 2 * 60 * 7 * 63, 4 * (60 * 7 + 441 + 5 * 48 * 7), 2 * (60 * 7 + 441 + 5 * 48 * 7))]
    [InlineData("conv2dGradWeight", "1x4x4x2to3k3", 1728, 4 * (32 + 48 + 54), 2 * (32 + 48) + 4 * 54)]
    // Two products of 6 rows (2 heads, 3 queries), 5 keys, 4 columns; q, k, v, y and 6 log-sum-exps in float32.
    [InlineData("attention", "1x2x3by5x4", 2 * 2 * 6 * 5 * 4, 4 * (24 + 40 + 40 + 24 + 6), 2 * (24 + 40 + 40 + 24) + 24)]
    [InlineData("attentionGrad", "1x2x3by5x4", 5 * 2 * 6 * 5 * 4, 4 * (4 * 24 + 4 * 40 + 6), 2 * (4 * 24 + 4 * 40) + 24)]
    // x and y; gamma, beta of 4 channels, mean and rstd of 2 x 2 groups in float32.
    [InlineData("groupNormSilu", "2x3x4g2", 0, 4 * (2 * 24 + 8 + 8), 2 * 2 * 24 + 4 * 16)]
    // x, gy, gx; gamma, beta and their gradients, mean and rstd.
    [InlineData("groupNormGrad", "2x3x4g2", 0, 4 * (3 * 24 + 4 * 4 + 8), 2 * 3 * 24 + 4 * 24)]
    [InlineData("softmax", "3x5", 0, 120, 60)]
    [InlineData("reduce", "sum:2x3x5", 0, 4 * 40, 2 * 30 + 40)]
    [InlineData("unary", "silu:2K", 0, 8 * 2048, 4 * 2048)]
    // Parameter, m, v and average are read and written, the gradient is read for its norm and again; and the norm.
    [InlineData("adamwClipEma", "100", 0, 4 * (10 * 100 + 1), 4 * (10 * 100 + 1))]
    [InlineData("adamw", "100", 0, 4 * 700, 4 * 700)]
    public void Flops_and_bytes_are_those_of_the_definition(string operation, string shape, double flops, double bytes, double bytesInBFloat16)
    {
        var made = BenchTable.Find(operation).At(shape);
        Assert.Equal(flops, made.Flops);
        Assert.Equal(bytes, made.Bytes(Precision.Float32));
        Assert.Equal(bytes, made.Bytes(Precision.Tf32));
        // What is float32 in every precision is asked for only in that one.
        Assert.Equal(bytesInBFloat16, made.Bytes(BenchTable.Find(operation).HasBFloat16 ? Precision.BFloat16 : Precision.Float32));
    }

    [Theory]
    [InlineData("matmul", "4096x4096", "'x' and a number are missing after '4096x4096'; expected MxNxK[nn|nt|tn|tt], for example 512x512x512")]
    [InlineData("matmul", "", "a number is missing at the beginning; expected MxNxK")]
    [InlineData("matmul", "8x8x8nx", "'nx' is left over")]
    [InlineData("matmul", "8x0x8", "the number after '8x' must be from 1 to 2^31 - 1")]
    [InlineData("matmul", "8x99999999999999999999x8", "the number after '8x' is too large")]
    [InlineData("matmul", "99999x99999x3", "c would have 9999800001 elements")]
    [InlineData("matmul", "-8x8x8", "a number is missing at the beginning")]
    [InlineData("conv2d", "128x32x32x128", "'k' and a number are missing after '128x32x32x128'; expected BATCHxHEIGHTxWIDTHxCHANNELS[toCHANNELS]kKERNEL[sSTRIDE][+silu], for example 128x28x28x32k3")]
    [InlineData("conv2d", "1x8x8x4k3+gelu", "'+gelu' is left over")]
    [InlineData("conv2d", "1x1x1x1k4", "the kernel is larger than the padded image", true)]
    [InlineData("groupNorm", "2x3x5g2", "5 channels cannot be parted into 2 groups")]
    [InlineData("unary", "tanh:4M", "one of silu, gelu, exp, sin is missing at the beginning")]
    [InlineData("permute", "2x3x4:011", "one of 012, 021, 102, 120, 201, 210 is missing after '2x3x4:'")]
    public void A_shape_that_is_none_is_told_with_the_form(string operation, string shape, string message, bool fits = false)
    {
        if (fits)
        {
            // A kernel of 4 on one pixel has a padding of 2 on each side and just fits.
            Assert.NotNull(BenchTable.Find(operation).At(shape));
            return;
        }
        var error = Assert.Throws<ArgumentException>(() => BenchTable.Find(operation).At(shape));
        Assert.StartsWith($"{operation}: '{shape}' is no shape: ", error.Message);
        Assert.Contains(message, error.Message);
    }

    [Fact]
    public void An_unknown_operation_is_told_with_all_there_are()
    {
        var error = Assert.Throws<ArgumentException>(() => BenchTable.Find("matmull"));
        Assert.StartsWith("no operation is called 'matmull'; did you mean matmul? there are: matmul, conv2d, ", error.Message);
        Assert.Equal("conv2dGradInput", BenchTable.Find("CONV2DGRADINPUT").Name);
    }

    [Fact]
    public void Every_shape_of_the_table_is_one()
    {
        foreach (var operation in BenchTable.All)
        {
            Assert.NotEmpty(operation.SmallShapes);
            foreach (string shape in operation.Shapes.Concat(operation.SmallShapes))
            {
                var made = operation.At(shape);
                Assert.Equal($"{operation.Name} {shape}", made.ToString());
                Assert.Contains(made.Tensors, tensor => tensor.IsResult);
                Assert.True(made.Bytes(Precision.Float32) > 0 && made.Work > 0);
            }
        }
    }

    [Fact]
    public void Percentiles_lie_between_the_sorted_values_in_proportion()
    {
        var times = BenchTimes.Of([5, 1, 3, 2, 4]);
        Assert.Equal((3.0, 5), (times.Median, times.Repetitions));
        // Positions 0.2 * 4 = 0.8 and 3.2 between 1, 2, 3, 4, 5.
        Assert.Equal(1.8, times.P20, 12);
        Assert.Equal(4.2, times.P80, 12);
        Assert.Equal(2.5, BenchTimes.Of([4, 1, 2, 3]).Median, 12);
        Assert.Equal(new BenchTimes(7, 7, 7, 1), BenchTimes.Of([7]));
        Assert.Throws<ArgumentException>(() => BenchTimes.Of([]));
    }
}
