using RawDiffusion.Backends;

namespace RawDiffusion.Optim;

/// <summary>
/// Numbers that step after step leaves on a device, such as its loss, kept there and read many at a time: what a step adds is copied
/// in the order of the device's work, and the host waits only when it reads.
/// </summary>
/// <example><code>
/// losses.Add(loss);
/// if (losses.IsFull)
///     Print(losses.Take());
/// </code></example>
public sealed class ScalarTrace
{
    private readonly Storage _values;
    private readonly Storage[] _places;
    private readonly double[] _read;

    /// <param name="capacity">How many numbers are kept before they must be read.</param>
    public ScalarTrace(Backend device, int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        _values = MemoryScope.AllocatePersistent(device, device.FloatType, capacity);
        // Where nothing was written yet there is something to read nevertheless.
        device.Fill(_values, 0);
        _places = new Storage[capacity];
        for (int i = 0; i < capacity; i++)
            _places[i] = _values.Slice(i, 1);
        _read = new double[capacity];
    }

    /// <summary>Numbers that have not been read.</summary>
    public int Count { get; private set; }

    public bool IsFull => Count == _places.Length;

    /// <summary>Keeps what a tensor of one element holds when the device has come that far. Waits for nothing and allocates nothing.</summary>
    /// <exception cref="InvalidOperationException">There is no room: read first.</exception>
    public void Add(Tensor scalar)
    {
        if (IsFull)
            throw new InvalidOperationException($"A trace of {_places.Length} numbers is full; take them first.");
        var place = _places[Count];
        if (scalar.Count != 1 || scalar.Device != place.Backend || scalar.DType != place.DType)
            throw new ArgumentException($"A trace keeps scalars of {place.DType.Name()} on {place.Backend.Name}, not {scalar}.");
        place.Backend.Copy(scalar.Storage, place);
        Count++;
    }

    /// <summary>The numbers in the order in which they were added, none of which is kept any longer. Waits for the device.</summary>
    /// <returns>Memory that the next call uses again.</returns>
    public ReadOnlySpan<double> Take()
    {
        if (Count == 0)
            return [];
        _values.Backend.Download(_values, _read);
        var taken = _read.AsSpan(0, Count);
        Count = 0;
        return taken;
    }
}
