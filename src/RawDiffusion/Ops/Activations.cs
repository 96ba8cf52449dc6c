using System.Runtime.CompilerServices;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Backends.Reference;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public partial class Tensor
    {
        public Tensor Tanh() => Elementwise.Unary<Tanh>(this);

        /// <summary>1 / (1 + exp(-x)).</summary>
        public Tensor Sigmoid() => Elementwise.Unary<Sigmoid>(this);
    }

    public static partial class F
    {
        /// <summary>max(x, 0). Its derivative at 0 is 0.</summary>
        public static Tensor Relu(Tensor x) => Elementwise.Unary<Relu>(x);

        /// <summary>x above 0, otherwise negativeSlope * x.</summary>
        public static Tensor LeakyRelu(Tensor x, double negativeSlope = 0.01) => Elementwise.Unary<LeakyRelu>(x, negativeSlope);

        /// <summary>x * sigmoid(x), also called swish.</summary>
        public static Tensor Silu(Tensor x) => Elementwise.Unary<Silu>(x);

        /// <summary>x times the distribution function of the standard normal at x: the exact form, not the one by tanh.</summary>
        public static Tensor Gelu(Tensor x) => Elementwise.Unary<Gelu>(x);

        /// <summary>log(1 + exp(x)), without overflow.</summary>
        public static Tensor Softplus(Tensor x) => Elementwise.Unary<Softplus>(x);
    }
}

namespace RawDiffusion.Ops
{
    public readonly struct Tanh : IUnaryOperation
    {
        public static string Name => "tanh";

        public static double Reference(double x, double a, double b) => Math.Tanh(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => VectorMath.Tanh(x);

        public static string Cuda => "tanhf(x)";

        // 1 - y^2 has no digits left where a bfloat16 y is nearly 1.
        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => x.DType == DType.BFloat16
            ? Elementwise.Binary<TanhGrad>(gy.To(DType.Float32), x.To(DType.Float32).Tanh()).To(x.DType)
            : Elementwise.Binary<TanhGrad>(gy, y);
    }

    /// <summary>x (1 - y^2) for the gradient x and y = tanh.</summary>
    public readonly struct TanhGrad : IBinaryOperation
    {
        public static string Name => "tanh backward";

        public static double Reference(double x, double y, double a) => x * (1 - y * y);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => x * (V.Create(1) - y * y);

        public static string Cuda => "x * (1 - y * y)";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<TanhGrad>(gz, y);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<ScaledProduct>(gz * x, y, -2);
    }

    public readonly struct Sigmoid : IUnaryOperation
    {
        public static string Name => "sigmoid";

        public static double Reference(double x, double a, double b) => 1 / (1 + Math.Exp(-x));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => VectorMath.Sigmoid(x);

        public static string Cuda => "1 / (1 + expf(-x))";

        // As that of Tanh.
        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => x.DType == DType.BFloat16
            ? Elementwise.Binary<SigmoidGrad>(gy.To(DType.Float32), x.To(DType.Float32).Sigmoid()).To(x.DType)
            : Elementwise.Binary<SigmoidGrad>(gy, y);
    }

    /// <summary>x y (1 - y) for the gradient x and y = sigmoid.</summary>
    public readonly struct SigmoidGrad : IBinaryOperation
    {
        public static string Name => "sigmoid backward";

        public static double Reference(double x, double y, double a) => x * y * (1 - y);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => x * y * (V.Create(1) - y);

        public static string Cuda => "x * y * (1 - y)";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<SigmoidGrad>(gz, y);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz * x * (1 - 2 * y);
    }

    public readonly struct Relu : IUnaryOperation
    {
        public static string Name => "relu";

        public static double Reference(double x, double a, double b) => x > 0 || double.IsNaN(x) ? x : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => V.MaxNative(V.Create(0), x);

        public static string Cuda => "x > 0 || x != x ? x : 0";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => Elementwise.Binary<ReluGrad>(gy, x);
    }

    /// <summary>The gradient x where y > 0.</summary>
    public readonly struct ReluGrad : IBinaryOperation
    {
        public static string Name => "relu backward";

        public static double Reference(double x, double y, double a) => y > 0 ? x : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => x & V.LessThan(V.Create(0), y);

        public static string Cuda => "y > 0 ? x : 0";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<ReluGrad>(gz, y);

        public static Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;
    }

    /// <summary>x above 0, otherwise a x.</summary>
    public readonly struct LeakyRelu : IUnaryOperation
    {
        public static string Name => "leakyRelu";

        public static double Reference(double x, double a, double b) => x > 0 ? x : a * x;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => V.Select(V.LessThan(V.Create(0), x), x, a * x);

        public static string Cuda => "x > 0 ? x : a * x";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) =>
            Elementwise.Binary<LeakyReluGrad>(gy, x, a);
    }

