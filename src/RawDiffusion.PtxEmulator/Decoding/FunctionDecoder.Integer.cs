using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>Arithmetic of integers, and that of both kinds where the mnemonic is the same. Source: PTX ISA, "Integer Arithmetic Instructions".</summary>
internal sealed partial class FunctionDecoder
{
    private static bool IsWhole(PtxType type) => type.IsInteger() && type.Bytes() >= 2;

    private static bool IsWord(PtxType type) => type is PtxType.U32 or PtxType.S32 or PtxType.U64 or PtxType.S64;

    /// <summary>D and the first sources, all of one type.</summary>
    private void Sources(ref Instruction i, PtxType type, int operands)
    {
        Operands(operands);
        Destination(ref i, 0, type);
        i.A = Source(1, type);
        if (operands > 2)
            i.B = Source(2, type);
        if (operands > 3)
            i.C = Source(3, type);
    }

    private void Integers(Opcode opcode, int operands)
    {
        var type = TakeType();
        Allow(IsWhole(type), type);
        var i = Instruction.Create(opcode, type);
        Sources(ref i, type, operands);
        Emit(i);
    }

    private void AddOrSub(Opcode opcode, Opcode withCarry, bool carryIn)
    {
        bool carryOut = Take("cc");
        var type = TakeType();
        if (carryIn || carryOut)
        {
            Allow(IsWord(type), type);
            var extended = Instruction.Create(withCarry, type);
            Sources(ref extended, type, 3);
            extended.C = Carry();
            extended.Flags = (carryIn ? InstructionFlags.CarryIn : 0) | (carryOut ? InstructionFlags.CarryOut : 0);
            Emit(extended);
            return;
        }
        if (type.IsFloat())
        {
            FloatArithmetic(opcode, type, 3);
            return;
        }
        Allow(IsWhole(type), type);
        var i = Instruction.Create(opcode, type);
        if (type == PtxType.S32)
            i.Flags |= Flag("sat", InstructionFlags.Sat);
        Sources(ref i, type, 3);
        Emit(i);
    }

    /// <summary>The slot of the condition code that .cc writes and addc reads; one for each function.</summary>
    private int Carry()
    {
        if (_carry < 0)
            _carry = _kernel.Registers.Slot(PtxType.Pred, _p.Line);
        return _carry;
    }

    /// <summary>.lo, .hi or .wide.</summary>
    private InstructionFlags Part() =>
        Take("lo") ? InstructionFlags.Lo : Take("hi") ? InstructionFlags.Hi : Take("wide") ? InstructionFlags.Wide
            : throw Refuse(".lo, .hi or .wide is missing");

    private static PtxType Wide(PtxType type) => type switch
    {
        PtxType.U16 => PtxType.U32,
        PtxType.S16 => PtxType.S32,
        PtxType.U32 => PtxType.U64,
        PtxType.S32 => PtxType.S64,
        _ => PtxType.None,
    };

    private void Mul()
    {
        var type = TakeType();
        if (type.IsFloat())
        {
            FloatArithmetic(Opcode.Mul, type, 3);
            return;
        }
        var part = Part();
        Allow(IsWhole(type) && (part != InstructionFlags.Wide || Wide(type) != PtxType.None), type);
        var i = Instruction.Create(Opcode.Mul, type);
        i.Flags = part;
        Operands(3);
        Destination(ref i, 0, part == InstructionFlags.Wide ? Wide(type) : type);
        i.A = Source(1, type);
        i.B = Source(2, type);
        Emit(i);
    }

    private void Mad(bool carryIn)
    {
        bool carryOut = Take("cc");
        var type = TakeType();
        if (type.IsFloat())
        {
            // mad.rn.f32 is fma; without a rounding it was for compute capability 1.
            FloatArithmetic(Opcode.Fma, type, 4);
            return;
        }
        var part = Part();
        Allow(IsWhole(type) && (part != InstructionFlags.Wide || Wide(type) != PtxType.None), type);
        Operands(4);
        var result = part == InstructionFlags.Wide ? Wide(type) : type;
        if (carryIn || carryOut)
        {
            Allow(IsWord(type) && part != InstructionFlags.Wide, type);
            var extended = Instruction.Create(Opcode.MadC, type);
            extended.Flags = part | (carryIn ? InstructionFlags.CarryIn : 0) | (carryOut ? InstructionFlags.CarryOut : 0);
            Destination(ref extended, 0, type);
            int a = Source(1, type), b = Source(2, type), c = Source(3, type);
            BeginList(ref extended);
            foreach (int slot in (ReadOnlySpan<int>)[a, b, c, Carry()])
                Add(ref extended, slot);
            Emit(extended);
            return;
        }
        var i = Instruction.Create(Opcode.Mad, type);
        i.Flags = part;
        if (type == PtxType.S32 && part == InstructionFlags.Hi)
            i.Flags |= Flag("sat", InstructionFlags.Sat);
        Destination(ref i, 0, result);
        i.A = Source(1, type);
        i.B = Source(2, type);
        i.C = Source(3, result);
        Emit(i);
    }

