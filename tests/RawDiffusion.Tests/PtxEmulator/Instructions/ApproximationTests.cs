using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>The .approx instructions: correctly rounded by default, within their documented error where that is asked for.</summary>
public class ApproximationTests
{
    private static readonly LaunchOptions s_perturbed = new() { ApproximationSeed = 12345 };

    private static double Value(ulong bits) => BitConverter.UInt32BitsToSingle((uint)bits);

    /// <summary>
    /// A result correctly rounded is within half a unit in the last place of the exact one; float64, in which that is computed here, adds
    /// less than a thousandth of a unit.
    /// </summary>
    private static void Nearest(string text, Func<double, double> function, Func<double, bool> where)
    {
        ulong[][] columns = Inputs(where);
        ulong[] results = Instruct.Run(text, "f32", ["f32"], columns, LaunchOptions.Default);
        for (int i = 0; i < results.Length; i++)
        {
            double x = Value(columns[0][i]), exact = function(x), result = Value(results[i]);
            Check(text, x, exact, result, Math.Abs(exact - result) <= 0.501 * Unit(exact));
        }
    }

    /// <summary>Perturbed results differ from the correctly rounded ones, but by no more than the bound, relative or absolute.</summary>
    private static void Within(string text, Func<double, double> function, double relative, double absolute, Func<double, bool> where)
    {
        ulong[][] columns = Inputs(where);
        ulong[] results = Instruct.Run(text, "f32", ["f32"], columns, s_perturbed), again = Instruct.Run(text, "f32", ["f32"], columns, s_perturbed);
        Assert.Equal(results, again);
        int moved = 0;
        for (int i = 0; i < results.Length; i++)
        {
            double x = Value(columns[0][i]), exact = function(x), result = Value(results[i]);
            // Half a unit for the rounding that ends the computation.
            Check(text, x, exact, result, Math.Abs(exact - result) <= relative * Math.Abs(exact) + absolute + 0.501 * Unit(exact));
            moved += (float)exact != (float)result ? 1 : 0;
        }
        Assert.True(moved > results.Length / 20, $"{text} moved {moved} of {results.Length} results");
    }

    private static void Check(string text, double x, double exact, double result, bool close)
    {
        float rounded = (float)exact;
        bool same = double.IsNaN(exact) ? double.IsNaN(result) : float.IsInfinity(rounded) || exact == 0 ? rounded == result : close;
        if (!same)
            Assert.Fail($"{text} of {x:R} is {result:R}, not {exact:R}");
    }

    private static double Unit(double value) => Math.Max(Math.ScaleB(1, Math.ILogB(value == 0 ? double.Epsilon : value) - 23), float.Epsilon);

    private static ulong[][] Inputs(Func<double, bool> where) => [[.. Operands.For("f32")[0].Where(a => where(Value(a)))]];

    private static bool Any(double x) => true;

    private static bool Normal(double x) => x == 0 || !float.IsSubnormal((float)x);

    [Fact]
    public void Reciprocals()
    {
        Nearest("rcp.approx.f32 r, a;", x => 1 / x, Any);
        Nearest("rcp.approx.ftz.f32 r, a;", x => Flush(1 / Flush(x)), Any);
        Within("rcp.approx.f32 r, a;", x => 1 / x, Math.ScaleB(1, -23), 0, Normal);
    }

    [Fact]
    public void SquareRoots()
    {
        Nearest("sqrt.approx.f32 r, a;", Math.Sqrt, Any);
        Nearest("rsqrt.approx.f32 r, a;", x => 1 / Math.Sqrt(x), Any);
        Nearest("rsqrt.approx.ftz.f32 r, a;", x => 1 / Math.Sqrt(Flush(x)), Any);
        Within("sqrt.approx.f32 r, a;", Math.Sqrt, Math.ScaleB(1, -23), 0, x => x > 0 && Normal(x));
        Within("rsqrt.approx.f32 r, a;", x => 1 / Math.Sqrt(x), Math.Pow(2, -22.9), 0, x => x > 0 && Normal(x));
    }

    [Fact]
    public void SinesAndCosines()
    {
        // Beyond that float64 itself loses what the reduction needs.
        Nearest("sin.approx.f32 r, a;", Math.Sin, x => double.IsNaN(x) || double.IsInfinity(x) || Math.Abs(x) < 1e5);
        Nearest("cos.approx.f32 r, a;", Math.Cos, x => double.IsNaN(x) || double.IsInfinity(x) || Math.Abs(x) < 1e5);
        Within("sin.approx.f32 r, a;", Math.Sin, 0, Math.Pow(2, -20.5), x => Math.Abs(x) < 6.28 && Math.Abs(x) > 0.01);
        Within("cos.approx.f32 r, a;", Math.Cos, 0, Math.Pow(2, -20.5), x => Math.Abs(x) < 6.28);
    }

    [Fact]
    public void Exponentials()
    {
        Nearest("ex2.approx.f32 r, a;", x => Math.Pow(2, x), Any);
        Nearest("ex2.approx.ftz.f32 r, a;", x => Flush(Math.Pow(2, Flush(x))), Any);
        Within("ex2.approx.f32 r, a;", x => Math.Pow(2, x), Math.ScaleB(1, -22), 0, x => Math.Abs(x) is < 120 and > 1e-3);
    }

