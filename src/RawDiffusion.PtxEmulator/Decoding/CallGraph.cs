using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>What a kernel reaches: functions through calls, and the shared variables that it and they name or declare.</summary>
internal sealed class CallGraph(Dictionary<string, PtxFunction> functions, ModuleVariables variables)
{
    private readonly HashSet<PtxFunction> _active = [], _done = [];
    private readonly HashSet<PtxVariable> _seen = [];
    private readonly List<PtxFunction> _functions = [];
    private readonly List<PtxVariable> _shared = [];

    /// <summary>Without the kernel itself, callers after those that they call.</summary>
    public IReadOnlyList<PtxFunction> Functions => _functions;

    public IReadOnlyList<PtxVariable> SharedVariables => _shared;

    public void Walk(PtxFunction kernel)
    {
        _active.Add(kernel);
        Walk(kernel.Body!, 0);
    }

    private void Walk(PtxBlock block, int depth)
    {
        foreach (var statement in block.Statements)
        {
            switch (statement)
            {
                case PtxBlock inner:
                    Walk(inner, depth);
                    break;
                case PtxLocalVariable { Variable: { Space: PtxSpace.Shared } variable }:
                    AddShared(variable);
                    break;
                case PtxInstruction instruction:
                    foreach (var operand in instruction.Operands)
                        Names(operand);
                    if (instruction.Opcode == "call" && FunctionDecoder.Callee(instruction) is { } name
                        && functions.TryGetValue(name, out var callee) && callee.Body is not null)
                        Call(callee, instruction, depth + 1);
                    break;
            }
        }
    }

    private void Call(PtxFunction callee, PtxInstruction instruction, int depth)
    {
        if (_done.Contains(callee))
            return;
        if (callee.IsKernel)
            throw new PtxException(instruction.Line, $"{callee.Name} is a kernel: kernels are not called", instruction.Text.Span);
        if (!_active.Add(callee))
            throw new PtxException(instruction.Line, $"{callee.Name} calls itself: recursion is not supported", instruction.Text.Span);
        if (depth > 256)
            throw new PtxException(instruction.Line, "calls are nested more than 256 deep", instruction.Text.Span);
        Walk(callee.Body!, depth);
        _active.Remove(callee);
        _done.Add(callee);
        _functions.Add(callee);
    }

    private void Names(PtxOperand operand)
    {
        string? name = operand switch
        {
            PtxName n => n.Name,
            PtxSymbolOffset s => s.Name,
            PtxAddress a => a.Base,
            _ => null,
        };
        if (name is not null && variables.TryShared(name, out var variable))
            AddShared(variable);
        PtxOperand[] parts = operand switch
        {
            PtxVector vector => vector.Elements,
            PtxArguments arguments => arguments.Elements,
            PtxPair pair => [pair.First, pair.Second],
            _ => [],
        };
        foreach (var part in parts)
            Names(part);
    }

    private void AddShared(PtxVariable variable)
    {
        if (_seen.Add(variable))
            _shared.Add(variable);
    }
}
