using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>Modifiers and operands.</summary>
internal sealed partial class FunctionDecoder
{
    private int Count => _p.Operands.Length;

    /// <summary>Takes a modifier, wherever it stands.</summary>
    private bool Take(string modifier)
    {
        for (int i = 0; i < _p.Modifiers.Length; i++)
        {
            if ((_used >> i & 1) == 0 && _p.Modifiers[i] == modifier)
            {
                _used |= 1ul << i;
                return true;
            }
        }
        return false;
    }

    private bool TakeAny(params ReadOnlySpan<string> modifiers)
    {
        foreach (string modifier in modifiers)
        {
            if (Take(modifier))
                return true;
        }
        return false;
    }

    private void Want(string modifier)
    {
        if (!Take(modifier))
            throw Refuse($".{modifier} is missing");
    }

    private InstructionFlags Flag(string modifier, InstructionFlags flag) => Take(modifier) ? flag : InstructionFlags.None;

    /// <summary>Takes the first modifier that is a type.</summary>
    private PtxType TakeType()
    {
        for (int i = 0; i < _p.Modifiers.Length; i++)
        {
            if ((_used >> i & 1) == 0 && TypeNames.Parse(_p.Modifiers[i]) is var type and not PtxType.None)
            {
                _used |= 1ul << i;
                return type;
            }
        }
        throw Refuse("a type is missing or is not supported");
    }

    private void Allow(bool allowed, PtxType type)
    {
        if (!allowed)
            throw Refuse($"{_p.Opcode} has no type .{TypeNames.Name(type)}");
    }

    private void Operands(int count)
    {
        if (Count != count)
            throw Refuse($"{_p.Opcode} has {count} operands, not {Count}");
    }

    private void Operands(int least, int most)
    {
        if (Count < least || Count > most)
            throw Refuse($"{_p.Opcode} has {least} to {most} operands, not {Count}");
    }

    /// <summary>The slot of a declared register.</summary>
    private int Register(PtxOperand operand, PtxType type, bool wider = false) => Register(operand, type, wider, out _);

    private int Register(PtxOperand operand, PtxType type, bool wider, out PtxType declared)
    {
        if (operand is not PtxName { Component: "" } name)
            throw Refuse($"a register of type .{TypeNames.Name(type)} is wanted in place of {Show(operand)}");
        if (!_scope.TryFind(name.Name, _kernel.Registers, _p.Line, out var symbol))
            throw Refuse($"{name.Name} is not declared");
        if (symbol.Kind != SymbolKind.Register)
            throw Refuse($"{name.Name} is no register");
        declared = symbol.Type;
        if (!TypeNames.Fits(declared, type, wider))
            throw Refuse($"{name.Name} is declared .{TypeNames.Name(declared)}, which does not fit .{TypeNames.Name(type)}");
        return symbol.Value;
    }

    private void Destination(ref Instruction i, int operand, PtxType type, bool wider = false) =>
        i.D = Register(_p.Operands[operand], type, wider, out i.DeclaredType);

    private int Source(int operand, PtxType type, bool wider = false) => Source(_p.Operands[operand], type, wider);

    /// <summary>The slot of a register, immediate, address of a variable, or special register.</summary>
    private int Source(PtxOperand operand, PtxType type, bool wider = false)
    {
        switch (operand)
        {
            case PtxImmediate immediate:
                return _kernel.Registers.Constant(type, Bits(immediate, type), _p.Line);
            case PtxSymbolOffset symbol:
                return Address(symbol.Name, symbol.Offset, type);
            case PtxName name:
                if (_scope.TryFind(name.Name, _kernel.Registers, _p.Line, out var found) && found.Kind == SymbolKind.Register)
                    return Register(name, type, wider);
                if (SpecialRegisters.TryParse(name.Name, name.Component, out var special))
                    return Special(special, name, type);
                if (name.Component.Length > 0)
                    throw Refuse($"{name.Name}.{name.Component} is not supported");
                return Address(name.Name, 0, type);
            default:
                throw Refuse($"a value of type .{TypeNames.Name(type)} is wanted in place of {Show(operand)}");
        }
    }