    /// <summary>The gradient x where y > 0, otherwise a x.</summary>
    public readonly struct LeakyReluGrad : IBinaryOperation
    {
        public static string Name => "leakyRelu backward";

        public static double Reference(double x, double y, double a) => y > 0 ? x : a * x;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.Select(V.LessThan(V.Create(0), y), x, a * x);

        public static string Cuda => "y > 0 ? x : a * x";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<LeakyReluGrad>(gz, y, a);

        public static Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;
    }

    public readonly struct Silu : IUnaryOperation
    {
        public static string Name => "silu";

        public static double Reference(double x, double a, double b) => x / (1 + Math.Exp(-x));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => x * VectorMath.Sigmoid(x);

        public static string Cuda => "x / (1 + expf(-x))";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => Elementwise.Binary<SiluGrad>(gy, x);
    }

    /// <summary>x s (1 + y (1 - s)) with s = sigmoid(y), for the gradient x.</summary>
    public readonly struct SiluGrad : IBinaryOperation
    {
        public static string Name => "silu backward";

        public static double Reference(double x, double y, double a)
        {
            double s = 1 / (1 + Math.Exp(-y));
            return x * s * (1 + y * (1 - s));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V>
        {
            V one = V.Create(1), s = VectorMath.Sigmoid(y);
            return x * s * V.MultiplyAdd(y, one - s, one);
        }

        public static string Cuda => "x / (1 + expf(-y)) * (1 + y / (1 + expf(y)))";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<SiluGrad>(gz, y);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a)
        {
            // silu'' = s (1 - s) (2 + y (1 - 2 s)).
            var s = y.Sigmoid();
            return Elementwise.Binary<SigmoidGrad>(gz * x, s) * (2 + y * (1 - 2 * s));
        }
    }

    public readonly struct Gelu : IUnaryOperation
    {
        public static string Name => "gelu";

        public static double Reference(double x, double a, double b) => x * SpecialFunctions.NormalCdf(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => x * VectorMath.NormalCdf(x);

        public static string Cuda => "x * normcdff(x)";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => Elementwise.Binary<GeluGrad>(gy, x);
    }

    /// <summary>x (Phi(y) + y phi(y)) for the gradient x; Phi and phi: distribution function and density of the standard normal.</summary>
    public readonly struct GeluGrad : IBinaryOperation
    {
        public static string Name => "gelu backward";

        public static double Reference(double x, double y, double a) =>
            x * (SpecialFunctions.NormalCdf(y) + y * Math.Exp(-0.5 * y * y) / Math.Sqrt(2 * Math.PI));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> =>
            x * V.MultiplyAdd(y * V.Create(0.398942280f), VectorMath.ExpFlush(V.Create(-0.5f) * y * y), VectorMath.NormalCdf(y));

        public static string Cuda => "x * (normcdff(y) + y * 0.398942280f * expf(-0.5f * y * y))";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<GeluGrad>(gz, y);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            gz * x * (y.Square() * -0.5).Exp() * ((2 - y.Square()) * (1 / Math.Sqrt(2 * Math.PI)));
    }

    public readonly struct Softplus : IUnaryOperation
    {
        public static string Name => "softplus";

        public static double Reference(double x, double a, double b) =>
            Math.Max(x, 0) + SpecialFunctions.Log1P(Math.Exp(-Math.Abs(x)));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => VectorMath.Softplus(x);

        public static string Cuda => "fmaxf(x, 0) + log1pf(expf(-fabsf(x)))";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) =>
            Elementwise.Binary<SoftplusGrad>(gy, x);
    }

    /// <summary>x sigmoid(y) for the gradient x.</summary>
    public readonly struct SoftplusGrad : IBinaryOperation
    {
        public static string Name => "softplus backward";

        public static double Reference(double x, double y, double a) => x / (1 + Math.Exp(-y));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => x * VectorMath.Sigmoid(y);

        public static string Cuda => "x / (1 + expf(-y))";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<SoftplusGrad>(gz, y);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<SigmoidGrad>(gz * x, y.Sigmoid());
    }
}
