using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>Source: PTX ISA, "Data Movement and Conversion Instructions".</summary>
internal sealed partial class FunctionDecoder
{
    private void Mov()
    {
        var type = TakeType();
        Allow(type == PtxType.Pred || IsComparable(type) || IsHalf(type), type);
        Operands(2);
        if (_p.Operands[0] is PtxVector parts)
            Unpack(type, parts);
        else if (_p.Operands[1] is PtxVector)
            Pack(type);
        else if (_p.Operands[1] is PtxName name && SpecialRegisters.TryParse(name.Name, name.Component, out var special)
            && !_scope.TryFind(name.Name, _kernel.Registers, _p.Line, out _))
            MoveSpecial(type, name, special);
        else
        {
            var i = Instruction.Create(Opcode.Mov, type);
            Sources(ref i, type, 2);
            Emit(i);
        }
    }

    private void MoveSpecial(PtxType type, PtxName name, SpecialRegister special)
    {
        if (SpecialRegisters.Changes(special))
        {
            int bytes = SpecialRegisters.Bytes(special);
            if (type.IsFloat() || type.Bytes() != bytes)
                throw Refuse($"{name.Name} has {8 * bytes} bits, which does not fit .{TypeNames.Name(type)}");
            var read = Instruction.Create(Opcode.ReadSpecial, type);
            read.Mode = (byte)special;
            Destination(ref read, 0, type);
            Emit(read);
            return;
        }
        // Some of 32 bits were of 16 once, and the number of the grid has 64 now.
        bool narrow = type is PtxType.U16 or PtxType.B16, wide = type is PtxType.U64 or PtxType.B64;
        var i = Instruction.Create(narrow || wide ? Opcode.Cvt : Opcode.Mov, narrow ? PtxType.U16 : wide ? PtxType.U64 : type);
        if (narrow || wide)
            i.SourceType = PtxType.U32;
        Destination(ref i, 0, type);
        i.A = Special(special, name, narrow || wide ? PtxType.U32 : type);
        Emit(i);
    }

    private void Pack(PtxType type)
    {
        var i = Instruction.Create(Opcode.MovPack, type);
        Destination(ref i, 0, type);
        BeginList(ref i);
        int count = Parts(_p.Operands[1], type, out var part);
        var declared = i.DeclaredType;
        AddVector(ref i, _p.Operands[1], count, part, false);
        i.DeclaredType = declared;
        Emit(i);
    }

    private void Unpack(PtxType type, PtxVector parts)
    {
        var i = Instruction.Create(Opcode.MovUnpack, type);
        i.A = Source(1, type);
        BeginList(ref i);
        int count = Parts(parts, type, out var part);
        AddVector(ref i, parts, count, part, true);
        Emit(i);
    }

    private int Parts(PtxOperand operand, PtxType type, out PtxType part)
    {
        int count = ((PtxVector)operand).Elements.Length;
        part = count is 2 or 4 ? TypeNames.Bits(type.Bytes() / count) : PtxType.None;
        return part != PtxType.None ? count : throw Refuse($"a .{TypeNames.Name(type)} has no {count} parts");
    }

    private void Cvt()
    {
        PtxType type = TakeType(), source = TakeType();
        bool packed = type is PtxType.F16x2 or PtxType.BF16x2;
        Allow(type.IsFloat() || type.IsInteger(), type);
        Allow(source.IsInteger() || source is PtxType.F32 or PtxType.F64 or PtxType.F16 or PtxType.BF16, source);
        var i = Instruction.Create(Opcode.Cvt, type);
        i.SourceType = source;
        i.Rounding = TakeRounding();
        if (i.Rounding == Rounding.None)
        {
            i.Rounding = Take("rni") ? Rounding.NearestInteger : Take("rzi") ? Rounding.ZeroInteger : Take("rmi") ? Rounding.DownInteger
                : Take("rpi") ? Rounding.UpInteger : Take("rna") ? Rounding.NearestAway : Rounding.None;
        }
        CheckRounding(type, source, i.Rounding);
        if (type is PtxType.F32 || source is PtxType.F32)
            i.Flags |= Flag("ftz", InstructionFlags.Ftz);
        i.Flags |= Flag("sat", InstructionFlags.Sat);
        if (IsHalf(type) || type == PtxType.TF32)
            i.Flags |= Flag("relu", InstructionFlags.Relu);
        Operands(packed ? 3 : 2);
        Destination(ref i, 0, type, true);
        i.A = Narrow(_p.Operands[1], source);
        if (packed)
            i.B = Narrow(_p.Operands[2], source);
        Emit(i);
    }

