namespace RawDiffusion.Tests;

/// <summary>Arithmetic of float32, float64 and the 16-bit formats against exact integers of any length.</summary>
public class FloatArithmeticTests
{
    private static Round Parse(string rounding) => rounding switch { "rz" => Round.Zero, "rm" => Round.Down, "rp" => Round.Up, _ => Round.Nearest };

    /// <summary>Of float64 NaNs the manual says no bits.</summary>
    private static void Equal(string mnemonic, string type, int operands, Func<ExactFloat, ulong[], ulong> definition)
    {
        var format = ExactFloat.Of(type);
        bool flush = mnemonic.Contains(".ftz"), saturate = mnemonic.Contains(".sat");
        string text = Instruct.Text($"{mnemonic}.{type}", operands);
        if (type == "f64")
            text = text.Replace(" r,", " l1,") + "testp.notanumber.f64 q, l1; selp.b64 r, 0x7FF8000000000000, l1, q;";
        Instruct.Equal($"{mnemonic}.{type}", text, type, [.. Enumerable.Repeat(type, operands)], values =>
        {
            ulong result = definition(format, flush ? Array.ConvertAll(values, format.Flush) : values);
            result = saturate ? format.Saturate(result) : result;
            return flush ? format.Flush(result) : result;
        });
    }

    [Theory]
    [InlineData("add", "f32")]
    [InlineData("add.rz", "f32")]
    [InlineData("add.rm", "f32")]
    [InlineData("add.rp.ftz", "f32")]
    [InlineData("add.ftz.sat", "f32")]
    [InlineData("add.sat", "f32")]
    [InlineData("add.rn", "f64")]
    [InlineData("add.rz", "f64")]
    [InlineData("add.rm", "f64")]
    [InlineData("add.rp", "f64")]
    [InlineData("add", "f16")]
    [InlineData("add.ftz.sat", "f16")]
    [InlineData("add", "bf16")]
    public void Sums(string mnemonic, string type) => Equal(mnemonic, type, 2, (f, v) => f.Add(v[0], v[1], Parse(Rounding(mnemonic))));

    [Theory]
    [InlineData("sub", "f32")]
    [InlineData("sub.rz.ftz", "f32")]
    [InlineData("sub.rm", "f32")]
    [InlineData("sub.rp", "f64")]
    [InlineData("sub", "f16")]
    [InlineData("sub.sat", "f16")]
    [InlineData("sub", "bf16")]
    public void Differences(string mnemonic, string type) =>
        Equal(mnemonic, type, 2, (f, v) => f.Add(v[0], f.IsNaN(v[1]) ? v[1] : v[1] ^ f.SignBit, Parse(Rounding(mnemonic))));

    [Theory]
    [InlineData("mul", "f32")]
    [InlineData("mul.rz", "f32")]
    [InlineData("mul.rm", "f32")]
    [InlineData("mul.rp", "f32")]
    [InlineData("mul.ftz", "f32")]
    [InlineData("mul.ftz.sat", "f32")]
    [InlineData("mul", "f64")]
    [InlineData("mul.rz", "f64")]
    [InlineData("mul.rm", "f64")]
    [InlineData("mul.rp", "f64")]
    [InlineData("mul", "f16")]
    [InlineData("mul.ftz", "f16")]
    [InlineData("mul", "bf16")]
    public void Products(string mnemonic, string type) => Equal(mnemonic, type, 2, (f, v) => f.Multiply(v[0], v[1], Parse(Rounding(mnemonic))));

    [Theory]
    [InlineData("fma.rn", "f32")]
    [InlineData("fma.rz", "f32")]
    [InlineData("fma.rm", "f32")]
    [InlineData("fma.rp", "f32")]
    [InlineData("fma.rn.ftz", "f32")]
    [InlineData("fma.rn.sat", "f32")]
    [InlineData("mad.rn", "f32")]
    [InlineData("fma.rn", "f64")]
    [InlineData("fma.rz", "f64")]
    [InlineData("fma.rm", "f64")]
    [InlineData("fma.rp", "f64")]
    [InlineData("fma.rn", "f16")]
    [InlineData("fma.rn.ftz.sat", "f16")]
    [InlineData("fma.rn", "bf16")]
    public void FusedProductsAndSums(string mnemonic, string type) =>
        Equal(mnemonic, type, 3, (f, v) => f.Fma(v[0], v[1], v[2], Parse(Rounding(mnemonic))));

