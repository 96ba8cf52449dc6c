using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>Turns PTX text into kernels that can be executed.</summary>
public static class ModuleDecoder
{
    /// <param name="name">The module's name, for messages.</param>
    /// <param name="text">PTX as NVRTC writes it.</param>
    /// <exception cref="PtxException">The text is malformed or uses what the emulator does not execute; the message has line and text.</exception>
    public static DecodedModule Decode(string name, string text)
    {
        var module = PtxParser.Parse(text);
        var variables = new ModuleVariables(module);
        var functions = Functions(module);
        string[] lines = text.TrimEnd('\0').Split('\n');
        var kernels = new List<DecodedKernel>();
        foreach (var function in module.Functions)
        {
            if (function is { IsKernel: true, Body: not null })
                kernels.Add(new KernelDecoder(module, variables, functions, function, lines).Decode());
        }
        return new DecodedModule(name, module.Target, variables.All, kernels);
    }

    /// <summary>By name; a function with a body stands for its declarations.</summary>
    private static Dictionary<string, PtxFunction> Functions(PtxModule module)
    {
        var functions = new Dictionary<string, PtxFunction>();
        foreach (var function in module.Functions)
        {
            if (functions.TryGetValue(function.Name, out var other))
            {
                if (function.Body is not null && other.Body is not null)
                    throw new PtxException(function.Line, $"{function.Name} is defined a second time, first in line {other.Line}", "");
                if (function.Body is null)
                    continue;
            }
            functions[function.Name] = function;
        }
        return functions;
    }
}
