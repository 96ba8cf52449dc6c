using System.Numerics;
using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>Branches and calls. Source: PTX ISA, "Control Flow Instructions".</summary>
internal sealed partial class FunctionDecoder
{
    private Label FindLabel(PtxOperand operand)
    {
        string name = (operand as PtxName)?.Name ?? throw Refuse($"a label is wanted in place of {Show(operand)}");
        return _scope.FindLabel(name) ?? throw Refuse($"there is no label {name}");
    }

    private void Bra()
    {
        var i = Instruction.Create(Opcode.Bra);
        i.Flags = Flag("uni", InstructionFlags.Uniform);
        Operands(1);
        _branches.Add((_kernel.Code.Count, FindLabel(_p.Operands[0])));
        Emit(i);
    }

    private void Brx()
    {
        Want("idx");
        var i = Instruction.Create(Opcode.BrxIdx, PtxType.U32);
        i.Flags = Flag("uni", InstructionFlags.Uniform);
        Operands(2);
        i.A = Source(0, PtxType.U32);
        string list = (_p.Operands[1] as PtxName)?.Name ?? throw Refuse("a list of targets is wanted");
        var targets = _scope.FindTargets(list) ?? throw Refuse($"there is no list of targets {list}");
        BeginList(ref i);
        foreach (string target in targets)
        {
            _indirect.Add((_kernel.Operands.Count, FindLabel(new PtxName(target))));
            Add(ref i, -1);
        }
        Emit(i);
    }

    private void Ret()
    {
        Take("uni");
        Operands(0);
        if (_frame is null)
        {
            Emit(Instruction.Create(Opcode.Exit));
            return;
        }
        _branches.Add((_kernel.Code.Count, _end));
        Emit(Instruction.Create(Opcode.Bra));
    }

    private void Nanosleep()
    {
        Want("u32");
        var i = Instruction.Create(Opcode.Nanosleep, PtxType.U32);
        Operands(1);
        i.A = Source(0, PtxType.U32);
        Emit(i);
    }

    /// <summary>The name of the function that is called.</summary>
    public static string? Callee(PtxInstruction call) =>
        call.Operands is [PtxArguments, PtxName after, ..] ? after.Name : call.Operands is [PtxName first, ..] ? first.Name : null;

    private static PtxOperand[] Results(PtxInstruction call) => call.Operands is [PtxArguments results, PtxName, ..] ? results.Elements : [];

    private static PtxOperand[] Arguments(PtxInstruction call) => call.Operands switch
    {
        [PtxArguments, PtxName, PtxArguments arguments, ..] => arguments.Elements,
        [PtxName, PtxArguments arguments, ..] => arguments.Elements,
        _ => [],
    };

    /// <summary>The call of a block that has one alone: the parameters declared in that block can be the callee's own.</summary>
    private PtxInstruction? SingleCall(PtxBlock block)
    {
        PtxInstruction? call = null;
        int calls = CountCalls(block, ref call);
        bool direct = calls == 1 && block.Statements.Contains(call!) && Callee(call!) is { } name
            && _kernel.TryFunction(name, out var callee) && callee.Body is not null;
        return direct ? call : null;
    }

    private static int CountCalls(PtxBlock block, ref PtxInstruction? call)
    {
        int count = 0;
        foreach (var statement in block.Statements)
        {
            if (statement is PtxInstruction { Opcode: "call" } instruction)
            {
                call = instruction;
                count++;
            }
            else if (statement is PtxBlock inner)
            {
                count += CountCalls(inner, ref call);
            }
        }
        return count;
    }

    /// <summary>Where the callee has the parameter or result that a variable of the caller is passed as; null where it is none.</summary>
    private int? ArgumentPlace(PtxInstruction call, PtxVariable variable)
    {
        _kernel.TryFunction(Callee(call)!, out var callee);
        var frame = _kernel.Frame(callee);
        return Find(Arguments(call), callee.Parameters, frame.Parameters) ?? Find(Results(call), callee.Returns, frame.Returns);

        int? Find(PtxOperand[] operands, IReadOnlyList<PtxVariable> formals, int[] places)
        {
            int index = Array.FindIndex(operands, o => o is PtxName name && name.Name == variable.Name);
            return index >= 0 && index < places.Length && formals[index].Size == variable.Size ? places[index] : null;
        }
    }

    private void Call()
    {
        Take("uni");
        string name = Callee(_p) ?? throw Refuse("the function is missing");
        if (!_kernel.TryFunction(name, out var callee))
            throw Refuse(_scope.TryFind(name, _kernel.Registers, _p.Line, out _) ? "calls through pointers are not supported" : $"there is no function {name}");
        PtxOperand[] arguments = Arguments(_p), results = Results(_p);
        if (arguments.Length != callee.Parameters.Count || results.Length != callee.Returns.Count)
            throw Refuse($"{name} has {callee.Parameters.Count} parameters and {callee.Returns.Count} results");
        if (callee.Body is null)
        {
            CallBuiltin(callee, arguments, results);
            return;
        }
        if (callee.IsKernel)
            throw Refuse($"{name} is a kernel: kernels are not called");
        var frame = _kernel.Frame(callee);
        for (int k = 0; k < arguments.Length; k++)
            Pass(arguments[k], callee.Parameters[k], frame.Parameters[k]);
        var i = Instruction.Create(Opcode.Call);
        i.D = frame.ReturnAddress;
        _kernel.CallAt(_kernel.Code.Count, callee);
        Emit(i);
        for (int k = 0; k < results.Length; k++)
            Receive(results[k], callee.Returns[k], frame.Returns[k]);
    }

