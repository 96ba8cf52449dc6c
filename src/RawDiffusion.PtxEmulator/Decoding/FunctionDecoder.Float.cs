namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>Source: PTX ISA, "Floating Point Instructions" and "Half Precision Floating Point Instructions".</summary>
internal sealed partial class FunctionDecoder
{
    private static bool IsHalf(PtxType type) => type is PtxType.F16 or PtxType.F16x2 or PtxType.BF16 or PtxType.BF16x2;

    /// <summary>.rn .rz .rm .rp; None where there is none.</summary>
    private Rounding TakeRounding() =>
        Take("rn") ? Rounding.Nearest : Take("rz") ? Rounding.Zero : Take("rm") ? Rounding.Down : Take("rp") ? Rounding.Up : Rounding.None;

    /// <summary>add, sub, mul, fma: the rounding is to nearest where none is written; fma wants one.</summary>
    private void FloatArithmetic(Opcode opcode, PtxType type, int operands)
    {
        Allow(type is PtxType.F32 or PtxType.F64 || IsHalf(type), type);
        var i = Instruction.Create(opcode, type);
        i.Rounding = TakeRounding();
        if (i.Rounding == Rounding.None)
            i.Rounding = opcode == Opcode.Fma ? throw Refuse("a rounding is missing") : Rounding.Nearest;
        if (IsHalf(type) && i.Rounding != Rounding.Nearest)
            throw Refuse("values of 16 bits are rounded by .rn alone");
        if (type is PtxType.F32 or PtxType.F16 or PtxType.F16x2)
        {
            i.Flags |= Flag("ftz", InstructionFlags.Ftz);
            i.Flags |= Flag("sat", InstructionFlags.Sat);
        }
        if (opcode == Opcode.Fma && IsHalf(type) && !i.Has(InstructionFlags.Sat))
            i.Flags |= Flag("relu", InstructionFlags.Relu);
        Sources(ref i, type, operands);
        Emit(i);
    }

    private void Fma()
    {
        var type = TakeType();
        Allow(type.IsFloat(), type);
        FloatArithmetic(Opcode.Fma, type, 4);
    }

    private void Div()
    {
        var type = TakeType();
        if (!type.IsFloat())
        {
            Allow(IsWhole(type), type);
            var whole = Instruction.Create(Opcode.Div, type);
            Sources(ref whole, type, 3);
            Emit(whole);
            return;
        }
        Allow(type is PtxType.F32 or PtxType.F64, type);
        var i = Instruction.Create(Opcode.Div, type);
        if (type == PtxType.F32)
        {
            i.Flags |= Flag("approx", InstructionFlags.Approx) | Flag("full", InstructionFlags.Full);
            i.Flags |= Flag("ftz", InstructionFlags.Ftz);
        }
        SetExactRounding(ref i);
        Sources(ref i, type, 3);
        Emit(i);
    }

    /// <summary>A rounding is wanted where the instruction is not an approximation, and only there.</summary>
    private void SetExactRounding(ref Instruction i)
    {
        bool exact = !i.Has(InstructionFlags.Approx) && !i.Has(InstructionFlags.Full);
        i.Rounding = exact ? TakeRounding() : Rounding.Nearest;
        if (i.Rounding == Rounding.None)
            throw Refuse("a rounding is missing");
    }

    /// <summary>rcp and sqrt: correctly rounded, or approximations.</summary>
    private void Rooted(Opcode opcode)
    {
        var type = TakeType();
        Allow(type is PtxType.F32 or PtxType.F64, type);
        var i = Instruction.Create(opcode, type);
        i.Flags |= Flag("approx", InstructionFlags.Approx);
        if (type == PtxType.F32)
            i.Flags |= Flag("ftz", InstructionFlags.Ftz);
        else if (i.Has(InstructionFlags.Approx))
            i.Flags |= opcode == Opcode.Rcp && Take("ftz") ? InstructionFlags.Ftz : throw Refuse("this approximation is not supported");
        SetExactRounding(ref i);
        Sources(ref i, type, 2);
        Emit(i);
    }

    private void Approximate(Opcode opcode)
    {
        var type = TakeType();
        bool half = opcode is Opcode.Ex2 or Opcode.Tanh && IsHalf(type);
        Allow(type == PtxType.F32 || half || (type == PtxType.F64 && opcode == Opcode.Rsqrt), type);
        Want("approx");
        var i = Instruction.Create(opcode, type);
        i.Flags = InstructionFlags.Approx;
        i.Rounding = Rounding.Nearest;
        if (half && opcode == Opcode.Ex2 && type is PtxType.BF16 or PtxType.BF16x2)
            Want("ftz");
        else if (!half && opcode != Opcode.Tanh)
            i.Flags |= Flag("ftz", InstructionFlags.Ftz);
        Sources(ref i, type, 2);
        Emit(i);
    }

    private void Copysign()
    {
        var type = TakeType();
        Allow(type is PtxType.F32 or PtxType.F64, type);
        var i = Instruction.Create(Opcode.Copysign, type);
        Sources(ref i, type, 3);
        Emit(i);
    }

    private void Testp()
    {
        var kind = Take("finite") ? FloatClass.Finite : Take("infinite") ? FloatClass.Infinite : Take("number") ? FloatClass.Number
            : Take("notanumber") ? FloatClass.NotANumber : Take("normal") ? FloatClass.Normal : Take("subnormal") ? FloatClass.Subnormal
            : throw Refuse("the class is missing");
        var type = TakeType();
        Allow(type is PtxType.F32 or PtxType.F64, type);
        var i = Instruction.Create(Opcode.Testp, type);
        i.Mode = (byte)kind;
        Operands(2);
        Destination(ref i, 0, PtxType.Pred);
        i.A = Source(1, type);
        Emit(i);
    }
}
