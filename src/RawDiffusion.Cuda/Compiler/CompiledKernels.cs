using System.Text;

namespace RawDiffusion.Cuda;

/// <summary>What a compiler made of a source: machine code or PTX, ready for <see cref="CudaDriver.LoadModule"/>.</summary>
/// <param name="Name">The source's name.</param>
/// <param name="Target">What it was compiled to.</param>
/// <param name="Image">The cubin, or PTX as UTF-8 text without a zero at its end.</param>
/// <param name="Log">What the compiler said: warnings, and for a cubin what each kernel needs.</param>
public sealed record CompiledKernels(string Name, KernelTarget Target, byte[] Image, string Log)
{
    /// <summary>The PTX.</summary>
    /// <exception cref="InvalidOperationException">It is machine code.</exception>
    public string Ptx => Target.IsCubin
        ? throw new InvalidOperationException($"{Name} was compiled to machine code for {Target}; compile it for compute_{Target.ComputeCapability} to get PTX.")
        : Encoding.UTF8.GetString(Image);

    /// <summary>What each kernel needs, as the assembler reports it; nothing for PTX, whose registers are not assigned yet.</summary>
    public IReadOnlyList<KernelResources> Resources => KernelResources.Parse(Log);
}
