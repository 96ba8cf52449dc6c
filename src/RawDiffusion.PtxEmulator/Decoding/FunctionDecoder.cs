using System.Runtime.InteropServices;
using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>
/// Decodes the body of a kernel or function: declarations to places, instructions to <see cref="Instruction"/>. This part keeps names and
/// places; the others have the operands and one family of instructions each.
/// </summary>
internal sealed partial class FunctionDecoder
{
    private readonly KernelDecoder _kernel;
    private readonly PtxFunction _function;

    /// <summary>Null for a kernel.</summary>
    private readonly FunctionFrame? _frame;

    private readonly List<(int Pc, Label Label)> _branches = [];
    private readonly List<(int Operand, Label Label)> _indirect = [];
    private readonly Label _end = new("the end of the function");
    private readonly Dictionary<PtxPlace, SourceLine> _inlined = [];
    private SymbolScope _scope = new(null);
    private int _carry = -1;
    private int _line = -1;
    private int _lastLabel = -1;

    // The instruction at hand.
    private PtxInstruction _p = null!;
    private ulong _used;
    private int _guard;
    private bool _guardNegated;

    public FunctionDecoder(KernelDecoder kernel, PtxFunction function, FunctionFrame? frame, KernelParameter[] parameters)
    {
        _kernel = kernel;
        _function = function;
        _frame = frame;
        foreach (var p in parameters)
            Declare(p.Name, new Symbol(SymbolKind.KernelParameter, p.Type, p.Offset, StateSpace.Parameter, p.Bytes), function.Line);
        if (frame is null)
            return;
        Formals(function.Parameters, frame.Parameters);
        Formals(function.Returns, frame.Returns);

        void Formals(IReadOnlyList<PtxVariable> variables, int[] offsets)
        {
            for (int i = 0; i < offsets.Length; i++)
            {
                if (variables[i].IsOpen)
                    throw new PtxException(variables[i].Line, $"parameter {variables[i].Name} has no extent", "");
                Declare(variables[i].Name, Local(variables[i], offsets[i]), variables[i].Line);
            }
        }
    }

    /// <summary>Puts the code behind what the kernel has so far.</summary>
    public void Decode()
    {
        var code = _kernel.Code;
        int start = code.Count;
        Block(_function.Body!);
        End(start);

        var span = CollectionsMarshal.AsSpan(code);
        foreach (var (pc, label) in _branches)
            span[pc].Target = label.Pc;
        foreach (var (operand, label) in _indirect)
            _kernel.Operands[operand] = label.Pc;
        ControlFlow.SetReconvergence(code, start, code.Count, _kernel.Operands);
        RegisterAllocation.Allocate(code, start, code.Count, _kernel.Operands, _kernel.Registers, _function.Line);
    }

    /// <summary>A function has one Ret, at its end; a kernel that runs off its end exits.</summary>
    private void End(int start)
    {
        var code = _kernel.Code;
        bool follows = code.Count > start && code[^1].Guard < 0 && _lastLabel < code.Count;
        int line = code.Count > start ? _kernel.PtxLines[^1] : _function.Line;
        if (_frame is null)
        {
            if (!follows || code[^1].Opcode != Opcode.Exit)
                _kernel.Emit(Instruction.Create(Opcode.Exit) with { Line = _line }, line);
            return;
        }
        if (follows && _branches.Count > 0 && _branches[^1] == (code.Count - 1, _end))
        {
            _branches.RemoveAt(_branches.Count - 1);
            code.RemoveAt(code.Count - 1);
            _kernel.PtxLines.RemoveAt(code.Count);
        }
        _end.Pc = code.Count;
        _kernel.Emit(Instruction.Create(Opcode.Ret) with { Line = _line, A = _frame.ReturnAddress }, line);
    }

    private void Block(PtxBlock block)
    {
        _scope = new SymbolScope(_scope);
        foreach (var statement in block.Statements)
        {
            bool added = statement switch
            {
                PtxLabel label => _scope.TryAddLabel(label.Name),
                PtxTargets { AreCalls: false } targets => _scope.TryAddTargets(targets.Name, targets.Targets),
                _ => true,
            };
            if (!added)
                throw new PtxException(statement.Line, "a label is used a second time in its block", (statement as PtxLabel)?.Name ?? "");
        }
        var call = SingleCall(block);
        foreach (var statement in block.Statements)
        {
            switch (statement)
            {
                case PtxBlock inner:
                    Block(inner);
                    break;
                case PtxLabel label:
                    _lastLabel = _scope.FindLabel(label.Name)!.Pc = _kernel.Code.Count;
                    break;
                case PtxRegisters registers:
                    Registers(registers);
                    break;
                case PtxLocalVariable variable:
                    Variable(variable.Variable, call);
                    break;
                case PtxLocation location:
                    Location(location);
                    break;
                case PtxInstruction instruction:
                    Decode(instruction);
                    break;
            }
        }
        _scope = _scope.Outer!;
    }

