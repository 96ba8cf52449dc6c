using RawDiffusion.Backends.Cuda.Ladders;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    private readonly List<Rung> _forced = [];

    /// <summary>Tf32 from Ampere on; bfloat16 anywhere, though older devices have no tensor cores for it.</summary>
    public override IReadOnlyList<Precision> Precisions { get; }

    /// <summary>The compute capability, ten times the major number plus the minor: 80 for Ampere, 90 for Hopper.</summary>
    public int Capability => Context.Target.ComputeCapability;

    /// <summary>
    /// Has a rung compute its operation, whatever the backend would have taken, until the result is disposed of. Not to be used while
    /// another thread uses the backend.
    /// </summary>
    /// <returns>Ends it.</returns>
    /// <exception cref="NotSupportedException">The device lacks its instructions. What it cannot do by shape or type shows when it is asked to.</exception>
    public IDisposable Use(Rung rung)
    {
        if (rung.MinimumCapability > Capability)
        {
            throw new NotSupportedException(
                $"{rung} needs compute capability {rung.MinimumCapability / 10}.{rung.MinimumCapability % 10}; {Name} has {Capability / 10}.{Capability % 10}.");
        }
        _forced.Add(rung);
        return new Forced(this, rung);
    }

    /// <summary>The rung that was asked for by <see cref="Use"/>, or null: then the backend chooses.</summary>
    private Rung? Chosen(Ladder ladder)
    {
        for (int i = _forced.Count - 1; i >= 0; i--)
        {
            if (ReferenceEquals(_forced[i].Operation, ladder.Operation))
                return _forced[i];
        }
        return null;
    }

    private sealed class Forced(CudaBackend backend, Rung rung) : IDisposable
    {
        public void Dispose() => backend._forced.Remove(rung);
    }
}
