using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>
/// Where a called function has its parameters and result in local memory, its return address and its code. There is one frame for each
/// function of a kernel, since none calls itself.
/// </summary>
internal sealed class FunctionFrame
{
    public FunctionFrame(PtxFunction function, KernelDecoder kernel)
    {
        Function = function;
        Parameters = [.. function.Parameters.Select(Place)];
        Returns = [.. function.Returns.Select(Place)];
        ReturnAddress = kernel.Registers.Slot(PtxType.U32, function.Line);

        int Place(PtxVariable variable) => kernel.AllocateLocal(variable.Size, variable.Alignment, variable.Line);
    }

    public PtxFunction Function { get; }

    /// <summary>Offsets in local memory.</summary>
    public int[] Parameters { get; }

    public int[] Returns { get; }

    /// <summary>The slot.</summary>
    public int ReturnAddress { get; }

    /// <summary>Index of its first instruction.</summary>
    public int Start { get; set; }
}
