namespace RawDiffusion.Tests.Ops;

/// <summary>Alone, because scratch memory is per thread and other tests change the number of threads.</summary>
[Collection(nameof(Alone))]
public class ConvolutionMemoryTests
{
    [Theory]
    [InlineData(9, 14, 33, 40, 3, 1)]
    [InlineData(9, 14, 33, 40, 3, 2)]
    [InlineData(17, 28, 1, 16, 3, 1)]
    [InlineData(5, 28, 32, 3, 3, 1)]
    [InlineData(9, 7, 64, 48, 1, 1)]
    public void A_warm_pass_takes_no_memory_and_gives_the_same_bits(int batch, int size, int inChannels, int outChannels, int kernel, int stride)
    {
        var cpu = new Backends.Cpu.CpuBackend();
        var random = new Random(2);
        var x = Tensor.From(ConvolutionTests.Values(random, batch * size * size * inChannels), [batch, size, size, inChannels], cpu).RequireGrad();
        var w = Tensor.From(ConvolutionTests.Values(random, outChannels * kernel * kernel * inChannels), [outChannels, kernel, kernel, inChannels], cpu).RequireGrad();

        float[] Pass()
        {
            using var scope = new MemoryScope();
            var y = F.Conv2d(x, w, stride: stride, padding: kernel / 2);
            var gradients = Autograd.Grad(y, [x, w], y.Detach());
            return [.. y.ToArray(), .. gradients[0]!.ToArray(), .. gradients[1]!.ToArray()];
        }

        var first = Pass();
        Pass();
        var warm = cpu.Statistics;
        Assert.Equal(first, Pass());
        Assert.Equal(warm, cpu.Statistics);
    }
}