    [Theory]
    [InlineData("fma.rn.relu", "f16")]
    [InlineData("fma.rn.relu", "bf16")]
    public void FusedProductsAndSumsOfNoLessThanZero(string mnemonic, string type) => Equal(mnemonic, type, 3, (f, v) =>
    {
        ulong result = f.Fma(v[0], v[1], v[2], Round.Nearest);
        return f.IsNaN(result) || !f.IsNegative(result) ? result : 0;
    });

    [Theory]
    [InlineData("div.rn", "f32")]
    [InlineData("div.rz", "f32")]
    [InlineData("div.rm", "f32")]
    [InlineData("div.rp", "f32")]
    [InlineData("div.rn.ftz", "f32")]
    [InlineData("div.rn", "f64")]
    [InlineData("div.rz", "f64")]
    [InlineData("div.rm", "f64")]
    [InlineData("div.rp", "f64")]
    public void Quotients(string mnemonic, string type) => Equal(mnemonic, type, 2, (f, v) => f.Divide(v[0], v[1], Parse(Rounding(mnemonic))));

    [Theory]
    [InlineData("rcp.rn", "f32")]
    [InlineData("rcp.rz", "f32")]
    [InlineData("rcp.rm.ftz", "f32")]
    [InlineData("rcp.rp", "f32")]
    [InlineData("rcp.rn", "f64")]
    [InlineData("rcp.rz", "f64")]
    [InlineData("rcp.rp", "f64")]
    public void Reciprocals(string mnemonic, string type) => Equal(mnemonic, type, 1, (f, v) => f.Divide(f.One, v[0], Parse(Rounding(mnemonic))));

    [Theory]
    [InlineData("sqrt.rn", "f32")]
    [InlineData("sqrt.rz", "f32")]
    [InlineData("sqrt.rm", "f32")]
    [InlineData("sqrt.rp.ftz", "f32")]
    [InlineData("sqrt.rn", "f64")]
    [InlineData("sqrt.rz", "f64")]
    [InlineData("sqrt.rm", "f64")]
    [InlineData("sqrt.rp", "f64")]
    public void SquareRoots(string mnemonic, string type) => Equal(mnemonic, type, 1, (f, v) => f.SquareRoot(v[0], Parse(Rounding(mnemonic))));

    [Theory]
    [InlineData("min", "f32")]
    [InlineData("max", "f32")]
    [InlineData("min.ftz", "f32")]
    [InlineData("max.NaN", "f32")]
    [InlineData("min.NaN", "f32")]
    [InlineData("max.ftz.xorsign.abs", "f32")]
    [InlineData("min.xorsign.abs", "f32")]
    [InlineData("min", "f64")]
    [InlineData("max", "f64")]
    [InlineData("min", "f16")]
    [InlineData("max.NaN", "f16")]
    [InlineData("max", "bf16")]
    [InlineData("min.NaN", "bf16")]
    public void SmallerAndLargerOnes(string mnemonic, string type) => Equal(mnemonic, type, 2, (f, v) =>
    {
        var (a, b) = (v[0], v[1]);
        ulong sign = (a ^ b) & f.SignBit;
        bool xorsign = mnemonic.Contains("xorsign");
        if (xorsign)
            (a, b) = (a & ~f.SignBit, b & ~f.SignBit);
        if (f.IsNaN(a) || f.IsNaN(b))
        {
            if (mnemonic.Contains("NaN") || (f.IsNaN(a) && f.IsNaN(b)))
                return f.CanonicalNaN;
            return (f.IsNaN(a) ? b : a) | (xorsign ? sign : 0);
        }
        // -0 counts as less than +0.
        int order = f.Compare(a, b) is var c && c != 0 ? c!.Value : f.IsNegative(b).CompareTo(f.IsNegative(a));
        return (mnemonic.StartsWith("min", StringComparison.Ordinal) == order < 0 ? a : b) | (xorsign ? sign : 0);
    });