    private int Special(SpecialRegister special, PtxName name, PtxType type)
    {
        if (SpecialRegisters.Changes(special))
            throw Refuse($"{name.Name} is read by mov alone");
        if (type.IsFloat() || type.Bytes() != 4)
            throw Refuse($"{name.Name} has 32 bits, which does not fit .{TypeNames.Name(type)}");
        return _kernel.Registers.Special(special, _p.Line);
    }

    /// <summary>The address of a variable in its own space, as a constant.</summary>
    private int Address(string name, long offset, PtxType type)
    {
        var symbol = Variable(name);
        if (type.IsFloat() || type.Bytes() < 4)
            throw Refuse($"the address of {name} does not fit .{TypeNames.Name(type)}");
        if (symbol.Kind == SymbolKind.Global)
        {
            return type.Bytes() == 8 ? _kernel.Registers.Constant(type, (ulong)offset, _p.Line, symbol.Value)
                : throw Refuse($"the address of {name} has 64 bits");
        }
        return _kernel.Registers.Constant(type, (ulong)(symbol.Value + offset), _p.Line);
    }

    private Symbol Variable(string name)
    {
        if (_scope.TryFind(name, _kernel.Registers, _p.Line, out var symbol))
            return symbol.Kind != SymbolKind.Register ? symbol : throw Refuse($"{name} is a register, not a variable");
        if (_kernel.Variables.TryIndex(name, out int index))
        {
            var variable = _kernel.Variables.All[index];
            return new Symbol(SymbolKind.Global, PtxType.None, index, variable.Space, variable.Bytes);
        }
        if (_kernel.Variables.TryShared(name, out var shared))
            return new Symbol(SymbolKind.Shared, PtxType.None, _kernel.SharedOffset(shared), StateSpace.Shared, shared.Size);
        if (_kernel.Variables.IsMissing(name))
            throw Refuse($"{name} is defined in another module, which is not supported");
        throw Refuse(_kernel.TryFunction(name, out _) ? "the addresses of functions are not supported" : $"{name} is not declared");
    }

    /// <summary>An immediate as an instruction of the type uses it: integers are cut to its size, floats converted to it.</summary>
    private ulong Bits(PtxImmediate immediate, PtxType type)
    {
        ulong bits = immediate.Bits;
        switch (immediate.Kind)
        {
            case PtxImmediateKind.Integer when type == PtxType.Pred:
                return bits == 0 ? 0 : uint.MaxValue;
            case PtxImmediateKind.Integer when !type.IsFloat():
                return type.Bytes() switch { 1 => (byte)bits, 2 => (ushort)bits, 4 => (uint)bits, _ => bits };
            case PtxImmediateKind.Float32 when type is PtxType.F32 or PtxType.B32 or PtxType.TF32:
            case PtxImmediateKind.Float64 when type is PtxType.F64 or PtxType.B64:
                return bits;
            case PtxImmediateKind.Float32 when type is PtxType.F64:
                return BitConverter.DoubleToUInt64Bits(BitConverter.UInt32BitsToSingle((uint)bits));
            case PtxImmediateKind.Float64 when type is PtxType.F32:
                return BitConverter.SingleToUInt32Bits((float)BitConverter.UInt64BitsToDouble(bits));
            default:
                throw Refuse($"this constant is no .{TypeNames.Name(type)}");
        }
    }

    /// <summary>A predicate that may be negated: sets C and its flag.</summary>
    private void PredicateC(ref Instruction i, PtxOperand operand)
    {
        i.C = Predicate(operand, out bool negated);
        if (negated)
            i.Flags |= InstructionFlags.NegatedC;
    }

    private int Predicate(PtxOperand operand, out bool negated)
    {
        negated = operand is PtxNegated;
        return operand switch
        {
            PtxNegated n => Register(new PtxName(n.Name), PtxType.Pred),
            PtxImmediate immediate => Source(immediate, PtxType.Pred),
            _ => Register(operand, PtxType.Pred),
        };
    }

    /// <summary>Begins the instruction's list of slots.</summary>
    private void BeginList(ref Instruction i)
    {
        i.List = _kernel.Operands.Count;
        i.ListCount = 0;
    }