    [Fact]
    public void Logarithms()
    {
        Nearest("lg2.approx.f32 r, a;", Math.Log2, Any);
        Nearest("lg2.approx.ftz.f32 r, a;", x => Math.Log2(Flush(x)), Any);
        Within("lg2.approx.f32 r, a;", Math.Log2, Math.ScaleB(1, -22), Math.ScaleB(1, -22), x => x > 0 && !double.IsInfinity(x));
    }

    [Fact]
    public void HyperbolicTangents()
    {
        Nearest("tanh.approx.f32 r, a;", Math.Tanh, Any);
        Within("tanh.approx.f32 r, a;", Math.Tanh, Math.ScaleB(1, -11), 0, x => Math.Abs(x) is < 5 and > 1e-3);
    }

    [Fact]
    public void Quotients()
    {
        foreach (string name in new[] { "div.approx.f32", "div.full.f32" })
        {
            // For divisors from 2^-126 to 2^126 the error is at most 2 units.
            ulong[][] columns = Operands.For("f32", "f32");
            bool[] said = [.. columns[1].Select(b => Math.Abs(Value(b)) is >= 1.1754943508222875E-38 and <= 8.507059173023462E+37)];
            columns = Array.ConvertAll(columns, c => c.Where((_, i) => said[i]).ToArray());
            foreach (var options in new[] { LaunchOptions.Default, s_perturbed })
            {
                ulong[] results = Instruct.Run($"{name} r, a, b;", "f32", ["f32", "f32"], columns, options);
                for (int i = 0; i < results.Length; i++)
                {
                    double exact = Value(columns[0][i]) / Value(columns[1][i]), result = Value(results[i]);
                    double bound = options == s_perturbed ? 2.501 : 0.501;
                    bool edge = Math.Abs(exact) > 3.3e38 && options == s_perturbed;
                    Check(name, Value(columns[1][i]), exact, result, edge || Math.Abs(exact - result) <= bound * Math.Max(Unit(exact), Unit((float)result)));
                }
            }
        }
    }

    /// <summary>div.approx.f32 multiplies by the reciprocal, which is zero for divisors beyond 2^126; div.full.f32 scales its operands first.</summary>
    [Fact]
    public void DivisorsBeyondTwoToThe126GiveZeroOrNaNByTheApproximation()
    {
        float[] divisors = [MathF.BitIncrement(8.5070592e37f), -1.5e38f, float.MaxValue], dividends = [1, -3e38f, float.PositiveInfinity, float.NaN];
        ulong[][] columns =
        [
            [.. dividends.SelectMany(a => divisors.Select(_ => (ulong)BitConverter.SingleToUInt32Bits(a)))],
            [.. dividends.SelectMany(_ => divisors.Select(b => (ulong)BitConverter.SingleToUInt32Bits(b)))],
        ];
        foreach (var options in new[] { LaunchOptions.Default, s_perturbed })
        {
            ulong[] approximate = Instruct.Run("div.approx.f32 r, a, b;", "f32", ["f32", "f32"], columns, options);
            ulong[] full = Instruct.Run("div.full.f32 r, a, b;", "f32", ["f32", "f32"], columns, options);
            for (int i = 0; i < full.Length; i++)
            {
                double a = Value(columns[0][i]), exact = a / Value(columns[1][i]);
                Assert.Equal(double.IsFinite(a) ? 0 : double.NaN, Math.Abs(Value(approximate[i])));
                Check("div.full.f32", a, exact, Value(full[i]), Math.Abs(exact - Value(full[i])) <= 2.501 * Unit(exact));
            }
        }
    }

    [Theory]
    [InlineData("f16")]
    [InlineData("bf16")]
    public void SixteenBits(string type)
    {
        var format = ExactFloat.Of(type);
        foreach (var (name, function) in new (string, Func<double, double>)[] { ("ex2.approx", x => Math.Pow(2, x)), ("tanh.approx", Math.Tanh) })
        {
            string flush = name == "ex2.approx" && type == "bf16" ? ".ftz" : "";
            ulong[] values = Operands.Exhaustive(type)[0], results = Instruct.Run($"{name}{flush}.{type} r, a;", type, [type], [values], LaunchOptions.Default);
            for (int i = 0; i < values.Length; i++)
            {
                double x = Wide(flush.Length > 0 ? format.Flush(values[i]) : values[i]), exact = function(x);
                ulong expected = ExactFloat.Double.Convert(BitConverter.DoubleToUInt64Bits(exact), format, Round.Nearest);
                if (flush.Length > 0)
                    expected = format.Flush(expected);
                if (expected != results[i])
                    Assert.Fail($"{name}.{type} of {x:R} is 0x{results[i]:X}, not 0x{expected:X}");
            }

            double Wide(ulong bits) => BitConverter.UInt64BitsToDouble(format.Convert(bits, ExactFloat.Double, Round.Nearest));
        }
    }

    private static double Flush(double x) => Math.Abs(x) < 1.1754943508222875E-38 ? Math.CopySign(0, x) : x;
}