    /// <summary>
    /// The line of a place that the compiler gave no line (0) is the one before it. A place that was inlined refers to a place that may
    /// itself have been inlined: then an earlier .loc says where.
    /// </summary>
    private void Location(PtxLocation location)
    {
        if (location.Place.Line == 0)
            return;
        SourceLine? at = null;
        if (location.InlinedAt is { } place)
            at = _inlined.TryGetValue(place, out var known) && Depth(known) < 32 ? known : _kernel.Source(place, null);
        if (at is not null && _kernel.Source(location.Place, at) is { } source)
            _inlined[location.Place] = source;
        else
            _inlined.Remove(location.Place);
        _line = _kernel.Line(location.Place, at);
    }

    private static int Depth(SourceLine line)
    {
        int depth = 0;
        for (var at = line.InlinedAt; at is not null; at = at.InlinedAt)
            depth++;
        return depth;
    }

    private void Registers(PtxRegisters registers)
    {
        var type = TypeNames.Parse(registers.Type);
        if (type == PtxType.B128)
            throw new PtxException(registers.Line, "registers of 128 bits are not supported", registers.Name);
        if (registers.Count < 0)
            Declare(registers.Name, new Symbol(SymbolKind.Register, type, _kernel.Registers.Register(type, registers.Line)), registers.Line);
        else if (!_scope.TryAddFamily(registers.Name, type, registers.Count))
            throw new PtxException(registers.Line, "registers are declared a second time in their block", registers.Name);
    }

    private void Variable(PtxVariable variable, PtxInstruction? call)
    {
        if (variable.Size == 0)
            throw new PtxException(variable.Line, $"variable {variable.Name} has no bytes", "");
        var symbol = variable.Space switch
        {
            PtxSpace.Shared => new Symbol(SymbolKind.Shared, Element(variable), _kernel.SharedOffset(variable), StateSpace.Shared, variable.Size),
            PtxSpace.Global or PtxSpace.Const => new Symbol(SymbolKind.Global, Element(variable), _kernel.Variables.IndexOf(variable),
                variable.Space == PtxSpace.Const ? StateSpace.Constant : StateSpace.Global, variable.Size),
            _ => Local(variable, variable.Space == PtxSpace.Param && call is not null && ArgumentPlace(call, variable) is { } place
                ? place : _kernel.AllocateLocal(variable.Size, variable.Alignment, variable.Line)),
        };
        Declare(variable.Name, symbol, variable.Line);
    }

    private static Symbol Local(PtxVariable variable, int offset) =>
        new(SymbolKind.Local, Element(variable), offset, StateSpace.Local, variable.Size);

    private static PtxType Element(PtxVariable variable) => TypeNames.Parse(variable.Type);

    private void Declare(string name, Symbol symbol, int line)
    {
        if (!_scope.TryAdd(name, symbol))
            throw new PtxException(line, "a name is declared a second time in its block", name);
    }

    private void Decode(PtxInstruction instruction)
    {
        _p = instruction;
        _used = 0;
        if (instruction.Modifiers.Length > 64)
            throw Refuse("there are more than 64 modifiers");
        _guard = instruction.Guard is null ? -1 : Register(new PtxName(instruction.Guard), PtxType.Pred);
        _guardNegated = instruction.GuardNegated;
        if (_guard >= 0 && instruction.Opcode is "call" or "brx")
            DecodeBehindBranch();
        else
            DecodeOpcode();
        for (int i = 0; i < instruction.Modifiers.Length; i++)
        {
            if ((_used >> i & 1) == 0)
                throw Refuse($".{instruction.Modifiers[i]} is not supported here");
        }
    }

    /// <summary>Calls and indirect branches under a guard become a branch around the same without one.</summary>
    private void DecodeBehindBranch()
    {
        var behind = new Label("behind");
        _guardNegated = !_guardNegated;
        _branches.Add((_kernel.Code.Count, behind));
        Emit(Instruction.Create(Opcode.Bra));
        _guard = -1;
        DecodeOpcode();
        _lastLabel = behind.Pc = _kernel.Code.Count;
    }

    /// <summary>Appends an instruction under the guard and line of the one at hand.</summary>
    private void Emit(in Instruction instruction)
    {
        var complete = instruction;
        complete.Guard = _guard;
        if (_guard >= 0 && _guardNegated)
            complete.Flags |= InstructionFlags.GuardNegated;
        complete.Line = _line;
        _kernel.Emit(complete, _p.Line);
    }

    private PtxException Refuse(string problem) => new(_p.Line, problem, _p.Text.Span);
}
