using System.Runtime.CompilerServices;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Backends.Reference;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public partial class Tensor
    {
        /// <summary>e^x.</summary>
        public Tensor Exp() => Elementwise.Unary<Exp>(this);

        /// <summary>The natural logarithm; -infinity at 0, NaN below.</summary>
        public Tensor Log() => Elementwise.Unary<Log>(this);

        /// <summary>log(1 + x), accurate near 0.</summary>
        public Tensor Log1P() => Elementwise.Unary<Log1P>(this);

        public Tensor Sqrt() => Elementwise.Unary<Sqrt>(this);

        /// <summary>1 / sqrt(x).</summary>
        public Tensor Rsqrt() => Elementwise.Unary<Rsqrt>(this);

        public Tensor Square() => Elementwise.Unary<Square>(this);

        /// <summary>1 / x.</summary>
        public Tensor Reciprocal() => 1 / this;

        /// <summary>|x|. Its derivative at 0 is 0.</summary>
        public Tensor Abs() => Elementwise.Unary<Abs>(this);

        public Tensor Sin() => Elementwise.Unary<Sin>(this);

        public Tensor Cos() => Elementwise.Unary<Cos>(this);

        /// <summary>The error function.</summary>
        public Tensor Erf() => Elementwise.Unary<Erf>(this);

        /// <summary>x limited to [min, max]; infinite limits leave a side open. The derivative at a limit is 1, as in PyTorch.</summary>
        /// <exception cref="ArgumentException">min is larger than max.</exception>
        public Tensor Clamp(double min, double max) => min <= max
            ? Elementwise.Unary<Clamp>(this, min, max)
            : throw new ArgumentException($"clamp: the limits [{min}, {max}] are not an interval.");

        /// <summary>x^exponent. NaN for negative x unless the exponent is whole.</summary>
        public Tensor Pow(double exponent) => exponent switch
        {
            1 => this,
            2 => Square(),
            0.5 => Sqrt(),
            -0.5 => Rsqrt(),
            -1 => Reciprocal(),
            _ => Elementwise.Unary<PowScalar>(this, exponent),
        };

        /// <summary>x^exponent, element by element, broadcasting.</summary>
        public Tensor Pow(Tensor exponent) => Elementwise.Binary<Pow>(this, exponent);
    }
}

