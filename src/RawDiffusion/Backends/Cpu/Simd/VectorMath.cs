using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Elementary functions over <see cref="ISimd{V}"/>, each with its stated error: the largest seen over all tested arguments against
/// float64, in units in the last place (ulp, 2^-23 relative at worst). The polynomials are minimax fits made for this file. The
/// errors hold where MultiplyAdd is fused; without that, allow one ulp more, and see <see cref="Pow{V}"/>. They are evaluated by
/// Estrin's scheme: a processor waits for the longest chain of operations here, not for their number.
/// </summary>
public static class VectorMath
{
    private const float Log2E = 1.44269504f;

    // ln 2 in two parts; the first has 15 bits, so its product with an exponent is exact.
    private const float Ln2High = 6.9314575195e-1f;
    private const float Ln2Low = 1.4286067653e-6f;

    private const float Infinity = float.PositiveInfinity;
    private const float SmallestNormal = 1.17549435e-38f;

    /// <summary>e^x. Error below 1.5 ulp, also where the result is denormal; 0 below -103.97, infinity above 88.72.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<V>(V x) where V : struct, ISimd<V>
    {
        x = V.MinNative(V.Create(89), V.MaxNative(V.Create(-104), x));
        V n = V.Round(x * V.Create(Log2E));
        V p = V.Create(1) + ExpM1Reduced(x, n);
        // 2^n does not fit one exponent field at either end, its halves do.
        V half = V.Round(n * V.Create(0.5f));
        return p * V.PowerOfTwo(half) * V.PowerOfTwo(n - half);
    }

    /// <summary>
    /// e^x without the care for extremes that <see cref="Exp{V}"/> takes: 0 below -87.68 and infinity above 88.37, in between the
    /// same error. For softmax, sigmoids and the like, where smaller values are lost anyway.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V ExpFlush<V>(V x) where V : struct, ISimd<V>
    {
        // At the limits n is -127 or 128: exponent fields that mean 0 and infinity.
        x = V.MinNative(V.Create(89), V.MaxNative(V.Create(-88), x));
        V n = V.Round(x * V.Create(Log2E));
        return (V.Create(1) + ExpM1Reduced(x, n)) * V.PowerOfTwo(n);
    }

    /// <summary>The natural logarithm. Error below 1.5 ulp, also for denormal x; -infinity at 0, NaN below.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Log<V>(V x) where V : struct, ISimd<V>
    {
        V isNormal = V.LessThanOrEqual(V.Create(SmallestNormal), x) & V.LessThan(x, V.Create(Infinity));
        return V.Any(isNormal ^ AllTrue<V>()) ? LogSpecial(x) : LogNormal(x);
    }

    /// <summary>log(1 + x), accurate near 0. Error below 2.5 ulp; -infinity at -1, NaN below.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Log1P<V>(V x) where V : struct, ISimd<V>
    {
        V one = V.Create(1);
        V u = one + x;
        // What rounding 1 + x to u lost counts 1 / u times (the derivative of log).
        V lost = (x - (u - one)) / u;
        V hasLost = V.LessThan(V.Create(0), u) & V.LessThan(u, V.Create(Infinity));
        return Log(u) + (hasLost & lost);
    }

    /// <summary>
    /// sin x. Error below 3 ulp for |x| up to 8192, by subtracting multiples of pi/2 in four parts; a vector with a larger lane
    /// is computed lane by lane, slowly, by the runtime's function. NaN at infinity.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sin<V>(V x) where V : struct, ISimd<V>
    {
        V absolute = V.Abs(x);
        if (V.Any(V.LessThanOrEqual(absolute, V.Create(8192)) ^ AllTrue<V>()))
            return SinByLane(x);
        V n = V.Round(absolute * V.Create(0.636619772f));
        return SinQuadrant(ReduceQuadrant(absolute, n), n) ^ (x & V.Create(-0f));
    }

    /// <summary>cos x, as <see cref="Sin{V}"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Cos<V>(V x) where V : struct, ISimd<V>
    {
        V absolute = V.Abs(x);
        if (V.Any(V.LessThanOrEqual(absolute, V.Create(8192)) ^ AllTrue<V>()))
            return CosByLane(x);
        V n = V.Round(absolute * V.Create(0.636619772f));
        return SinQuadrant(ReduceQuadrant(absolute, n), n + V.Create(1));
    }

