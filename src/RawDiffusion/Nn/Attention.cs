using RawDiffusion.Backends;

namespace RawDiffusion.Nn;

/// <summary>
/// Multi-head attention over sequences [B, T, channels]: of a sequence to itself, or to a context [B, S, contextChannels].
/// Parameters are named as in diffusers (<c>to_q</c>, <c>to_k</c>, <c>to_v</c>, <c>to_out.0</c>). Source: Vaswani et al. 2017.
/// </summary>
public sealed class Attention : Layer
{
    private readonly int _heads;

    /// <param name="headWidth">Channels of one head; channels / heads when left out.</param>
    /// <param name="contextChannels">Channels of what is attended to; <paramref name="channels"/> when left out.</param>
    /// <param name="bias">Whether queries, keys and values have biases; the output always has one.</param>
    /// <exception cref="ArgumentException">Channels cannot be shared equally among the heads.</exception>
    public Attention(
        int channels, int heads, Generator generator, int? headWidth = null, int? contextChannels = null, bool bias = true, Backend? device = null)
    {
        if (heads < 1 || headWidth is null && channels % heads != 0)
            throw new ArgumentException($"Attention: {channels} channels cannot be shared equally among {heads} heads.");
        int inner = heads * (headWidth ?? channels / heads), context = contextChannels ?? channels;
        _heads = heads;
        ToQ = new Linear(channels, inner, generator, bias, device);
        ToK = new Linear(context, inner, generator, bias, device);
        ToV = new Linear(context, inner, generator, bias, device);
        ToOut = new Linear(inner, channels, generator, device: device);
    }

    public Linear ToQ { get; }

    public Linear ToK { get; }

    public Linear ToV { get; }

    [Name("to_out.0")]
    public Linear ToOut { get; }

    /// <summary>Self attention.</summary>
    public override Tensor Forward(Tensor x) => Forward(x, x);

    /// <summary>Attention of x[B, T, channels] to context[B, S, contextChannels]: [B, T, channels].</summary>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public Tensor Forward(Tensor x, Tensor context)
    {
        if (x.Rank != 3 || context.Rank != 3)
            throw new ArgumentException($"Attention: sequences are [B, T, C], not {x.Shape} and {context.Shape}.");
        var y = F.ScaledDotProductAttention(Heads(ToQ.Forward(x)), Heads(ToK.Forward(context)), Heads(ToV.Forward(context)));
        return ToOut.Forward(y.Reshape([x.Shape[0], x.Shape[1], ToOut.Weight.Shape[1]]));
    }

    protected override string Describe() => $"{_heads} heads";

    /// <summary>[B, T, C] seen as [B, T, heads, C / heads].</summary>
    private Tensor Heads(Tensor x) => x.Reshape([x.Shape[0], x.Shape[1], _heads, x.Shape[2] / _heads]);
}
