using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Optim;

internal readonly struct SquareRoot : IUnaryOperator
{
    public static string Name => "sqrt";

    public static double Reference(double x, double a, double b) => Math.Sqrt(x);

    public static V Cpu<V>(V x, V a, V b) where V : struct, ISimd<V> => V.Sqrt(x);

    public static string Cuda => "sqrtf(x)";
}
