using System.Numerics;

namespace RawDiffusion.Tests;

/// <summary>
/// mma.sync: the elements lie in the lanes as the manual draws them. With whole numbers every sum is exact, so the result is that of any
/// definition; with fractions it stays within the bound of cutting each term below the largest at 24 bits.
/// </summary>
public class MatrixTests
{
    private static uint Encode(string type, float value) => type switch
    {
        "f16" => BitConverter.HalfToUInt16Bits((Half)value),
        "bf16" => BitConverter.SingleToUInt32Bits(value) >> 16,
        _ => BitConverter.SingleToUInt32Bits(value) & ~0x1FFFu,
    };

    private static float Decode(string type, uint bits) => type switch
    {
        "f16" => (float)BitConverter.UInt16BitsToHalf((ushort)bits),
        "bf16" => BitConverter.UInt32BitsToSingle(bits << 16),
        _ => BitConverter.UInt32BitsToSingle(bits),
    };

    [Theory]
    [InlineData("f16", 8, "f32", true)]
    [InlineData("f16", 16, "f32", true)]
    [InlineData("f16", 8, "f16", true)]
    [InlineData("f16", 16, "f16", true)]
    [InlineData("bf16", 8, "f32", true)]
    [InlineData("bf16", 16, "f32", true)]
    [InlineData("tf32", 4, "f32", true)]
    [InlineData("tf32", 8, "f32", true)]
    [InlineData("f16", 16, "f32", false)]
    [InlineData("bf16", 16, "f32", false)]
    [InlineData("tf32", 8, "f32", false)]
    public void ProductsOfTiles(string type, int depth, string accumulator, bool whole)
    {
        bool tf32 = type == "tf32", half = accumulator == "f16";
        int perRegister = tf32 ? 1 : 2, registersA = 16 * depth / 32 / perRegister, registersB = registersA / 2, registersC = half ? 2 : 4;
        var random = new Random(depth);
        for (int round = 0; round < 60; round++)
        {
            float Value() => whole ? random.Next(-4, 5) : (random.NextSingle() - 0.5f) * MathF.ScaleB(1, random.Next(-6, 7));
            uint[,] a = new uint[16, depth], b = new uint[depth, 8];
            float[,] c = new float[16, 8];
            for (int i = 0; i < 16; i++)
            {
                for (int k = 0; k < depth; k++)
                    a[i, k] = Encode(type, Value());
                for (int j = 0; j < 8; j++)
                    c[i, j] = half ? (float)(Half)Value() : Value();
            }
            for (int k = 0; k < depth; k++)
            {
                for (int j = 0; j < 8; j++)
                    b[k, j] = Encode(type, Value());
            }
            uint[] input = new uint[32 * 12];
            for (int lane = 0; lane < 32; lane++)
            {
                int g = lane / 4, t = lane % 4;
                for (int r = 0; r < registersA; r++)
                {
                    int row = g + 8 * (r % 2), column = (tf32 ? 4 : 8) * (r / 2) + perRegister * t;
                    input[12 * lane + r] = a[row, column] | (tf32 ? 0 : a[row, column + 1] << 16);
                }
                for (int r = 0; r < registersB; r++)
                {
                    int row = (tf32 ? 4 : 8) * r + perRegister * t;
                    input[12 * lane + 4 + r] = b[row, g] | (tf32 ? 0 : b[row + 1, g] << 16);
                }
                for (int r = 0; r < 4; r++)
                {
                    float value = c[g + 8 * (r / 2), 2 * t + r % 2];
                    if (half)
                        input[12 * lane + 8 + r / 2] |= (uint)BitConverter.HalfToUInt16Bits((Half)value) << (16 * (r % 2));
                    else
                        input[12 * lane + 8 + r] = BitConverter.SingleToUInt32Bits(value);
                }
            }
            string Registers(string name, int count) => "{" + string.Join(", ", Enumerable.Range(0, count).Select(i => $"%{name}{i}")) + "}";
            string loads = string.Concat(Enumerable.Range(0, 4).Select(i => $"ld.global.u32 %a{i}, [p+{4 * i}]; ld.global.u32 %c{i}, [p+{32 + 4 * i}]; "))
                + "ld.global.u32 %b0, [p+16]; ld.global.u32 %b1, [p+20];";
            uint[] output = InstructionRunner.RunKernel($$"""
                ENTRY
                {
                    .reg .b32 i, %a<4>, %b<2>, %c<4>; .reg .b64 p;
                    mov.u32 i, %tid.x; ld.param.u64 p, [p0]; mad.wide.u32 p, i, 48, p;
                    {{loads}}
                    mma.sync.aligned.m16n8k{{depth}}.row.col.{{accumulator}}.{{type}}.{{type}}.{{accumulator}} {{Registers("c", registersC)}}, {{Registers("a", registersA)}}, {{Registers("b", registersB)}}, {{Registers("c", registersC)}};
                    ld.param.u64 p, [p1]; mad.wide.u32 p, i, 16, p;
                    st.global.v4.u32 [p], {%c0, %c1, %c2, %c3};
                }
                """, 32, 128, input);
            for (int lane = 0; lane < 32; lane++)
            {
                for (int r = 0; r < 4; r++)
                {
                    int row = lane / 4 + 8 * (r / 2), column = lane % 4 * 2 + r % 2;
                    double exact = c[row, column], largest = Math.Abs(exact);
                    for (int k = 0; k < depth; k++)
                    {
                        double product = (double)Decode(type, a[row, k]) * Decode(type, b[k, column]);
                        exact += product;
                        largest = Math.Max(Math.Max(largest, Math.Abs(product)), Math.Abs(exact));
                    }
                    float result = half ? (float)BitConverter.UInt16BitsToHalf((ushort)(output[4 * lane + r / 2] >> (16 * (r % 2))))
                        : BitConverter.UInt32BitsToSingle(output[4 * lane + r]);
                    // Each of at most depth + 2 terms of each step loses less than one unit at 24 bits of the largest, and so does the sum.
                    double bound = whole ? 0 : (2 * depth + 4) * largest * Math.ScaleB(1, -22);
                    Assert.True(Math.Abs(exact - result) <= bound, $"element ({row}, {column}) is {result:R}, not {exact:R}");
                }
            }
        }
    }

