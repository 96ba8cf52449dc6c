using System.Buffers.Binary;
using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>The variables outside functions: those in global and constant memory with their contents, and those in shared memory by name.</summary>
internal sealed class ModuleVariables
{
    private const int MostConstantBytes = 65536;

    private readonly Dictionary<string, int> _indices = [];
    private readonly List<ModuleVariable> _all = [];
    private readonly Dictionary<string, PtxVariable> _shared = [];
    private readonly Dictionary<PtxVariable, int> _inner = [];
    private readonly PtxModule _module;

    public ModuleVariables(PtxModule module)
    {
        _module = module;
        var defined = new List<PtxVariable>();
        foreach (var variable in module.Variables)
        {
            if (variable.Space == PtxSpace.Shared)
            {
                if (!_shared.TryAdd(variable.Name, variable) && variable.Linkage != PtxLinkage.Extern)
                    throw Error(variable, "is defined a second time");
                continue;
            }
            // Without a linker, what another module defines is missing: an error where it is used.
            if (variable.Linkage == PtxLinkage.Extern)
                continue;
            if (!_indices.TryAdd(variable.Name, defined.Count) || _shared.ContainsKey(variable.Name))
                throw Error(variable, "is defined a second time");
            defined.Add(variable);
        }
        long constant = 0;
        foreach (var variable in defined)
        {
            _all.Add(Make(variable));
            if (variable.Space == PtxSpace.Const && (constant += variable.Size) > MostConstantBytes)
                throw Error(variable, $"makes more than {MostConstantBytes} bytes of constant memory");
        }
    }

    public IReadOnlyList<ModuleVariable> All => _all;

    public bool TryIndex(string name, out int index) => _indices.TryGetValue(name, out index);

    public bool TryShared(string name, out PtxVariable variable) => _shared.TryGetValue(name, out variable!);

    /// <summary>The index of a variable in .global or .const inside a function; one for all kernels that call it.</summary>
    public int IndexOf(PtxVariable variable)
    {
        if (!_inner.TryGetValue(variable, out int index))
        {
            _inner[variable] = index = _all.Count;
            _all.Add(Make(variable));
        }
        return index;
    }

    /// <summary>Whether a name is declared .extern and so has no memory here.</summary>
    public bool IsMissing(string name) => _module.Variables.Any(v => v.Name == name && v.Linkage == PtxLinkage.Extern);

    private ModuleVariable Make(PtxVariable variable)
    {
        var space = variable.Space == PtxSpace.Const ? StateSpace.Constant : StateSpace.Global;
        if (variable.Size == 0)
            throw Error(variable, "has no bytes");
        int scalar = PtxTypeNames.Bytes(variable.Type);
        var pointers = new List<InitialPointer>();
        // The bytes of addresses that are written one by one: by the place of the whole address, which are there.
        var parts = new Dictionary<(long Offset, int Variable, long Addend), int>();
        long end = 0;
        foreach (var initializer in variable.Initializers)
            end = Math.Max(end, (initializer.Index + 1) * scalar);
        byte[] bytes = new byte[end];
        foreach (var initializer in variable.Initializers)
        {
            long offset = initializer.Index * scalar;
            switch (initializer.Value)
            {
                case PtxImmediate immediate:
                    Write(bytes.AsSpan((int)offset, scalar), Bits(variable.Type, immediate, initializer.Line));
                    break;
                case PtxSymbolOffset symbol:
                    int target = Target(symbol.Name, initializer.Line);
                    if (initializer.Mask == 0)
                    {
                        if (scalar != 8)
                            throw new PtxException(initializer.Line, "an address has 64 bits", symbol.Name);
                        pointers.Add(new InitialPointer(offset, target, symbol.Offset));
                        break;
                    }
                    int part = System.Numerics.BitOperations.TrailingZeroCount(initializer.Mask) / 8;
                    if (scalar != 1 || offset < part)
                        throw new PtxException(initializer.Line, "a byte of an address is wanted among bytes", symbol.Name);
                    var whole = (offset - part, target, symbol.Offset);
                    parts[whole] = parts.GetValueOrDefault(whole) | 1 << part;
                    break;
            }
        }
        foreach (var ((offset, target, addend), present) in parts)
        {
            if (present != 0xFF)
                throw Error(variable, "has some bytes of an address without the others");
            pointers.Add(new InitialPointer(offset, target, addend));
        }
        return new ModuleVariable(variable.Name, space, variable.Size, variable.Alignment, bytes, pointers);
    }

    private int Target(string name, int line) =>
        _indices.TryGetValue(name, out int index) ? index
            : throw new PtxException(line, $"the address of {name} is no initial value: it is no variable in global or constant memory", "");

    private static ulong Bits(string type, PtxImmediate value, int line)
    {
        if (value.Kind == PtxImmediateKind.Integer)
            return type is "f16" or "f32" or "f64" or "bf16" && value.Bits != 0
                ? throw new PtxException(line, $"a whole number is no .{type}", "") : value.Bits;
        return type switch
        {
            "f32" or "b32" => value.Kind == PtxImmediateKind.Float32 ? value.Bits
                : BitConverter.SingleToUInt32Bits((float)BitConverter.UInt64BitsToDouble(value.Bits)),
            "f64" or "b64" => value.Kind == PtxImmediateKind.Float64 ? value.Bits
                : BitConverter.DoubleToUInt64Bits(BitConverter.UInt32BitsToSingle((uint)value.Bits)),
            _ => throw new PtxException(line, $"a float is no .{type}", ""),
        };
    }

    private static void Write(Span<byte> bytes, ulong value)
    {
        Span<byte> whole = stackalloc byte[16];
        whole.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(whole, value);
        whole[..bytes.Length].CopyTo(bytes);
    }

    private static PtxException Error(PtxVariable variable, string problem) => new(variable.Line, $"variable {variable.Name} {problem}", "");
}