    private void Add(ref Instruction i, int slot)
    {
        if (i.ListCount == byte.MaxValue)
            throw Refuse("there are more than 255 operands");
        _kernel.Operands.Add(slot);
        i.ListCount++;
    }

    /// <summary>The elements of {a, b}, or the one operand without braces; a sink is -1 where destinations are wanted.</summary>
    private void AddVector(ref Instruction i, PtxOperand operand, int count, PtxType type, bool destinations, bool wider = false)
    {
        var found = PtxType.None;
        foreach (var element in Elements(operand, count))
        {
            if (!destinations)
            {
                Add(ref i, Source(element, type, wider));
            }
            else if (element is PtxName { IsSink: true })
            {
                Add(ref i, -1);
            }
            else
            {
                Add(ref i, Register(element, type, wider, out var declared));
                i.DeclaredType = found = OfOneSize(found, declared);
            }
        }
    }

    private PtxOperand[] Elements(PtxOperand operand, int count)
    {
        PtxOperand[] elements = operand is PtxVector vector ? vector.Elements : [operand];
        return elements.Length == count ? elements : throw Refuse($"a vector of {count} is wanted in place of one of {elements.Length}");
    }

    /// <summary>
    /// Sets the address operand: slot, its type and the displacement. Parameters of functions and calls are in local memory; the space that
    /// is meant is returned.
    /// </summary>
    private StateSpace SetAddress(ref Instruction i, PtxOperand operand, StateSpace space)
    {
        if (operand is not PtxAddress address)
            throw Refuse($"an address in brackets is wanted in place of {Show(operand)}");
        i.SourceType = PtxType.U64;
        if (space == StateSpace.Parameter && _frame is not null)
            space = StateSpace.Local;
        if (address.Base is null)
        {
            i.A = address.Offset == (int)address.Offset ? -1 : _kernel.Registers.Constant(PtxType.U64, (ulong)address.Offset, _p.Line);
            i.Offset = i.A < 0 ? (int)address.Offset : 0;
            return space;
        }
        if (_scope.TryFind(address.Base, _kernel.Registers, _p.Line, out var found) && found.Kind == SymbolKind.Register)
        {
            i.SourceType = found.Type.Bytes() == 4 ? PtxType.U32 : PtxType.U64;
            i.A = Register(new PtxName(address.Base), TypeNames.Bits(i.SourceType.Bytes()));
            if (found.Type.IsFloat() || (i.SourceType == PtxType.U32 && space is StateSpace.Generic or StateSpace.Global or StateSpace.Constant))
                throw Refuse($"{address.Base} is no 64-bit address");
            i.Offset = address.Offset == (int)address.Offset ? (int)address.Offset : throw Refuse("the displacement has more than 32 bits");
            return space;
        }
        var symbol = Variable(address.Base);
        var meant = symbol.Space;
        // Of a call, and generic addresses of variables that are the same in their own space.
        bool parameter = space == StateSpace.Parameter && meant == StateSpace.Local;
        bool generic = space == StateSpace.Generic && symbol.Kind == SymbolKind.Global;
        if (meant != space && !parameter && !generic)
            throw Refuse($"{address.Base} is in another state space");
        if (symbol.Kind == SymbolKind.Global)
        {
            i.A = _kernel.Registers.Constant(PtxType.U64, (ulong)address.Offset, _p.Line, symbol.Value);
            return meant;
        }
        long sum = symbol.Value + address.Offset;
        i.A = -1;
        i.Offset = sum == (int)sum ? (int)sum : throw Refuse("the displacement has more than 32 bits");
        return meant;
    }

    private static string Show(PtxOperand operand) => operand switch
    {
        PtxName n => n.Component.Length > 0 ? $"{n.Name}.{n.Component}" : n.Name,
        PtxSymbolOffset s => s.Name,
        PtxImmediate => "a constant",
        PtxAddress => "an address",
        PtxVector => "a vector",
        PtxPair => "a pair",
        PtxNegated n => "!" + n.Name,
        _ => "arguments",
    };
}