    [Fact]
    public void DoublesAreMultipliedToo()
    {
        var random = new Random(3);
        uint[] input = new uint[32 * 8];
        double[,] a = new double[8, 4], b = new double[4, 8], c = new double[8, 8];
        foreach (double[,] matrix in new[] { a, b, c })
        {
            for (int i = 0; i < matrix.Length; i++)
                matrix[i / matrix.GetLength(1), i % matrix.GetLength(1)] = random.Next(-100, 100);
        }
        for (int lane = 0; lane < 32; lane++)
        {
            int g = lane / 4, t = lane % 4;
            double[] own = [a[g, t], b[t, g], c[g, 2 * t], c[g, 2 * t + 1]];
            for (int k = 0; k < 4; k++)
            {
                ulong bits = BitConverter.DoubleToUInt64Bits(own[k]);
                (input[8 * lane + 2 * k], input[8 * lane + 2 * k + 1]) = ((uint)bits, (uint)(bits >> 32));
            }
        }
        uint[] output = InstructionRunner.RunKernel("""
            ENTRY
            {
                .reg .b32 i; .reg .b64 p; .reg .f64 a, b, c, d;
                mov.u32 i, %tid.x; ld.param.u64 p, [p0]; mad.wide.u32 p, i, 32, p;
                ld.global.f64 a, [p]; ld.global.f64 b, [p+8]; ld.global.f64 c, [p+16]; ld.global.f64 d, [p+24];
                mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {c, d}, {a}, {b}, {c, d};
                ld.param.u64 p, [p1]; mad.wide.u32 p, i, 16, p;
                st.global.f64 [p], c; st.global.f64 [p+8], d;
            }
            """, 32, 128, input);
        for (int i = 0; i < 64; i++)
        {
            int row = i / 8, column = i % 8, lane = row * 4 + column / 2, at = 4 * lane + 2 * (column % 2);
            double expected = c[row, column] + Enumerable.Range(0, 4).Sum(k => a[row, k] * b[k, column]);
            Assert.Equal(expected, BitConverter.UInt64BitsToDouble(output[at] | (ulong)output[at + 1] << 32));
        }
    }
}
