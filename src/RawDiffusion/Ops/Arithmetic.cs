using System.Runtime.CompilerServices;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public partial class Tensor
    {
        public static Tensor operator +(Tensor x, Tensor y) => Elementwise.Binary<Add>(x, y);

        public static Tensor operator -(Tensor x, Tensor y) => Elementwise.Binary<Sub>(x, y);

        public static Tensor operator *(Tensor x, Tensor y) => Elementwise.Binary<Mul>(x, y);

        public static Tensor operator /(Tensor x, Tensor y) => Elementwise.Binary<Div>(x, y);

        public static Tensor operator +(Tensor x, double a) => Elementwise.Unary<AddScalar>(x, a);

        public static Tensor operator +(double a, Tensor x) => Elementwise.Unary<AddScalar>(x, a);

        public static Tensor operator -(Tensor x, double a) => Elementwise.Unary<AddScalar>(x, -a);

        public static Tensor operator -(double a, Tensor x) => Elementwise.Unary<SubtractFrom>(x, a);

        public static Tensor operator *(Tensor x, double a) => Elementwise.Unary<MulScalar>(x, a);

        public static Tensor operator *(double a, Tensor x) => Elementwise.Unary<MulScalar>(x, a);

        public static Tensor operator /(Tensor x, double a) => Elementwise.Unary<MulScalar>(x, 1 / a);

        public static Tensor operator /(double a, Tensor x) => Elementwise.Unary<DivideInto>(x, a);

        public static Tensor operator -(Tensor x) => Elementwise.Unary<Neg>(x);
    }
}

namespace RawDiffusion.Ops
{
    public readonly struct Add : IBinaryOperation
    {
        public static string Name => "add";

        public static double Reference(double x, double y, double a) => x + y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => x + y;

        public static string Cuda => "x + y";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz;

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz;
    }

    public readonly struct Sub : IBinaryOperation
    {
        public static string Name => "sub";

        public static double Reference(double x, double y, double a) => x - y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => x - y;

        public static string Cuda => "x - y";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz;

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => -gz;
    }

    public readonly struct Mul : IBinaryOperation
    {
        public static string Name => "mul";

        public static double Reference(double x, double y, double a) => x * y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => x * y;

        public static string Cuda => "x * y";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz * y;

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz * x;
    }

    public readonly struct Div : IBinaryOperation
    {
        public static string Name => "div";

        public static double Reference(double x, double y, double a) => x / y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => x / y;

        public static string Cuda => "x / y";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz / y;

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => -(gz * z / y);
    }

    /// <summary>x + a.</summary>
    public readonly struct AddScalar : IUnaryOperation
    {
        public static string Name => "addScalar";

        public static double Reference(double x, double a, double b) => x + a;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => x + a;

        public static string Cuda => "x + a";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => gy;
    }

    /// <summary>x * a.</summary>
    public readonly struct MulScalar : IUnaryOperation
    {
        public static string Name => "mulScalar";

        public static double Reference(double x, double a, double b) => x * a;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => x * a;

        public static string Cuda => "x * a";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => gy * a;
    }

    /// <summary>a - x.</summary>
    public readonly struct SubtractFrom : IUnaryOperation
    {
        public static string Name => "subtractFrom";

        public static double Reference(double x, double a, double b) => a - x;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => a - x;

        public static string Cuda => "a - x";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => -gy;
    }

    /// <summary>a / x.</summary>
    public readonly struct DivideInto : IUnaryOperation
    {
        public static string Name => "divideInto";

        public static double Reference(double x, double a, double b) => a / x;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => a / x;

        public static string Cuda => "a / x";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => -(gy * y / x);
    }

    public readonly struct Neg : IUnaryOperation
    {
        public static string Name => "neg";

        public static double Reference(double x, double a, double b) => -x;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => -x;

        public static string Cuda => "-x";

        public static Tensor Derivative(Tensor x, Tensor y, Tensor gy, double a, double b) => -gy;
    }
}
