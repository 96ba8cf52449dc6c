namespace RawDiffusion.Diffusion.Models;

/// <summary>Activations by the names that diffusers gives them.</summary>
internal static class Activation
{
    public static string[] Names { get; } = ["silu", "swish", "relu", "gelu", "mish"];

    public static bool IsSilu(string name) => name is "silu" or "swish";

    /// <summary>The activation <paramref name="name"/> of x.</summary>
    public static Tensor Apply(string name, Tensor x) => name switch
    {
        "silu" or "swish" => F.Silu(x),
        "relu" => F.Relu(x),
        "gelu" => F.Gelu(x),
        _ => x * F.Softplus(x).Tanh(),
    };
}
