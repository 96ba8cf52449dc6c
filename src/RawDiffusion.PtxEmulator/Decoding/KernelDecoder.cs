using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>
/// Decodes one kernel with the functions that it calls: lays out parameters, shared and local memory, and puts the code of the functions
/// behind its own.
/// </summary>
internal sealed class KernelDecoder(
    PtxModule module, ModuleVariables variables, Dictionary<string, PtxFunction> functions, PtxFunction kernel, string[] text)
{
    private const int MostParameterBytes = 32764, MostSharedBytes = 48 << 10, MostLocalBytes = 512 << 10, MostInstructions = 1 << 22;

    private readonly Dictionary<PtxFunction, FunctionFrame> _frames = [];
    private readonly Dictionary<PtxVariable, int> _sharedOffsets = [];
    private readonly List<SharedVariable> _shared = [];
    private readonly Dictionary<SourceLine, int> _lineIndices = [];
    private readonly List<SourceLine> _lines = [];
    private readonly List<(int Pc, PtxFunction Function)> _calls = [];
    private int _local;

    public ModuleVariables Variables => variables;

    public RegisterLayout Registers { get; } = new();

    public List<Instruction> Code { get; } = [];

    public List<int> PtxLines { get; } = [];

    public List<int> Operands { get; } = [];

    public DecodedKernel Decode()
    {
        var parameters = Parameters(out int parameterBytes);
        var reach = new CallGraph(functions, variables);
        reach.Walk(kernel);
        int staticShared = LayOutShared(reach.SharedVariables);
        foreach (var function in reach.Functions)
            _frames[function] = new FunctionFrame(function, this);

        new FunctionDecoder(this, kernel, null, parameters).Decode();
        foreach (var function in reach.Functions)
        {
            _frames[function].Start = Code.Count;
            new FunctionDecoder(this, function, _frames[function], []).Decode();
        }
        var code = Code.ToArray();
        foreach (var (pc, function) in _calls)
            code[pc].Target = _frames[function].Start;

        var (block, exact) = BlockLimit();
        return new DecodedKernel
        {
            Name = kernel.Name,
            Code = code,
            Operands = [.. Operands],
            RegisterBytes = Registers.Bytes,
            Constants = Registers.Constants,
            Specials = Registers.Specials,
            Parameters = parameters,
            ParameterBytes = parameterBytes,
            StaticSharedBytes = staticShared,
            SharedVariables = [.. _shared],
            LocalBytes = Align(_local, 16, kernel.Line),
            Lines = [.. _lines],
            PtxLines = [.. PtxLines],
            PtxText = text,
            MaxBlock = block,
            RequiresExactBlock = exact,
            DeclaredRegisters = Registers.DeclaredRegisters,
        };
    }

    public void Emit(in Instruction instruction, int ptxLine)
    {
        if (Code.Count >= MostInstructions)
            throw new PtxException(ptxLine, $"a kernel has more than {MostInstructions} instructions", "");
        Code.Add(instruction);
        PtxLines.Add(ptxLine);
    }

    /// <summary>A place in the local memory of each thread, not shared with anything else.</summary>
    public int AllocateLocal(long bytes, int alignment, int line)
    {
        int offset = Align(_local, alignment, line);
        if (bytes > MostLocalBytes - offset)
            throw new PtxException(line, $"a thread has more than {MostLocalBytes} bytes of local memory", "");
        _local = offset + (int)bytes;
        return offset;
    }

    public int SharedOffset(PtxVariable variable) => _sharedOffsets[variable];

    public bool TryFunction(string name, out PtxFunction function) => functions.TryGetValue(name, out function!);

    public FunctionFrame Frame(PtxFunction function) => _frames[function];

    public void CallAt(int pc, PtxFunction function) => _calls.Add((pc, function));

    /// <summary>The index of a source line; -1 where the file is unknown.</summary>
    public int Line(PtxPlace place, SourceLine? inlinedAt)
    {
        var line = Source(place, inlinedAt);
        if (line is null)
            return -1;
        if (!_lineIndices.TryGetValue(line, out int index))
        {
            _lineIndices[line] = index = _lines.Count;
            _lines.Add(line);
        }
        return index;
    }

    public SourceLine? Source(PtxPlace place, SourceLine? inlinedAt) =>
        module.Files.TryGetValue(place.File, out string? file) ? new SourceLine(file, place.Line, place.Column, inlinedAt) : null;

    private KernelParameter[] Parameters(out int bytes)
    {
        if (kernel.Returns.Count > 0)
            throw new PtxException(kernel.Line, $"kernel {kernel.Name} returns a value", "");
        var parameters = new KernelParameter[kernel.Parameters.Count];
        bytes = 0;
        for (int i = 0; i < parameters.Length; i++)
        {
            var p = kernel.Parameters[i];
            if (p.IsOpen)
                throw new PtxException(p.Line, $"parameter {p.Name} has no extent", "");
            int offset = Align(bytes, p.Alignment, p.Line);
            if (p.Size > MostParameterBytes - offset)
                throw new PtxException(p.Line, $"kernel {kernel.Name} has more than {MostParameterBytes} bytes of parameters", "");
            bytes = offset + (int)p.Size;
            parameters[i] = new KernelParameter(p.Name, TypeNames.Parse(p.Type), offset, (int)p.Size, p.Alignment);
        }
        return parameters;
    }

    private int LayOutShared(IReadOnlyList<PtxVariable> shared)
    {
        int bytes = 0, dynamicAlignment = 1;
        foreach (var variable in shared)
        {
            if (variable.IsOpen)
            {
                dynamicAlignment = Math.Max(dynamicAlignment, variable.Alignment);
                continue;
            }
            if (variable.Linkage == PtxLinkage.Extern)
                throw new PtxException(variable.Line, $"shared variable {variable.Name} is defined in another module, which is not supported", "");
            int offset = Align(bytes, variable.Alignment, variable.Line);
            if (variable.Size > MostSharedBytes - offset)
                throw new PtxException(variable.Line, $"kernel {kernel.Name} has more than {MostSharedBytes} bytes of static shared memory", "");
            bytes = offset + (int)variable.Size;
            _sharedOffsets[variable] = offset;
            _shared.Add(new SharedVariable(variable.Name, offset, (int)variable.Size));
        }
        bytes = Align(bytes, dynamicAlignment, kernel.Line);
        foreach (var variable in shared.Where(v => v.IsOpen))
        {
            _sharedOffsets[variable] = bytes;
            _shared.Add(new SharedVariable(variable.Name, bytes, 0));
        }
        return bytes;
    }

    private (Dim3? Block, bool Exact) BlockLimit()
    {
        Dim3? block = null;
        bool exact = false;
        foreach (var directive in kernel.Directives)
        {
            switch (directive.Name)
            {
                case "maxntid" or "reqntid":
                    if (directive.Numbers.Any(n => n is < 1 or > 1024))
                        throw new PtxException(directive.Line, $".{directive.Name} wants numbers from 1 to 1024", "");
                    long[] extents = [.. directive.Numbers, 1, 1];
                    block = new Dim3((int)extents[0], (int)extents[1], (int)extents[2]);
                    exact |= directive.Name == "reqntid";
                    break;
                case "reqnctapercluster" when directive.Numbers.Any(n => n != 1):
                    throw new PtxException(directive.Line, "clusters of blocks are not supported", "");
            }
        }
        return (block, exact);
    }

    private static int Align(int offset, int alignment, int line)
    {
        long aligned = ((long)offset + alignment - 1) / alignment * alignment;
        return aligned <= int.MaxValue - 256 ? (int)aligned : throw new PtxException(line, "a layout grows beyond 2 GiB", "");
    }
}
