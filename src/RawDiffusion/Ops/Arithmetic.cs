using RawDiffusion.Backends.Cpu;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public partial class Tensor
    {
        public static Tensor operator +(Tensor x, Tensor y) => Elementwise.Binary<Add>(x, y);

        public static Tensor operator *(Tensor x, Tensor y) => Elementwise.Binary<Mul>(x, y);
    }
}

namespace RawDiffusion.Ops
{
    public readonly struct Add : IBinaryOperation
    {
        public static string Name => "add";

        public static double Reference(double x, double y, double a) => x + y;

        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => x + y;

        public static string Cuda => "x + y";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz;

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz;
    }

    public readonly struct Mul : IBinaryOperation
    {
        public static string Name => "mul";

        public static double Reference(double x, double y, double a) => x * y;

        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => x * y;

        public static string Cuda => "x * y";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz * y;

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz * x;
    }
}
