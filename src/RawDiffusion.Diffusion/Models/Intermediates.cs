namespace RawDiffusion.Diffusion.Models;

/// <summary>What a part of a network computes on its way to its output.</summary>
internal static class Intermediates
{
    /// <summary>
    /// Runs a part of a network. With no tape to keep them for, its intermediate results are handed back when it is done instead
    /// of at the end of the step: sampling then takes the memory of one block, which stays in the processor's caches.
    /// </summary>
    public static Tensor Drop(Func<Tensor> part)
    {
        if (GradMode.IsEnabled)
            return part();
        using var scope = new MemoryScope();
        return scope.Keep(part());
    }
}