    /// <summary>tanh x. Error below 3 ulp over the whole range.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Tanh<V>(V x) where V : struct, ISimd<V>
    {
        // (e^2|x| - 1) / (e^2|x| + 1), the numerator by expm1 so that small x keeps its digits. From 9.02 on it is 1.
        V twice = V.MinNative(V.Create(19), V.Abs(x) + V.Abs(x));
        V n = V.Round(twice * V.Create(Log2E));
        V power = V.PowerOfTwo(n);
        V m = V.MultiplyAdd(ExpM1Reduced(twice, n), power, power - V.Create(1));
        return m / (m + V.Create(2)) | (x & V.Create(-0f));
    }

    /// <summary>1 / (1 + exp(-x)). Error below 3 ulp; 0 below -88.37.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sigmoid<V>(V x) where V : struct, ISimd<V> => V.Create(1) / (V.Create(1) + ExpFlush(-x));

    /// <summary>log(1 + exp(x)). Error below 2 ulp; 0 below -88.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Softplus<V>(V x) where V : struct, ISimd<V>
    {
        // max(x, 0) + log(1 + t) with t in (0, 1]; above sqrt(2) - 1 as log 2 + log(1 + (t - 1) / 2), so nothing is rounded
        // before the polynomial.
        V t = ExpFlush(-V.Abs(x));
        V isLarge = V.LessThan(V.Create(0.414213562f), t);
        V f = V.Select(isLarge, V.MultiplyAdd(t, V.Create(0.5f), V.Create(-0.5f)), t);
        V log = LogNearOne(f, isLarge & V.Create(Ln2Low)) + (isLarge & V.Create(Ln2High));
        return V.MaxNative(V.Create(0), x) + log;
    }

    /// <summary>The error function 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x. Error below 2 ulp.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Erf<V>(V x) where V : struct, ISimd<V>
    {
        V absolute = V.Abs(x);
        V large = (V.Create(1) - ErfC(absolute)) | (x & V.Create(-0f));
        return V.Select(V.LessThan(absolute, V.Create(1)), ErfSmall(x), large);
    }

    /// <summary>
    /// The distribution function of the standard normal, (1 + erf(x / sqrt 2)) / 2. Relative error below 4e-6 for x > -5 and 3e-5
    /// in the whole lower tail, where it does not cancel.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V NormalCdf<V>(V x) where V : struct, ISimd<V>
    {
        V half = V.Create(0.5f);
        V scaled = x * V.Create(0.707106781f), absolute = V.Abs(scaled);
        V tail = half * ErfC(absolute);
        V large = V.Select(V.LessThan(x, V.Create(0)), tail, V.Create(1) - tail);
        return V.Select(V.LessThan(absolute, V.Create(1)), V.MultiplyAdd(half, ErfSmall(scaled), half), large);
    }

    /// <summary>
    /// x^y by the rules of C's powf. Error below 2 ulp where MultiplyAdd is fused, otherwise up to 1e-5 relative for large results.
    /// A vector with a lane where x is 0, denormal, infinite or NaN, or y is infinite or NaN, is computed lane by lane.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Pow<V>(V x, V y) where V : struct, ISimd<V>
    {
        V infinity = V.Create(Infinity), absolute = V.Abs(x);
        V isPlain = V.LessThanOrEqual(V.Create(SmallestNormal), absolute) & V.LessThan(absolute, infinity) & V.LessThan(V.Abs(y), infinity);
        if (V.Any(isPlain ^ AllTrue<V>()))
            return PowByLane(x, y);
        V result = PowPositive(absolute, y);
        // A negative x has a power for whole y only; its sign is that of x where y is odd.
        V half = y * V.Create(0.5f);
        V isWhole = V.Equal(V.Floor(y), y), isEven = V.Equal(V.Floor(half), half);
        V signed = V.Select(isWhole, V.Select(isEven, result, -result), V.Create(float.NaN));
        return V.Select(V.LessThan(x, V.Create(0)), signed, result);
    }

    /// <summary>The logarithm of normal, positive, finite x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V LogNormal<V>(V x) where V : struct, ISimd<V>
    {
        // m in [sqrt(1/2), sqrt(2)], so that log m is small where log x is.
        V one = V.Create(1), exponent = V.Exponent(x), m = V.Mantissa(x);
        V isLarge = V.LessThan(V.Create(1.41421356f), m);
        m = V.Select(isLarge, m * V.Create(0.5f), m);
        exponent += isLarge & one;
        return V.MultiplyAdd(exponent, V.Create(Ln2High), LogNearOne(m - one, exponent * V.Create(Ln2Low)));
    }

