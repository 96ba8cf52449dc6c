namespace RawDiffusion.Backends.Cuda;

/// <summary>
/// A kernel that may exist for several element types: the key by which a <see cref="KernelLibrary"/> finds it without looking at strings.
/// Slots are static fields; <c>_kernels[s_forward, x.DType]</c> compiles and loads the file when it is first asked and is an array access
/// from then on.
/// </summary>
/// <param name="file">The file of <c>kernels/</c>.</param>
/// <param name="name">The name without the type: <c>layernorm_forward</c> for <c>layernorm_forward_f32</c> and <c>_bf16</c>.</param>
/// <param name="option">A compiler's option that makes the kernel out of the file: an operator's expression.</param>
internal sealed class KernelSlot(string file, string name, string? option = null)
{
    private static int s_count;

    public string File => file;

    public string Name => name;

    public string? Option => option;

    /// <summary>False where the name is whole already, since the kernel takes elements of a size and not of a type: <c>shaping_copy_b32</c>.</summary>
    public bool IsTyped { get; init; } = true;

    /// <summary>The slot's number among all of the process.</summary>
    internal int Index { get; } = Interlocked.Increment(ref s_count) - 1;

    /// <summary>The whole name for a type.</summary>
    /// <exception cref="ArgumentException">No kernel computes with the type.</exception>
    public string NameFor(DType type) => !IsTyped ? name : type switch
    {
        DType.Float32 => $"{name}_f32",
        DType.BFloat16 => $"{name}_bf16",
        DType.Int32 => $"{name}_i32",
        _ => throw new ArgumentException($"no kernel computes with {type.Name()}"),
    };
}
