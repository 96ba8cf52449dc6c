using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>Source: PTX ISA, "Comparison and Selection Instructions" and "Logic and Shift Instructions".</summary>
internal sealed partial class FunctionDecoder
{
    private static readonly (string Name, Comparison Comparison)[] s_comparisons =
    [
        ("eq", Comparison.Eq), ("ne", Comparison.Ne), ("lt", Comparison.Lt), ("le", Comparison.Le), ("gt", Comparison.Gt), ("ge", Comparison.Ge),
        ("equ", Comparison.Equ), ("neu", Comparison.Neu), ("ltu", Comparison.Ltu), ("leu", Comparison.Leu), ("gtu", Comparison.Gtu),
        ("geu", Comparison.Geu), ("num", Comparison.Num), ("nan", Comparison.Nan),
    ];

    private static readonly (string Name, Comparison Comparison)[] s_unsigned =
        [("lo", Comparison.Lt), ("ls", Comparison.Le), ("hi", Comparison.Gt), ("hs", Comparison.Ge)];

    /// <summary>Sets the comparison, the combination with a predicate and .ftz for operands of a type.</summary>
    private void SetComparison(ref Instruction i, PtxType type)
    {
        foreach (var (name, comparison) in s_comparisons)
        {
            if (Take(name))
                i.Comparison = comparison;
        }
        foreach (var (name, comparison) in s_unsigned)
        {
            if (type.IsUnsigned() && Take(name))
                i.Comparison = comparison;
        }
        bool allowed = type.IsFloat() || i.Comparison is Comparison.Eq or Comparison.Ne || (!type.IsBits() && i.Comparison <= Comparison.Ge);
        if (i.Comparison == Comparison.None || !allowed)
            throw Refuse($"a comparison of .{TypeNames.Name(type)} is missing");
        i.Combine = Take("and") ? BooleanOperation.And : Take("or") ? BooleanOperation.Or : Take("xor") ? BooleanOperation.Xor : BooleanOperation.None;
        if (type is PtxType.F32 or PtxType.F16)
            i.Flags |= Flag("ftz", InstructionFlags.Ftz);
    }

    private static bool IsComparable(PtxType type) =>
        type.Bytes() is 2 or 4 or 8 && type is not (PtxType.TF32 or PtxType.F16x2 or PtxType.BF16x2);

    private void Setp()
    {
        var type = TakeType();
        Allow(IsComparable(type), type);
        var i = Instruction.Create(Opcode.Setp, type);
        SetComparison(ref i, type);
        bool combined = i.Combine != BooleanOperation.None;
        Operands(combined ? 4 : 3);
        i.A = Source(1, type);
        i.B = Source(2, type);
        if (combined)
            PredicateC(ref i, _p.Operands[3]);
        if (_p.Operands[0] is PtxPair pair)
        {
            i.D = Register(pair.First, PtxType.Pred, false, out i.DeclaredType);
            int second = Register(pair.Second, PtxType.Pred);
            BeginList(ref i);
            Add(ref i, second);
        }
        else
        {
            Destination(ref i, 0, PtxType.Pred);
        }
        Emit(i);
    }

    private void Set()
    {
        PtxType result = TakeType(), type = TakeType();
        Allow(result is PtxType.U32 or PtxType.S32 or PtxType.F32, result);
        Allow(IsComparable(type), type);
        var i = Instruction.Create(Opcode.Set, result);
        i.SourceType = type;
        SetComparison(ref i, type);
        bool combined = i.Combine != BooleanOperation.None;
        Operands(combined ? 4 : 3);
        Destination(ref i, 0, result);
        i.A = Source(1, type);
        i.B = Source(2, type);
        if (combined)
            PredicateC(ref i, _p.Operands[3]);
        Emit(i);
    }

    private void Selp()
    {
        var type = TakeType();
        Allow(IsComparable(type) && !IsHalf(type), type);
        var i = Instruction.Create(Opcode.Selp, type);
        Operands(4);
        Destination(ref i, 0, type);
        i.A = Source(1, type);
        i.B = Source(2, type);
        PredicateC(ref i, _p.Operands[3]);
        Emit(i);
    }

    private void Slct()
    {
        PtxType type = TakeType(), tested = TakeType();
        Allow(IsComparable(type) && !IsHalf(type), type);
        Allow(tested is PtxType.S32 or PtxType.F32, tested);
        var i = Instruction.Create(Opcode.Slct, type);
        i.SourceType = tested;
        if (tested == PtxType.F32)
            i.Flags |= Flag("ftz", InstructionFlags.Ftz);
        Operands(4);
        Destination(ref i, 0, type);
        i.A = Source(1, type);
        i.B = Source(2, type);
        i.C = Source(3, tested);
        Emit(i);
    }

    /// <summary>Operations on untyped bits, or on predicates where they are allowed.</summary>
    private void Bits(Opcode opcode, int operands, bool predicates)
    {
        var type = TakeType();
        bool words = type is PtxType.B32 or PtxType.B64;
        Allow(opcode == Opcode.Brev ? words : words || type == PtxType.B16 || (predicates && type == PtxType.Pred), type);
        var i = Instruction.Create(opcode, type);
        Sources(ref i, type, operands);
        Emit(i);
    }

    private void Shift(Opcode opcode)
    {
        var type = TakeType();
        Allow(type is PtxType.B16 or PtxType.B32 or PtxType.B64 || (opcode == Opcode.Shr && IsWhole(type)), type);
        var i = Instruction.Create(opcode, type);
        Operands(3);
        Destination(ref i, 0, type);
        i.A = Source(1, type);
        i.B = Source(2, PtxType.U32);
        Emit(i);
    }

    private void Shf()
    {
        var i = Instruction.Create(Opcode.Shf, PtxType.B32);
        i.Flags = Take("l") ? InstructionFlags.Lo : Take("r") ? InstructionFlags.Hi : throw Refuse(".l or .r is missing");
        i.Flags |= Take("clamp") ? InstructionFlags.Clamp : Take("wrap") ? InstructionFlags.None : throw Refuse(".clamp or .wrap is missing");
        Want("b32");
        Operands(4);
        Destination(ref i, 0, PtxType.B32);
        i.A = Source(1, PtxType.B32);
        i.B = Source(2, PtxType.B32);
        i.C = Source(3, PtxType.U32);
        Emit(i);
    }

    private void Prmt()
    {
        Want("b32");
        var i = Instruction.Create(Opcode.Prmt, PtxType.B32);
        i.Mode = (byte)(Take("f4e") ? PermuteMode.Forward4Extract : Take("b4e") ? PermuteMode.Backward4Extract
            : Take("rc8") ? PermuteMode.Replicate8 : Take("ecl") ? PermuteMode.EdgeClampLeft : Take("ecr") ? PermuteMode.EdgeClampRight
            : Take("rc16") ? PermuteMode.Replicate16 : PermuteMode.Index);
        Sources(ref i, PtxType.B32, 4);
        Emit(i);
    }

    private void Lop3()
    {
        Want("b32");
        var i = Instruction.Create(Opcode.Lop3, PtxType.B32);
        Operands(5);
        Destination(ref i, 0, PtxType.B32);
        i.A = Source(1, PtxType.B32);
        i.B = Source(2, PtxType.B32);
        i.C = Source(3, PtxType.B32);
        i.Offset = _p.Operands[4] is PtxImmediate { Kind: PtxImmediateKind.Integer, Bits: <= 255 } table ? (int)table.Bits
            : throw Refuse("the table is a constant from 0 to 255");
        Emit(i);
    }
}