    /// <summary>log(1 + f) + low for f in [sqrt(1/2) - 1, sqrt(2) - 1]: f - f^2 / 2 + f^3 p(f), small terms first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V LogNearOne<V>(V f, V low) where V : struct, ISimd<V>
    {
        V square = f * f;
        V a = V.MultiplyAdd(V.Create(-2.500081956e-1f), f, V.Create(3.333333135e-1f));
        V b = V.MultiplyAdd(V.Create(-1.662335694e-1f), f, V.Create(2.000122666e-1f));
        V c = V.MultiplyAdd(V.Create(-1.316018105e-1f), f, V.Create(1.420175880e-1f));
        V d = V.MultiplyAdd(V.Create(-7.634491473e-2f), f, V.Create(1.276157051e-1f));
        V p = V.MultiplyAdd(V.MultiplyAdd(d, square, c), square * square, V.MultiplyAdd(b, square, a));
        return V.MultiplyAdd(V.Create(-0.5f), square, V.MultiplyAdd(f * square, p, low)) + f;
    }

    /// <summary>The logarithm where some lanes are denormal, 0, negative, infinite or NaN.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static V LogSpecial<V>(V x) where V : struct, ISimd<V>
    {
        V zero = V.Create(0);
        V isTiny = V.LessThan(x, V.Create(SmallestNormal));
        V result = LogNormal(V.Select(isTiny, x * V.Create(16777216), x)) - (isTiny & V.Create(16.6355323f));
        V special = V.Select(V.Equal(x, zero), V.Create(-Infinity), V.Select(V.LessThan(x, zero), V.Create(float.NaN), x));
        return V.Select(V.LessThan(zero, x) & V.LessThan(x, V.Create(Infinity)), result, special);
    }

