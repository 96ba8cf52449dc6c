using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>Compares what an instruction computes with its definition, operand by operand.</summary>
internal static class Instruct
{
    /// <summary>The instruction "MNEMONIC r, a[, b[, c]]".</summary>
    /// <param name="result">The type of the result: u32, f16; it decides the size of r.</param>
    public static void Equal(string mnemonic, string result, string[] types, Func<ulong[], ulong> definition) =>
        Equal(mnemonic, Text(mnemonic, types.Length), result, types, definition);

    public static void Equal(string name, string text, string result, string[] types, Func<ulong[], ulong> definition)
    {
        // Where a value has 16 bits all of them are tried.
        ulong[][] columns = Operands.Bits(types[0]) == 16 ? Operands.Exhaustive(types[0], types.AsSpan(1)) : Operands.For(types);
        Equal(name, text, result, types, columns, definition);
    }

    public static void Equal(string name, string text, string result, string[] types, ulong[][] columns, Func<ulong[], ulong> definition)
    {
        ulong[] results = Run(text, result, types, columns, LaunchOptions.Default);
        ulong[] operands = new ulong[types.Length];
        for (int i = 0; i < results.Length; i++)
        {
            for (int k = 0; k < operands.Length; k++)
                operands[k] = columns[k][i];
            ulong expected = definition(operands);
            if (expected != results[i])
                Assert.Fail($"{name} of {string.Join(", ", operands.Select(o => $"0x{o:X}"))} is 0x{results[i]:X}, not 0x{expected:X}");
        }
    }

    public static ulong[] Run(string text, string result, string[] types, ulong[][] columns, LaunchOptions options)
    {
        var inputs = new (string, ulong[])[types.Length];
        for (int k = 0; k < types.Length; k++)
            inputs[k] = (Register(types[k]), columns[k]);
        return InstructionRunner.Run(text, Register(result), options, inputs);
    }

    public static string Text(string mnemonic, int sources) => $"{mnemonic} r, {string.Join(", ", "abcd".Take(sources))};";

    private static string Register(string type) => type == "pred" ? type : $"b{Operands.Bits(type)}";
}