    [Theory]
    [InlineData("f32", "")]
    [InlineData("f32", ".ftz")]
    [InlineData("f64", "")]
    [InlineData("f16", "")]
    [InlineData("bf16", "")]
    public void AbsoluteValuesAndNegation(string type, string ftz)
    {
        // The bits of a NaN are not said: numbers alone.
        var format = ExactFloat.Of(type);
        ulong[] numbers = [.. (type.Contains("16") ? Operands.Exhaustive(type) : Operands.For(type))[0].Where(a => !format.IsNaN(a))];
        Func<ulong, ulong> flushed = a => ftz.Length > 0 ? format.Flush(a) : a;
        Instruct.Equal($"abs{ftz}.{type}", Instruct.Text($"abs{ftz}.{type}", 1), type, [type], [numbers], v => flushed(v[0]) & ~format.SignBit);
        Instruct.Equal($"neg{ftz}.{type}", Instruct.Text($"neg{ftz}.{type}", 1), type, [type], [numbers], v => flushed(v[0]) ^ format.SignBit);
    }

    [Theory]
    [InlineData("f32")]
    [InlineData("f64")]
    public void TheSignOfAWithTheMagnitudeOfB(string type)
    {
        var format = ExactFloat.Of(type);
        Instruct.Equal($"copysign.{type}", type, [type, type], v => (v[0] & format.SignBit) | (v[1] & ~format.SignBit));
    }

    [Theory]
    [InlineData("f32")]
    [InlineData("f64")]
    public void Classes(string type)
    {
        var f = ExactFloat.Of(type);
        Test("finite", a => !f.IsNaN(a) && !f.IsInfinite(a));
        Test("infinite", f.IsInfinite);
        Test("number", a => !f.IsNaN(a));
        Test("notanumber", f.IsNaN);
        // Zeros count as normal.
        Test("normal", a => !f.IsNaN(a) && !f.IsInfinite(a) && !f.IsSubnormal(a));
        Test("subnormal", f.IsSubnormal);

        void Test(string name, Func<ulong, bool> definition) => Instruct.Equal($"testp.{name}.{type}", "pred", [type], v => definition(v[0]) ? 1u : 0u);
    }

    [Theory]
    [InlineData("f16x2", "f16")]
    [InlineData("bf16x2", "bf16")]
    public void PairsAreComputedSideBySide(string type, string half)
    {
        var f = ExactFloat.Of(half);
        Pairs("add", 2, v => f.Add(v[0], v[1], Round.Nearest));
        Pairs("sub", 2, v => f.Add(v[0], f.IsNaN(v[1]) ? v[1] : v[1] ^ f.SignBit, Round.Nearest));
        Pairs("mul", 2, v => f.Multiply(v[0], v[1], Round.Nearest));
        Pairs("fma.rn", 3, v => f.Fma(v[0], v[1], v[2], Round.Nearest));
        Pairs("max.NaN", 2, v => f.IsNaN(v[0]) || f.IsNaN(v[1]) ? f.CanonicalNaN
            : f.Compare(v[0], v[1]) is var c && c == 0 ? f.IsNegative(v[0]) ? v[1] : v[0] : c > 0 ? v[0] : v[1]);

        void Pairs(string mnemonic, int operands, Func<ulong[], ulong> definition) => Instruct.Equal(
            $"{mnemonic}.{type}", "b32", [.. Enumerable.Repeat("b32", operands)],
            v => definition(Array.ConvertAll(v, x => x & 0xFFFF)) | definition(Array.ConvertAll(v, x => x >> 16)) << 16);
    }

    private static string Rounding(string mnemonic) => mnemonic.Split('.').FirstOrDefault(part => part is "rz" or "rm" or "rp") ?? "rn";
}
