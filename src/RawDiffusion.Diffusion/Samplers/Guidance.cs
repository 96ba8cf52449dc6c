namespace RawDiffusion.Diffusion.Samplers;

/// <summary>Classifier-free guidance (Ho and Salimans 2022).</summary>
public static class Guidance
{
    /// <summary>
    /// The network for given classes, guided: unconditional + scale (conditional - unconditional). Holds for whatever the network
    /// predicts, since each of these is a linear function of the others. Scale 1 asks the network once, every other scale twice.
    /// </summary>
    /// <param name="labels">Int32 [n].</param>
    /// <param name="nullLabel">The label that stands for no class.</param>
    /// <param name="scale">1 for no guidance, 0 for no class.</param>
    public static DenoisingNetwork Guided(ConditionalNetwork network, Tensor labels, int nullLabel, double scale)
    {
        if (scale == 1)
            return (x, times) => network(x, times, labels);
        int[] none = new int[labels.Count];
        Array.Fill(none, nullLabel);
        var unconditional = Tensor.From(none, labels.Shape, labels.Device);
        return (x, times) => F.Guide(network(x, times, labels), network(x, times, unconditional), scale);
    }
}
