using System.Runtime.CompilerServices;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public partial class Tensor
    {
        /// <summary>1 where this is less than <paramref name="other"/>, else 0; broadcasts. Comparisons have no gradient.</summary>
        public Tensor Lt(Tensor other) => Elementwise.Binary<Lt>(this, other);

        public Tensor Lt(double other) => Elementwise.Binary<Lt>(this, ScalarLike(other));

        /// <summary>1 where this is at most <paramref name="other"/>, else 0.</summary>
        public Tensor Le(Tensor other) => Elementwise.Binary<Le>(this, other);

        public Tensor Le(double other) => Elementwise.Binary<Le>(this, ScalarLike(other));

        /// <summary>1 where this is greater than <paramref name="other"/>, else 0.</summary>
        public Tensor Gt(Tensor other) => Elementwise.Binary<Gt>(this, other);

        public Tensor Gt(double other) => Elementwise.Binary<Gt>(this, ScalarLike(other));

        /// <summary>1 where this is at least <paramref name="other"/>, else 0.</summary>
        public Tensor Ge(Tensor other) => Elementwise.Binary<Ge>(this, other);

        public Tensor Ge(double other) => Elementwise.Binary<Ge>(this, ScalarLike(other));

        /// <summary>1 where this equals <paramref name="other"/>, else 0; NaN equals nothing.</summary>
        public Tensor Eq(Tensor other) => Elementwise.Binary<Eq>(this, other);

        public Tensor Eq(double other) => Elementwise.Binary<Eq>(this, ScalarLike(other));

        /// <summary>0 where this equals <paramref name="other"/>, else 1.</summary>
        public Tensor Ne(Tensor other) => Elementwise.Binary<Ne>(this, other);

        public Tensor Ne(double other) => Elementwise.Binary<Ne>(this, ScalarLike(other));
    }
}

namespace RawDiffusion.Ops
{
    /// <summary>1 where x &lt; y, else 0.</summary>
    public readonly struct Lt : IBinaryOperation
    {
        public static string Name => "lt";

        public static double Reference(double x, double y, double a) => x < y ? 1 : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.LessThan(x, y) & V.Create(1);

        public static string Cuda => "x < y";

        public static Tensor? DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;

        public static Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;
    }

    /// <summary>1 where x &lt;= y, else 0.</summary>
    public readonly struct Le : IBinaryOperation
    {
        public static string Name => "le";

        public static double Reference(double x, double y, double a) => x <= y ? 1 : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.LessThanOrEqual(x, y) & V.Create(1);

        public static string Cuda => "x <= y";

        public static Tensor? DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;

        public static Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;
    }

    /// <summary>1 where x > y, else 0.</summary>
    public readonly struct Gt : IBinaryOperation
    {
        public static string Name => "gt";

        public static double Reference(double x, double y, double a) => x > y ? 1 : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.LessThan(y, x) & V.Create(1);

        public static string Cuda => "x > y";

        public static Tensor? DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;

        public static Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;
    }

    /// <summary>1 where x >= y, else 0.</summary>
    public readonly struct Ge : IBinaryOperation
    {
        public static string Name => "ge";

        public static double Reference(double x, double y, double a) => x >= y ? 1 : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.LessThanOrEqual(y, x) & V.Create(1);

        public static string Cuda => "x >= y";

        public static Tensor? DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;

        public static Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;
    }

    /// <summary>1 where x = y, else 0.</summary>
    public readonly struct Eq : IBinaryOperation
    {
        public static string Name => "eq";

        public static double Reference(double x, double y, double a) => x == y ? 1 : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.Equal(x, y) & V.Create(1);

        public static string Cuda => "x == y";

        public static Tensor? DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;

        public static Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;
    }

    /// <summary>0 where x = y, else 1 (also for NaN).</summary>
    public readonly struct Ne : IBinaryOperation
    {
        public static string Name => "ne";

        public static double Reference(double x, double y, double a) => x != y ? 1 : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Cpu<V>(V x, V y, V a) where V : struct, ISimd<V> => V.Select(V.Equal(x, y), V.Create(0), V.Create(1));

        public static string Cuda => "x != y";

        public static Tensor? DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;

        public static Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a) => null;
    }
}