    /// <summary>The slot of an operand that may be larger than its type: of a register of 64 bits the low half is taken first.</summary>
    private int Narrow(PtxOperand operand, PtxType type)
    {
        if (operand is not PtxName { Component: "" } name || !_scope.TryFind(name.Name, _kernel.Registers, _p.Line, out var symbol)
            || symbol.Kind != SymbolKind.Register || symbol.Type.Bytes() != 8 || type.Bytes() == 8)
            return Source(operand, type, true);
        var i = Instruction.Create(Opcode.MovUnpack, PtxType.B64);
        i.A = Register(operand, type, true);
        i.DeclaredType = PtxType.B32;
        int low = _kernel.Registers.Temporary(PtxType.B32, _p.Line);
        BeginList(ref i);
        Add(ref i, low);
        Add(ref i, -1);
        Emit(i);
        return low;
    }

    /// <summary>A rounding must be given where the conversion can be inexact, and must not where it can't.</summary>
    private void CheckRounding(PtxType type, PtxType source, Rounding rounding)
    {
        bool integral = rounding is >= Rounding.NearestInteger and <= Rounding.UpInteger, fraction = rounding is >= Rounding.Nearest and <= Rounding.Up;
        bool right;
        if (type is PtxType.F16x2 or PtxType.BF16x2)
            right = source == PtxType.F32 && rounding is Rounding.Nearest or Rounding.Zero;
        else if (type == PtxType.TF32)
            right = source == PtxType.F32 && rounding is Rounding.NearestAway or Rounding.Nearest or Rounding.Zero;
        else if (!type.IsFloat())
            right = source.IsFloat() ? integral : rounding == Rounding.None;
        else if (!source.IsFloat())
            right = fraction;
        else if (type == source)
            right = rounding == Rounding.None || integral;
        else if (type.Bytes() > source.Bytes())
            right = rounding == Rounding.None;
        else
            right = fraction;
        if (!right)
            throw Refuse($"this rounding from .{TypeNames.Name(source)} to .{TypeNames.Name(type)} is missing or not supported");
    }

    /// <summary>The state space among the modifiers; generic where there is none.</summary>
    private StateSpace TakeSpace() =>
        Take("global") ? StateSpace.Global : TakeAny("shared", "shared::cta") ? StateSpace.Shared : Take("local") ? StateSpace.Local
            : Take("const") ? StateSpace.Constant : TakeAny("param", "param::entry", "param::func") ? StateSpace.Parameter : StateSpace.Generic;

    private void Cvta()
    {
        var flags = Flag("to", InstructionFlags.To);
        var space = TakeSpace();
        var type = TakeType();
        Allow(type == PtxType.U64, type);
        if (space == StateSpace.Generic)
            throw Refuse("a state space is missing");
        var i = Instruction.Create(Opcode.Cvta, type);
        i.Flags = flags;
        i.Space = space == StateSpace.Parameter && _frame is not null ? StateSpace.Local : space;
        Sources(ref i, type, 2);
        Emit(i);
    }

    private void Isspacep()
    {
        var i = Instruction.Create(Opcode.Isspacep, PtxType.U64);
        i.Space = TakeSpace();
        if (i.Space == StateSpace.Generic)
            throw Refuse("a state space is missing");
        Operands(2);
        Destination(ref i, 0, PtxType.Pred);
        i.A = Source(1, PtxType.U64);
        Emit(i);
    }
}
