using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Ops;

namespace RawDiffusion.Tests;

/// <summary>What the table of operations, which stays away from kinks and special values, does not show.</summary>
public class ElementwiseTests
{
    public static TheoryData<string> Devices => [.. Device.Names];

    [Theory]
    [MemberData(nameof(Devices))]
    public void NaNPasses(string name)
    {
        var x = Tensor.From([double.NaN], [1], Device.Parse(name));
        var one = Tensor.Ones([1], Device.Parse(name));
        Tensor[] results =
        [
            F.Relu(x), x.Clamp(-1, 1), F.Silu(x), F.Gelu(x), F.Softplus(x), x.Tanh(), x.Abs(), F.Maximum(x, one), F.Minimum(one, x),
            x.Max(), x.Sum(),
        ];
        foreach (var y in results)
            Assert.True(double.IsNaN(y.Item()));
        Assert.Equal(0, x.Eq(x).Item());
        Assert.Equal(1, x.Ne(x).Item());
        Assert.Equal(0, x.Lt(one).Item());
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void FarOutTheActivationsAreTheirLimits(string name)
    {
        var x = Tensor.From([-1e4, 1e4], [2], Device.Parse(name));
        Assert.Equal([0, 1], x.Sigmoid().ToArray());
        Assert.Equal([0, 1e4f], F.Silu(x).ToArray(), Equal);
        Assert.Equal([0, 1e4f], F.Gelu(x).ToArray(), Equal);
        Assert.Equal([0, 1e4f], F.Softplus(x).ToArray());
        Assert.Equal([-1, 1], x.Tanh().ToArray());

        // -0 is 0.
        static bool Equal(float a, float b) => a == b;
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void ComparisonsGiveZeroAndOne(string name)
    {
        var x = Tensor.From([1.0, 2, 3], [3], Device.Parse(name));
        Assert.Equal([1, 0, 0], x.Lt(2).ToArray());
        Assert.Equal([1, 1, 0], x.Le(2).ToArray());
        Assert.Equal([0, 0, 1], x.Gt(2).ToArray());
        Assert.Equal([0, 1, 1], x.Ge(2).ToArray());
        Assert.Equal([0, 1, 0], x.Eq(2).ToArray());
        Assert.Equal([1, 0, 1], x.Ne(2).ToArray());
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void TiesShareTheGradient(string name)
    {
        var device = Device.Parse(name);
        var x = Tensor.From([3.0, 1, 3], [3], device).RequireGrad();
        x.Max().Backward();
        Assert.Equal([0.5f, 0, 0.5f], x.Grad!.ToArray());
        var y = Tensor.From([3.0, 2, 1], [3], device).RequireGrad();
        Assert.Equal([0.5f, 0, 1], Autograd.Grad(F.Maximum(x, y).Sum(), [x])[0]!.ToArray());
        Assert.Equal([0.5f, 1, 0], Autograd.Grad(F.Minimum(x, y).Sum(), [x])[0]!.ToArray());
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void KinksHaveTheDerivativesOfPyTorch(string name)
    {
        var device = Device.Parse(name);
        var zero = Tensor.Zeros([1], device).RequireGrad();
        Assert.Equal(0, Gradient(F.Relu(zero)));
        Assert.Equal(0, Gradient(zero.Abs()));
        Assert.Equal(0, Gradient(zero.Norm()));
        Assert.Equal(1, Gradient(zero.Clamp(0, 1)));
        Assert.Equal(0, Gradient(zero.Pow(Tensor.Zeros([1], device))));

        double Gradient(Tensor y) => Autograd.Grad(y.Sum(), [zero])[0]!.Item();
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void WhereTakesNothingFromTheOtherBranch(string name)
    {
        var device = Device.Parse(name);
        var x = Tensor.From([0.0, 4], [2], device).RequireGrad();
        // The branch not taken is infinite at 0, and so is its derivative: multiplying with a mask would give NaN.
        var y = F.Where(x.Gt(0), x.Rsqrt(), x);
        Assert.Equal([0, 0.5f], y.ToArray());
        Assert.Equal([1, 0], F.Where(x.Gt(0), Tensor.Zeros([], device), x + 1).ToArray());
    }

    [Fact]
    public void ArgMaxNamesTheFirstLargest()
    {
        foreach (var device in new[] { Device.Cpu, Device.Reference })
        {
            var x = Tensor.From([1.0, 5, 5, 7, 2, 7], [2, 3], device);
            Assert.Equal([1, 0], x.ArgMax().ToInt32Array());
            Assert.Equal([1, 0, 1], x.ArgMax(0).ToInt32Array());
            Assert.Throws<ArgumentException>(() => Tensor.Zeros([2, 0], device).ArgMax());
        }
    }

    [Fact]
    public void AnEmptyMaximumIsRefused()
    {
        var error = Assert.Throws<ArgumentException>(() => Tensor.Zeros([2, 0]).Max(1));
        Assert.Equal("max: a tensor of shape [2, 0] has no elements along the axes that are reduced.", error.Message);
        Assert.Empty(Tensor.Zeros([0, 2]).Max(1).ToArray());
    }

    /// <summary>The whole of what a user writes to add an operation.</summary>
    private readonly struct Cube : IUnaryOperation
    {
        public static string Name => "cube";

        public static double Reference(double x, double a, double b) => x * x * x;

        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => x * x * x;

        public static string Cuda => "x * x * x";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => gy * x.Square() * 3;
    }

    [Fact]
    public void AnOperationFromOutsideTheLibraryRunsOnEveryDevice()
    {
        foreach (var device in new[] { Device.Cpu, Device.Reference })
        {
            var x = Tensor.From([1.0, 2, 3], [3], device).RequireGrad();
            var y = Elementwise.Unary<Cube>(x);
            Assert.Equal([1, 8, 27], y.ToArray());
            var first = Autograd.Grad(y.Sum(), [x], createGraph: true)[0]!;
            Assert.Equal([3, 12, 27], first.ToArray());
            Assert.Equal([6, 12, 18], Autograd.Grad(first.Sum(), [x])[0]!.ToArray());
        }
    }

    [Fact]
    public void TheReferenceErrorFunctionHasFifteenDigits()
    {
        // Values of erf and erfc to 16 digits (Abramowitz and Stegun 7.1, DLMF 7.23).
        Check(0.5, 0.5204998778130465);
        Check(1, 0.8427007929497149);
        Check(2, 0.9953222650189527);
        Check(3.5, 0.9999992569016276);
        Assert.Equal(0.5, Gelu(0) + 0.5);
        Assert.Equal(-1e-8 * 0.5, Gelu(-1e-8), 1e-15);

        static void Check(double x, double expected)
        {
            var device = Device.Reference;
            Assert.Equal(expected, Tensor.From([x], [1], device).Erf().Item(), 1e-15);
            Assert.Equal(-expected, Tensor.From([-x], [1], device).Erf().Item(), 1e-15);
        }

        static double Gelu(double x) => F.Gelu(Tensor.From([x], [1], Device.Reference)).Item();
    }

    /// <summary>Labels and times: integers up to 2^24 are exact, and of two nearest the even one is taken.</summary>
    [Theory]
    [MemberData(nameof(Devices))]
    public void Integers_become_floats_and_floats_the_nearest_integers(string name)
    {
        var device = Device.Parse(name);
        int[] whole = [0, -1, 7, 1 << 24, -(1 << 24) + 1];
        var floats = Tensor.From(whole, [5], device).To(device.FloatType);
        Assert.Equal(Array.ConvertAll(whole, value => (float)value), floats.ToArray());
        Assert.Equal(whole, floats.To(DType.Int32).ToInt32Array());
        Assert.Equal([0, 2, 2, -2, 3], Tensor.From([0.5f, 1.5f, 2.5f, -1.5f, 2.6f], [5], device).To(DType.Int32).ToInt32Array());
        Assert.False(Tensor.Ones([2], device).RequireGrad().To(DType.Int32).RequiresGrad);
    }
}