    private void CallBuiltin(PtxFunction callee, PtxOperand[] arguments, PtxOperand[] results)
    {
        var (function, parameters) = callee.Name switch
        {
            "vprintf" => (BuiltinFunction.Printf, (int[])[8, 8]),
            "__assertfail" => (BuiltinFunction.AssertFail, [8, 8, 4, 8, 8]),
            "malloc" or "free" => throw Refuse("memory is not allocated by kernels: this is not supported"),
            _ => throw Refuse($"{callee.Name} has no body here and is no function of the CUDA run time that is supported"),
        };
        if (!callee.Parameters.Select(p => p.Size).SequenceEqual(parameters.Select(b => (long)b)) || callee.Returns.Any(r => r.Size != 4))
            throw Refuse($"{callee.Name} is declared with other parameters than it has");
        int[] places = new int[1 + arguments.Length];
        places[0] = results.Length > 0 && LocalVariable(results[0], callee.Returns[0]) is { } result ? result : -1;
        for (int k = 0; k < arguments.Length; k++)
        {
            var formal = callee.Parameters[k];
            if (LocalVariable(arguments[k], formal) is { } place)
            {
                places[1 + k] = place;
                continue;
            }
            places[1 + k] = _kernel.AllocateLocal(formal.Size, formal.Alignment, _p.Line);
            Pass(arguments[k], formal, places[1 + k]);
        }
        var i = Instruction.Create(Opcode.CallBuiltin);
        i.Mode = (byte)function;
        BeginList(ref i);
        foreach (int place in places)
            Add(ref i, place);
        Emit(i);
    }

    /// <summary>The place of a .param variable of the caller; null for a register or constant.</summary>
    private int? LocalVariable(PtxOperand operand, PtxVariable formal)
    {
        if (operand is not PtxName name || !_scope.TryFind(name.Name, _kernel.Registers, _p.Line, out var symbol) || symbol.Kind == SymbolKind.Register)
            return null;
        if (symbol.Kind != SymbolKind.Local || symbol.Bytes != formal.Size)
            throw Refuse($"{name.Name} is no parameter of {formal.Size} bytes");
        return symbol.Value;
    }

    private void Pass(PtxOperand argument, PtxVariable formal, int place)
    {
        if (LocalVariable(argument, formal) is { } from)
        {
            Copy(from, place, formal);
            return;
        }
        var type = TypeNames.Parse(formal.Type);
        if (formal.Count != 1 || formal.ElementBytes != type.Bytes())
            throw Refuse($"{Show(argument)} is no array");
        var i = Instruction.Create(Opcode.St, type);
        i.Space = StateSpace.Local;
        i.SourceType = PtxType.U64;
        i.Offset = place;
        i.B = Source(argument, type);
        Emit(i);
    }

    private void Receive(PtxOperand result, PtxVariable formal, int place)
    {
        if (result is PtxName { IsSink: true })
            return;
        if (LocalVariable(result, formal) is { } to)
        {
            Copy(place, to, formal);
            return;
        }
        var type = TypeNames.Parse(formal.Type);
        if (formal.Count != 1 || formal.ElementBytes != type.Bytes())
            throw Refuse($"{Show(result)} is no array");
        var i = Instruction.Create(Opcode.Ld, type);
        i.Space = StateSpace.Local;
        i.SourceType = PtxType.U64;
        i.Offset = place;
        i.D = Register(result, type, false, out i.DeclaredType);
        Emit(i);
    }

    /// <summary>Copies a parameter that could not be placed where the callee has it.</summary>
    private void Copy(int from, int to, PtxVariable formal)
    {
        if (from == to)
            return;
        int step = (int)Math.Min(Math.Min(8, formal.Alignment), 1L << BitOperations.TrailingZeroCount(formal.Size));
        var type = TypeNames.Bits(step);
        int register = _kernel.Registers.Temporary(type, _p.Line);
        for (int offset = 0; offset < formal.Size; offset += step)
        {
            var load = Instruction.Create(Opcode.Ld, type);
            load.Space = StateSpace.Local;
            load.SourceType = PtxType.U64;
            load.Offset = from + offset;
            load.D = register;
            load.DeclaredType = type;
            Emit(load);
            var store = Instruction.Create(Opcode.St, type);
            store.Space = StateSpace.Local;
            store.SourceType = PtxType.U64;
            store.Offset = to + offset;
            store.B = register;
            Emit(store);
        }
    }
}