namespace RawDiffusion.Ops
{
    public readonly struct Exp : IUnaryOperation
    {
        public static string Name => "exp";

        public static double Reference(double x, double a, double b) => Math.Exp(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => VectorMath.Exp(x);

        public static string Cuda => "expf(x)";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => gy * y;
    }

    public readonly struct Log : IUnaryOperation
    {
        public static string Name => "log";

        public static double Reference(double x, double a, double b) => Math.Log(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => VectorMath.Log(x);

        public static string Cuda => "logf(x)";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => gy / x;
    }

    public readonly struct Log1P : IUnaryOperation
    {
        public static string Name => "log1P";

        public static double Reference(double x, double a, double b) => SpecialFunctions.Log1P(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => VectorMath.Log1P(x);

        public static string Cuda => "log1pf(x)";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => gy / (x + 1);
    }

    public readonly struct Sqrt : IUnaryOperation
    {
        public static string Name => "sqrt";

        public static double Reference(double x, double a, double b) => Math.Sqrt(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => V.Sqrt(x);

        public static string Cuda => "sqrtf(x)";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => Elementwise.Binary<SqrtGrad>(gy, y);
    }

    /// <summary>x / (2 y) for the gradient x and y = sqrt.</summary>
    public readonly struct SqrtGrad : IBinaryOperation
    {
        public static string Name => "sqrt backward";

        public static double Reference(double x, double y, double a) => x / (y + y);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => x / (y + y);

        public static string Cuda => "x / (y + y)";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<SqrtGrad>(gz, y);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => -(gz * z / y);
    }

    public readonly struct Rsqrt : IUnaryOperation
    {
        public static string Name => "rsqrt";

        public static double Reference(double x, double a, double b) => 1 / Math.Sqrt(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => V.Create(1) / V.Sqrt(x);

        public static string Cuda => "rsqrtf(x)";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) =>
            Elementwise.Binary<RsqrtGrad>(gy, y);
    }

    /// <summary>-x y^3 / 2 for the gradient x and y = rsqrt.</summary>
    public readonly struct RsqrtGrad : IBinaryOperation
    {
        public static string Name => "rsqrt backward";

        public static double Reference(double x, double y, double a) => -0.5 * x * y * y * y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.Create(-0.5f) * x * y * (y * y);

        public static string Cuda => "-0.5f * x * y * (y * y)";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<RsqrtGrad>(gz, y);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<ScaledProduct>(gz * x, y.Square(), -1.5);
    }

    public readonly struct Square : IUnaryOperation
    {
        public static string Name => "square";

        public static double Reference(double x, double a, double b) => x * x;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => x * x;

        public static string Cuda => "x * x";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) =>
            Elementwise.Binary<ScaledProduct>(gy, x, 2);
    }

    /// <summary>a x y.</summary>
    public readonly struct ScaledProduct : IBinaryOperation
    {
        public static string Name => "scaledProduct";

        public static double Reference(double x, double y, double a) => a * x * y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => a * x * y;

        public static string Cuda => "a * x * y";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<ScaledProduct>(gz, y, a);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<ScaledProduct>(gz, x, a);
    }

    public readonly struct Abs : IUnaryOperation
    {
        public static string Name => "abs";

        public static double Reference(double x, double a, double b) => Math.Abs(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => V.Abs(x);

        public static string Cuda => "fabsf(x)";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => Elementwise.Binary<AbsGrad>(gy, x);
    }

    /// <summary>x sign(y) for the gradient x.</summary>
    public readonly struct AbsGrad : IBinaryOperation
    {
        public static string Name => "abs backward";

        public static double Reference(double x, double y, double a) => y > 0 ? x : y < 0 ? -x : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V>
        {
            V zero = V.Create(0);
            return V.Select(V.LessThan(zero, y), x, V.LessThan(y, zero) & -x);
        }

        public static string Cuda => "y > 0 ? x : y < 0 ? -x : 0";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => Elementwise.Binary<AbsGrad>(gz, y);

        public static Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;
    }

    public readonly struct Sin : IUnaryOperation
    {
        public static string Name => "sin";

        public static double Reference(double x, double a, double b) => Math.Sin(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => VectorMath.Sin(x);

        public static string Cuda => "sinf(x)";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => gy * x.Cos();
    }

    public readonly struct Cos : IUnaryOperation
    {
        public static string Name => "cos";

        public static double Reference(double x, double a, double b) => Math.Cos(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => VectorMath.Cos(x);

        public static string Cuda => "cosf(x)";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => -(gy * x.Sin());
    }

    public readonly struct Erf : IUnaryOperation
    {
        public static string Name => "erf";

        public static double Reference(double x, double a, double b) => SpecialFunctions.Erf(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => VectorMath.Erf(x);

        public static string Cuda => "erff(x)";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => Elementwise.Binary<ErfGrad>(gy, x);
    }

    /// <summary>x 2 / sqrt(pi) exp(-y^2) for the gradient x.</summary>
    public readonly struct ErfGrad : IBinaryOperation
    {
        public static string Name => "erf backward";

        public static double Reference(double x, double y, double a) => x * (2 / Math.Sqrt(Math.PI)) * Math.Exp(-y * y);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> =>
            x * V.Create(1.12837917f) * VectorMath.ExpFlush(-(y * y));

        public static string Cuda => "x * 1.12837917f * expf(-y * y)";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => Elementwise.Binary<ErfGrad>(gz, y);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<ScaledProduct>(gz * z, y, -2);
    }

    /// <summary>x limited to [a, b].</summary>
    public readonly struct Clamp : IUnaryOperation
    {
        public static string Name => "clamp";

        public static double Reference(double x, double a, double b) => Math.Min(b, Math.Max(a, x));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => V.MinNative(b, V.MaxNative(a, x));

        public static string Cuda => "x != x ? x : fminf(b, fmaxf(a, x))";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) =>
            Elementwise.Binary<KeepWhere>(gy, x.Eq(y));
    }

    /// <summary>x^a.</summary>
    public readonly struct PowScalar : IUnaryOperation
    {
        public static string Name => "powScalar";

        public static double Reference(double x, double a, double b) => Math.Pow(x, a);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => VectorMath.Pow(x, a);

        public static string Cuda => "powf(x, a)";

        public static Tensor? Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) =>
            a == 0 ? null : Elementwise.Binary<ScaledProduct>(gy, x.Pow(a - 1), a);
    }

    public readonly struct Pow : IBinaryOperation
    {
        public static string Name => "pow";

        public static double Reference(double x, double y, double a) => Math.Pow(x, y);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => VectorMath.Pow(x, y);

        public static string Cuda => "powf(x, y)";

        // Several operations each, whose roundings would add up in bfloat16.
        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a)
        {
            var type = x.DType;
            if (type == DType.BFloat16)
                (x, y, gz) = (x.To(DType.Float32), y.To(DType.Float32), gz.To(DType.Float32));
            return Elementwise.Binary<KeepWhere>(gz * y * x.Pow(y - 1), y).To(type);
        }

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a)
        {
            var type = x.DType;
            if (type == DType.BFloat16)
                (x, gz, z) = (x.To(DType.Float32), gz.To(DType.Float32), x.To(DType.Float32).Pow(y.To(DType.Float32)));
            return Elementwise.Binary<KeepWhere>(gz * z * x.Log(), x).To(type);
        }
    }

    /// <summary>The square root of a sum of squares. Its derivative at 0 is taken as 0: the norm has its minimum there.</summary>
    public readonly struct NormOfSquares : IUnaryOperation
    {
        public static string Name => "norm";

        public static double Reference(double x, double a, double b) => Math.Sqrt(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => V.Sqrt(x);

        public static string Cuda => "sqrtf(x)";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => Elementwise.Binary<NormGrad>(gy, y);
    }

    /// <summary>x / (2 y) for the gradient x and y = the norm, 0 where y is 0.</summary>
    public readonly struct NormGrad : IBinaryOperation
    {
        public static string Name => "norm backward";

        public static double Reference(double x, double y, double a) => y == 0 ? 0 : x / (y + y);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> =>
            V.Select(V.Equal(y, V.Create(0)), V.Create(0), x / (y + y));

        public static string Cuda => "y == 0 ? 0 : x / (y + y)";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<NormGrad>(gz, y);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            -Elementwise.Binary<KeepWhere>(gz * z / y, y);
    }
}
