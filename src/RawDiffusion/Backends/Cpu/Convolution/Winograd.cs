using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Winograd's convolution F(4x4, 3x3): a tile of 4 x 4 output pixels from 6 x 6 input pixels with 36 multiplications per pair of
/// channels instead of 144. Source: Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308.
/// <code>
/// y = A^T [ (G g G^T) . (B^T d B) ] A        d: 6 x 6 pixels, g: 3 x 3 taps, y: 4 x 4 pixels; . is element by element
///
///       | r    0   -s    0    1   0 |          | 1/r                    |          | 1   0   0   0  |
///       | 0  -ab^2 -b^2  a    1   0 |          | n   n a   n a^2        |          | 1   a  a^2 a^3 |
/// B^T = | 0   ab^2 -b^2 -a    1   0 |      G = | n  -n a   n a^2        |      A = | 1  -a  a^2 -a^3|
///       | 0  -ba^2 -a^2  b    1   0 |          | m   m b   m b^2        |          | 1   b  b^2 b^3 |
///       | 0   ba^2 -a^2 -b    1   0 |          | m  -m b   m b^2        |          | 1  -b  b^2 -b^3|
///       | 0    r    0   -s    0   1 |          | 0    0     1           |          | 0   0   0   1  |
///
/// a = 3/4, b = 3/2, r = a^2 b^2, s = a^2 + b^2, n = 1 / (2 a^2 (a^2 - b^2)), m = 1 / (2 b^2 (b^2 - a^2))
/// </code>
/// </summary>
/// <remarks>
/// <para>
/// Why it works. Take four numbers y as the coefficients of a polynomial of degree 3 and three numbers g as one of degree 2: the
/// coefficients of their product, of degree 5, are a convolution, and a product can be had by multiplying values instead of
/// coefficients: evaluate both at five points (0, a, -a, b, -b) and "at infinity" (the leading coefficient), multiply the six
/// pairs of values, and interpolate. A and G evaluate, B^T transposed interpolates. The convolution of a network is the transpose
/// of this map (it takes six numbers to four), so the three matrices appear transposed. In two dimensions it is done along rows and
/// then along columns. The sum over input channels is taken between the two transformations: for each of the 36 points it is a
/// matrix product, tiles x channels times channels x outputs.
/// </para>
/// <para>
/// The gradients follow by the chain rule. The formula is linear in g, so gg = G^T [ (A gy A^T) . (B^T d B) ] G, summed over tiles
/// before the last step: F(3x3, 4x4) with the same three matrices. The input gradient is a convolution of gy with turned weights.
/// </para>
/// <para>
/// Error. The points (3/4, 3/2) lose half as much to rounding as the usual (1, 2), and are exact in binary. Measured against float64
/// with normal inputs, as a part of the root mean square of the result: y and gx err by 0.7e-6 (32 channels), 0.9e-6 (64) and 1.2e-6
/// (128 to 512) in the root mean square and by 1.1e-5 at most among 150,000 elements; gw by 0.7e-6 and 5e-6. The direct convolution
/// errs by 0.3e-6, 0.4e-6, 0.6e-6 to 1.1e-6, at most 1.2e-5; gw by 0.2e-6 and 2e-6. F(2x2, 3x3), of points 0, 1 and -1, errs less than
/// either, but multiplies 64 times where this multiplies 36 times.
/// </para>
/// </remarks>
internal static unsafe class Winograd
{
    /// <summary>Output pixels of a tile along each axis.</summary>
    public const int Out = 4;

    /// <summary>Input pixels of a tile along each axis.</summary>
    public const int In = 6;

    public const int Points = In * In;

    /// <summary>
    /// Results of this many elements, 4 MiB, are written past the caches, whole lines at a time: they would push out what is needed
    /// sooner, and a line that is written past the caches is not read first.
    /// </summary>
    public const long StreamedElements = 1L << 20;

    private const float A1 = 0.75f, A2 = A1 * A1, A3 = A2 * A1;

    private const float B1 = 1.5f, B2 = B1 * B1, B3 = B2 * B1;

    private const float R = A2 * B2, S = A2 + B2;

    private const float N = (float)(1 / (2.0 * A2 * (A2 - B2))), M = (float)(1 / (2.0 * B2 * (B2 - A2)));

    /// <summary>
    /// Whether this is faster than multiplying every tap. Counted in multiply-adds: per tile, 36 for each pair of channels and as
    /// much time as <see cref="TransformCost"/> for every channel; once, transforming the weights.
    /// </summary>
    /// <param name="lanes">Channels of a vector; the loops want at least one whole vector of either side's channels.</param>
    public static bool Pays(in ConvPlan plan, int lanes)
    {
        if (plan is not { TapRows: 3, TapColumns: 3, StepRow: 1, StepColumn: 1, Groups: 1 } || Math.Min(plan.Reduce, plan.Outputs) < lanes)
            return false;
        double pairs = (double)plan.Reduce * plan.Outputs, tiles = (double)plan.Batch * TilesAlong(plan.Rows) * TilesAlong(plan.Columns);
        return tiles * (Points * pairs + TransformCost * (plan.Reduce + plan.Outputs)) + WeightCost * pairs < 9 * pairs * plan.GridPoints;
    }

