using RawDiffusion.Backends;
using RawDiffusion.Verification.Bench;

namespace RawDiffusion.Verification.Peers;

/// <summary>One or more operations of <see cref="BenchTable"/> at a shape, one after the other, as one call: forward and gradients, say.</summary>
public static class PeerOperations
{
    /// <returns>On a device that repeats work as a whole, also the lane in which it does.</returns>
    /// <exception cref="ArgumentException">There is no such operation, or it has no such shape.</exception>
    public static PeerCase Create(IReadOnlyList<string> operations, string shape, Backend device, Precision precision)
    {
        device.AllowTf32 = precision == Precision.Tf32;
        var owned = new List<IDisposable>();
        var bound = new List<BoundCase>();
        try
        {
            foreach (string name in operations)
            {
                var ready = new BenchData(BenchTable.Find(name).At(shape)).Bind(device, precision);
                bound.Add(ready);
                owned.Add(ready);
            }
            var lanes = new List<PeerLane> { new("call by call", Run) };
            Run();
            if (device.Record(Run) is { } recorded)
            {
                // Graphs first: they use the memory of the cases.
                owned.Insert(0, recorded);
                var scalars = new StepScalars { AdamW = new AdamWStep(1e-3, 0.9, 0.999, 1e-8, 0.01, true, 0.5, 0.5), EmaDecay = 0.999 };
                lanes.Add(new PeerLane("recorded", () => recorded.Replay(scalars)));
            }
            return new PeerCase(lanes, owned);
        }
        catch
        {
            owned.ForEach(each => each.Dispose());
            throw;
        }

        void Run()
        {
            foreach (var each in bound)
                each.Run();
        }
    }
}
