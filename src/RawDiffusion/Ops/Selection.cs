using System.Runtime.CompilerServices;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public static partial class F
    {
        /// <summary>The larger of x and y; NaN where either is. Where they are equal each gets half of the gradient, as in PyTorch.</summary>
        public static Tensor Maximum(Tensor x, Tensor y) => Elementwise.Binary<Maximum>(x, y);

        /// <summary>The smaller of x and y, as <see cref="Maximum"/>.</summary>
        public static Tensor Minimum(Tensor x, Tensor y) => Elementwise.Binary<Minimum>(x, y);

        /// <summary>
        /// x + weight (y - x). A weight above 1 goes beyond y: classifier-free guidance from x, unconditional, past y, conditional.
        /// </summary>
        public static Tensor Lerp(Tensor x, Tensor y, double weight) => Elementwise.Binary<Lerp>(x, y, weight);

        /// <summary>x where the condition is not 0, else y; all three broadcast. The condition gets no gradient.</summary>
        public static Tensor Where(Tensor condition, Tensor x, Tensor y)
        {
            var shape = Shape.Broadcast(Shape.Broadcast(x.Shape, y.Shape, "where"), condition.Shape, "where");
            return new WhereFunction().Apply(condition.BroadcastTo(shape), x.BroadcastTo(shape), y.BroadcastTo(shape));
        }
    }
}

namespace RawDiffusion.Ops
{
    public readonly struct Maximum : IBinaryOperation
    {
        public static string Name => "maximum";

        public static double Reference(double x, double y, double a) => Math.Max(x, y);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.Max(x, y);

        public static string Cuda => "x > y || x != x ? x : y";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            gz * Elementwise.Binary<Heaviside>(x, y);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            gz * Elementwise.Binary<Heaviside>(y, x);
    }

    public readonly struct Minimum : IBinaryOperation
    {
        public static string Name => "minimum";

        public static double Reference(double x, double y, double a) => Math.Min(x, y);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.Min(x, y);

        public static string Cuda => "x < y || x != x ? x : y";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            gz * Elementwise.Binary<Heaviside>(y, x);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            gz * Elementwise.Binary<Heaviside>(x, y);
    }

    /// <summary>1 where x > y, 1/2 where they are equal, else 0.</summary>
    public readonly struct Heaviside : IBinaryOperation
    {
        public static string Name => "heaviside";

        public static double Reference(double x, double y, double a) => x > y ? 1 : x == y ? 0.5 : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> =>
            V.Select(V.Equal(x, y), V.Create(0.5f), V.LessThan(y, x) & V.Create(1));

        public static string Cuda => "x > y ? 1.0f : x == y ? 0.5f : 0.0f";

        public static Tensor? DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;

        public static Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;
    }

    /// <summary>x + a (y - x).</summary>
    public readonly struct Lerp : IBinaryOperation
    {
        public static string Name => "lerp";

        public static double Reference(double x, double y, double a) => x + a * (y - x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.MultiplyAdd(a, y - x, x);

        public static string Cuda => "x + a * (y - x)";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz * (1 - a);

        public static Tensor DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => gz * a;
    }

    /// <summary>x where y is not 0, else 0: what multiplying with a mask is, but without NaN from infinities.</summary>
    public readonly struct KeepWhere : IBinaryOperation
    {
        public static string Name => "keepWhere";

        public static double Reference(double x, double y, double a) => y != 0 ? x : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.Select(V.Equal(y, V.Create(0)), V.Create(0), x);

        public static string Cuda => "y != 0 ? x : 0";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<KeepWhere>(gz, y);

        public static Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;
    }

    /// <summary>x where y is 0, else 0.</summary>
    public readonly struct KeepUnless : IBinaryOperation
    {
        public static string Name => "keepUnless";

        public static double Reference(double x, double y, double a) => y == 0 ? x : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.Equal(y, V.Create(0)) & x;

        public static string Cuda => "y == 0 ? x : 0";

        public static Tensor DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) =>
            Elementwise.Binary<KeepUnless>(gz, y);

        public static Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;
    }

    internal sealed class WhereFunction : Function
    {
        public override string Name => "where";

        protected override ulong ReadsInputs => 0b001;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor condition = inputs[0].ExpectFloat(Name), x = inputs[1].ExpectFloat(Name), y = inputs[2].ExpectFloat(Name);
            Tensor.ExpectSameDevice(Name, x, y);
            Tensor.ExpectSameDevice(Name, x, condition);
            Tensor.ExpectSameType(Name, x, y);
            Tensor.ExpectSameType(Name, x, condition);
            var z = Tensor.EmptyOf(x, x.Shape);
            x.Device.Where(condition.Storage, x.Storage, y.Storage, z.Storage);
            return z;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            if (NeedsGrad(1))
                gradInputs[1] = Elementwise.Binary<KeepWhere>(gradOutput, Inputs[0]);
            if (NeedsGrad(2))
                gradInputs[2] = Elementwise.Binary<KeepUnless>(gradOutput, Inputs[0]);
        }
    }
}