    /// <summary>Multiply-adds that could be made while one channel of a tile is transformed: about 15 cycles, 16 to a cycle.</summary>
    private const double TransformCost = 240;

    /// <summary>The same for one weight.</summary>
    private const double WeightCost = 150;

    /// <summary>Tiles that cover so many output pixels along an axis; the last may stick out.</summary>
    public static int TilesAlong(int pixels) => (pixels + Out - 1) / Out;

    /// <summary>An odd number of cache lines: the 36 points of a tile then lie in different sets of the cache.</summary>
    public static nint Apart(nint floats) => ((floats + 15) / 16 | 1) * 16;

    /// <summary>B^T d for six vectors, to places <paramref name="step"/> floats apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Image<V>(V d0, V d1, V d2, V d3, V d4, V d5, float* to, nint step) where V : struct, ISimd<V>
    {
        V.Store(V.MultiplyAdd(V.Create(R), d0, V.MultiplyAdd(V.Create(-S), d2, d4)), to);
        V even = V.MultiplyAdd(V.Create(-B2), d2, d4), odd = V.MultiplyAdd(V.Create(-A1 * B2), d1, V.Create(A1) * d3);
        V.Store(even + odd, to + step);
        V.Store(even - odd, to + 2 * step);
        even = V.MultiplyAdd(V.Create(-A2), d2, d4);
        odd = V.MultiplyAdd(V.Create(-B1 * A2), d1, V.Create(B1) * d3);
        V.Store(even + odd, to + 3 * step);
        V.Store(even - odd, to + 4 * step);
        V.Store(V.MultiplyAdd(V.Create(R), d1, V.MultiplyAdd(V.Create(-S), d3, d5)), to + 5 * step);
    }

    /// <summary>G g for three vectors, to six places <paramref name="step"/> floats apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Weight<V>(V g0, V g1, V g2, float* to, nint step) where V : struct, ISimd<V>
    {
        V.Store(V.Create(1 / R) * g0, to);
        V even = V.Create(N) * V.MultiplyAdd(V.Create(A2), g2, g0), odd = V.Create(N * A1) * g1;
        V.Store(even + odd, to + step);
        V.Store(even - odd, to + 2 * step);
        even = V.Create(M) * V.MultiplyAdd(V.Create(B2), g2, g0);
        odd = V.Create(M * B1) * g1;
        V.Store(even + odd, to + 3 * step);
        V.Store(even - odd, to + 4 * step);
        V.Store(g2, to + 5 * step);
    }

    /// <summary>A^T m for six vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Result<V>(V m0, V m1, V m2, V m3, V m4, V m5, out V y0, out V y1, out V y2, out V y3) where V : struct, ISimd<V>
    {
        V evenA = m1 + m2, oddA = m1 - m2, evenB = m3 + m4, oddB = m3 - m4;
        y0 = m0 + evenA + evenB;
        y1 = V.MultiplyAdd(V.Create(A1), oddA, V.Create(B1) * oddB);
        y2 = V.MultiplyAdd(V.Create(A2), evenA, V.Create(B2) * evenB);
        y3 = V.MultiplyAdd(V.Create(A3), oddA, V.MultiplyAdd(V.Create(B3), oddB, m5));
    }

    /// <summary>A gy for four vectors, to six places <paramref name="step"/> floats apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void GradResult<V>(V g0, V g1, V g2, V g3, float* to, nint step) where V : struct, ISimd<V>
    {
        V.Store(g0, to);
        V even = V.MultiplyAdd(V.Create(A2), g2, g0), odd = V.MultiplyAdd(V.Create(A3), g3, V.Create(A1) * g1);
        V.Store(even + odd, to + step);
        V.Store(even - odd, to + 2 * step);
        even = V.MultiplyAdd(V.Create(B2), g2, g0);
        odd = V.MultiplyAdd(V.Create(B3), g3, V.Create(B1) * g1);
        V.Store(even + odd, to + 3 * step);
        V.Store(even - odd, to + 4 * step);
        V.Store(g3, to + 5 * step);
    }

    /// <summary>G^T m for six vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void GradWeight<V>(V m0, V m1, V m2, V m3, V m4, V m5, out V g0, out V g1, out V g2) where V : struct, ISimd<V>
    {
        V evenA = V.Create(N) * (m1 + m2), evenB = V.Create(M) * (m3 + m4);
        g0 = V.MultiplyAdd(V.Create(1 / R), m0, evenA + evenB);
        g1 = V.MultiplyAdd(V.Create(N * A1), m1 - m2, V.Create(M * B1) * (m3 - m4));
        g2 = V.MultiplyAdd(V.Create(A2), evenA, V.MultiplyAdd(V.Create(B2), evenB, m5));
    }
}
