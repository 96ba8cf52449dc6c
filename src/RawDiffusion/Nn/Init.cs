using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion.Nn;

/// <summary>
/// Initial values for parameters. All are made outside any <see cref="MemoryScope"/>, and the same generator gives the same
/// values on every device but for rounding.
/// </summary>
public static class Init
{
    public static Parameter Zeros(Shape shape, Backend? device = null) => Constant(shape, 0, device);

    public static Parameter Ones(Shape shape, Backend? device = null) => Constant(shape, 1, device);

    public static Parameter Constant(Shape shape, double value, Backend? device = null)
    {
        var values = Empty(shape, device);
        values.Device.Fill(values.Storage, value);
        return new Parameter(values);
    }

    /// <summary>Uniform in [low, high).</summary>
    public static Parameter Uniform(Shape shape, double low, double high, Generator generator, Backend? device = null)
    {
        var values = Empty(shape, device);
        values.Device.Uniform(generator.Next(shape.Count), low, high, values.Storage);
        return new Parameter(values);
    }

    /// <summary>Normal with mean 0.</summary>
    public static Parameter Normal(Shape shape, double standardDeviation, Generator generator, Backend? device = null)
    {
        var values = Empty(shape, device);
        values.Device.Normal(NormalMethod.BoxMuller, generator.Next(shape.Count), values.Storage);
        values.Device.Unary<MulScalar>(values.Storage, values.Storage, standardDeviation, 0);
        return new Parameter(values);
    }

    /// <summary>
    /// Uniform in +-gain sqrt(3 / fanIn) with gain = sqrt(2 / (1 + a^2)) (He et al. 2015). PyTorch initialises the weights of
    /// linear and convolutional layers with a = sqrt(5), which is +-1 / sqrt(fanIn).
    /// </summary>
    /// <param name="fanIn">Number of inputs that are summed into one output.</param>
    public static Parameter KaimingUniform(Shape shape, int fanIn, double a, Generator generator, Backend? device = null)
    {
        double bound = fanIn == 0 ? 0 : Math.Sqrt(2 / (1 + a * a)) * Math.Sqrt(3.0 / fanIn);
        return Uniform(shape, -bound, bound, generator, device);
    }

    /// <summary>The default of linear and convolutional weights in PyTorch: <see cref="KaimingUniform"/> with a = sqrt(5).</summary>
    public static Parameter DefaultWeight(Shape shape, int fanIn, Generator generator, Backend? device = null) =>
        KaimingUniform(shape, fanIn, Math.Sqrt(5), generator, device);

    /// <summary>The default of linear and convolutional biases in PyTorch: uniform in +-1 / sqrt(fanIn).</summary>
    public static Parameter DefaultBias(Shape shape, int fanIn, Generator generator, Backend? device = null)
    {
        double bound = fanIn == 0 ? 0 : 1 / Math.Sqrt(fanIn);
        return Uniform(shape, -bound, bound, generator, device);
    }

    private static Tensor Empty(Shape shape, Backend? device)
    {
        device ??= Device.Default;
        return new Tensor(MemoryScope.AllocatePersistent(device, device.FloatType, shape.Count), shape);
    }
}