    /// <summary>e^r - 1 for r = x - n ln 2, |r| up to about ln(2) / 2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V ExpM1Reduced<V>(V x, V n) where V : struct, ISimd<V>
    {
        V r = V.MultiplyAdd(n, V.Create(-Ln2High), x);
        return ExpM1Small(V.MultiplyAdd(n, V.Create(-Ln2Low), r));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V ExpM1Small<V>(V r) where V : struct, ISimd<V>
    {
        V square = r * r;
        V low = V.MultiplyAdd(V.Create(1.666654199e-1f), r, V.Create(0.5f));
        V high = V.MultiplyAdd(V.Create(8.366621099e-3f), r, V.Create(4.166628048e-2f));
        high = V.MultiplyAdd(V.Create(1.394651481e-3f), square, high);
        return V.MultiplyAdd(V.MultiplyAdd(high, square, low), square, r);
    }

    /// <summary>x - n pi / 2; the first three parts of pi / 2 have 11 bits or fewer, so their products with n are exact.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V ReduceQuadrant<V>(V x, V n) where V : struct, ISimd<V>
    {
        V r = V.MultiplyAdd(n, V.Create(-1.5703125f), x);
        r = V.MultiplyAdd(n, V.Create(-4.8375129700e-4f), r);
        r = V.MultiplyAdd(n, V.Create(-7.5495336205e-8f), r);
        return V.MultiplyAdd(n, V.Create(-2.5633440683e-12f), r);
    }

    /// <summary>sin(r + n pi / 2) for |r| up to pi / 4.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V SinQuadrant<V>(V r, V n) where V : struct, ISimd<V>
    {
        V square = r * r;
        V s = V.MultiplyAdd(V.Create(-1.951859886e-4f), square, V.Create(8.332191035e-3f));
        s = V.MultiplyAdd(s, square, V.Create(-1.666665524e-1f));
        s = V.MultiplyAdd(s, square * r, r);
        V c = V.MultiplyAdd(V.Create(2.443067024e-5f), square, V.Create(-1.388730132e-3f));
        c = V.MultiplyAdd(c, square, V.Create(4.166664556e-2f));
        c = V.MultiplyAdd(c, square * square, V.MultiplyAdd(V.Create(-0.5f), square, V.Create(1)));
        return V.Select(V.HasBit(n, 0), c, s) ^ (V.HasBit(n, 1) & V.Create(-0f));
    }

    /// <summary>erf x for |x| below 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V ErfSmall<V>(V x) where V : struct, ISimd<V>
    {
        V z = x * x, square = z * z;
        V a = V.MultiplyAdd(V.Create(-3.761262596e-1f), z, V.Create(1.283791661e-1f));
        V b = V.MultiplyAdd(V.Create(-2.685444430e-2f), z, V.Create(1.128360033e-1f));
        V c = V.MultiplyAdd(V.Create(-8.020842797e-4f), z, V.Create(5.189535674e-3f));
        c = V.MultiplyAdd(V.Create(7.889124390e-5f), square, c);
        V p = V.MultiplyAdd(c, square * square, V.MultiplyAdd(b, square, a));
        return V.MultiplyAdd(p, x, x);
    }

    /// <summary>1 - erf t for t from 1 on, as exp(t p(t)): relative error below 4e-6 up to 3.5 and 3e-5 up to 9; 0 from 9.3 on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V ErfC<V>(V t) where V : struct, ISimd<V>
    {
        // Around 4, the middle of the range, the polynomial does not cancel.
        V u = V.MinNative(V.Create(9.3f), t) - V.Create(4);
        V square = u * u, fourth = square * square;
        V a = V.MultiplyAdd(V.Create(-9.348571897e-1f), u, V.Create(-4.496944427f));
        V b = V.MultiplyAdd(V.Create(1.462695771e-3f), u, V.Create(-9.648087434e-3f));
        V c = V.MultiplyAdd(V.Create(3.235785698e-5f), u, V.Create(-2.193441615e-4f));
        V d = V.MultiplyAdd(V.Create(6.313439940e-7f), u, V.Create(-4.748169886e-6f));
        V e = V.MultiplyAdd(V.Create(2.539289445e-9f), u, V.Create(-5.871034503e-8f));
        V p = V.MultiplyAdd(V.MultiplyAdd(e, fourth, V.MultiplyAdd(d, square, c)), fourth, V.MultiplyAdd(b, square, a));
        return ExpFlush(p * t);
    }

    /// <summary>x^y for normal x > 0: exp(y log x), the logarithm and the product kept in two floats each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V PowPositive<V>(V x, V y) where V : struct, ISimd<V>
    {
        V one = V.Create(1), exponent = V.Exponent(x), m = V.Mantissa(x);
        V isLarge = V.LessThan(V.Create(1.41421356f), m);
        m = V.Select(isLarge, m * V.Create(0.5f), m);
        exponent += isLarge & one;
        // log m = 2 atanh(s) with s = (m - 1) / (m + 1) = high + low, each part to float32.
        V f = m - one, d = m + one, dLow = f - (d - V.Create(2));
        V s = f / d;
        V sLow = (V.MultiplyAdd(-s, d, f) - s * dLow) / d;
        V square = s * s;
        V p = V.MultiplyAdd(V.Create(2.427683622e-1f), square, V.Create(2.849883735e-1f));
        p = V.MultiplyAdd(p, square, V.Create(4.000097215e-1f));
        p = V.MultiplyAdd(p, square, V.Create(6.666666269e-1f));
        V leading = exponent * V.Create(Ln2High), twice = s + s;
        V sum = leading + twice;
        V rest = (twice - (sum - leading)) + sLow + sLow + V.MultiplyAdd(p, square * s, exponent * V.Create(Ln2Low));
        V high = sum + rest, low = rest - (high - sum);
        // Beyond +-150 the result is infinite or 0 whatever the low part is.
        V product = V.MinNative(V.Create(150), V.MaxNative(V.Create(-150), y * high));
        V isFinite = V.LessThan(V.Abs(product), V.Create(150));
        V productLow = isFinite & V.MultiplyAdd(y, low, V.MultiplyAdd(y, high, -product));
        V n = V.Round(product * V.Create(Log2E));
        V r = V.MultiplyAdd(n, V.Create(-Ln2High), product);
        r = V.MultiplyAdd(n, V.Create(-Ln2Low), r) + productLow;
        // 2^n in three factors: n reaches +-217 here.
        V third = V.Round(n * V.Create(1f / 3));
        V power = V.PowerOfTwo(third);
        return (one + ExpM1Small(r)) * power * power * V.PowerOfTwo(n - third - third);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V AllTrue<V>() where V : struct, ISimd<V> => V.Equal(V.Create(0), V.Create(0));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe V SinByLane<V>(V x) where V : struct, ISimd<V>
    {
        float* lanes = stackalloc float[16];
        V.Store(x, lanes);
        for (int i = 0; i < V.Count; i++)
            lanes[i] = MathF.Sin(lanes[i]);
        return V.Load(lanes);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe V CosByLane<V>(V x) where V : struct, ISimd<V>
    {
        float* lanes = stackalloc float[16];
        V.Store(x, lanes);
        for (int i = 0; i < V.Count; i++)
            lanes[i] = MathF.Cos(lanes[i]);
        return V.Load(lanes);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe V PowByLane<V>(V x, V y) where V : struct, ISimd<V>
    {
        float* bases = stackalloc float[16];
        float* exponents = stackalloc float[16];
        V.Store(x, bases);
        V.Store(y, exponents);
        for (int i = 0; i < V.Count; i++)
            bases[i] = MathF.Pow(bases[i], exponents[i]);
        return V.Load(bases);
    }
}