    private void Mul24(Opcode opcode, int operands)
    {
        var type = TakeType();
        var part = Part();
        Allow(type is PtxType.U32 or PtxType.S32 && part != InstructionFlags.Wide, type);
        var i = Instruction.Create(opcode, type);
        i.Flags = part;
        if (opcode == Opcode.Mad24 && part == InstructionFlags.Hi && type == PtxType.S32)
            i.Flags |= Flag("sat", InstructionFlags.Sat);
        Sources(ref i, type, operands);
        Emit(i);
    }

    private void AbsOrNeg(Opcode opcode)
    {
        var type = TakeType();
        if (type.IsFloat())
        {
            var f = Instruction.Create(opcode, type);
            if (type is PtxType.F32 or PtxType.F16 or PtxType.F16x2)
                f.Flags |= Flag("ftz", InstructionFlags.Ftz);
            Allow(type != PtxType.TF32, type);
            Sources(ref f, type, 2);
            Emit(f);
            return;
        }
        Allow(type is PtxType.S16 or PtxType.S32 or PtxType.S64, type);
        var i = Instruction.Create(opcode, type);
        Sources(ref i, type, 2);
        Emit(i);
    }

    private void MinOrMax(Opcode opcode)
    {
        var type = TakeType();
        var i = Instruction.Create(opcode, type);
        if (type.IsFloat())
        {
            Allow(type != PtxType.TF32, type);
            if (type is PtxType.F32 or PtxType.F16 or PtxType.F16x2)
                i.Flags |= Flag("ftz", InstructionFlags.Ftz);
            if (type != PtxType.F64)
            {
                i.Flags |= Flag("NaN", InstructionFlags.NaN);
                if (Take("xorsign"))
                {
                    Want("abs");
                    i.Flags |= InstructionFlags.XorSign;
                }
            }
        }
        else
        {
            Allow(IsWhole(type), type);
            if (type == PtxType.S32)
                i.Flags |= Flag("relu", InstructionFlags.Relu);
        }
        Sources(ref i, type, 3);
        Emit(i);
    }

    private void CountBits(Opcode opcode)
    {
        var type = TakeType();
        Allow(type is PtxType.B32 or PtxType.B64, type);
        var i = Instruction.Create(opcode, type);
        Operands(2);
        Destination(ref i, 0, PtxType.U32);
        i.A = Source(1, type);
        Emit(i);
    }

    private void Bfind()
    {
        var flags = Flag("shiftamt", InstructionFlags.ShiftAmount);
        var type = TakeType();
        Allow(IsWord(type), type);
        var i = Instruction.Create(Opcode.Bfind, type);
        i.Flags = flags;
        Operands(2);
        Destination(ref i, 0, PtxType.U32);
        i.A = Source(1, type);
        Emit(i);
    }

    private void Bfe()
    {
        var type = TakeType();
        Allow(IsWord(type), type);
        var i = Instruction.Create(Opcode.Bfe, type);
        Operands(4);
        Destination(ref i, 0, type);
        i.A = Source(1, type);
        i.B = Source(2, PtxType.U32);
        i.C = Source(3, PtxType.U32);
        Emit(i);
    }

    private void Bfi()
    {
        var type = TakeType();
        Allow(type is PtxType.B32 or PtxType.B64, type);
        var i = Instruction.Create(Opcode.Bfi, type);
        Operands(5);
        Destination(ref i, 0, type);
        int a = Source(1, type), b = Source(2, type), position = Source(3, PtxType.U32), length = Source(4, PtxType.U32);
        BeginList(ref i);
        foreach (int slot in (ReadOnlySpan<int>)[a, b, position, length])
            Add(ref i, slot);
        Emit(i);
    }

    private void DotProduct(Opcode opcode)
    {
        var part = opcode == Opcode.Dp2a ? Part() : InstructionFlags.None;
        PtxType a = TakeType(), b = TakeType();
        Allow(a is PtxType.U32 or PtxType.S32, a);
        Allow(b is PtxType.U32 or PtxType.S32 && part != InstructionFlags.Wide, b);
        var i = Instruction.Create(opcode, a);
        i.SourceType = b;
        i.Flags = part;
        Operands(4);
        Destination(ref i, 0, PtxType.B32);
        i.A = Source(1, a);
        i.B = Source(2, b);
        i.C = Source(3, PtxType.B32);
        Emit(i);
    }
}
