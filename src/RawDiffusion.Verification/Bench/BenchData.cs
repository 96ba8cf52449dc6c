using RawDiffusion.Backends;

namespace RawDiffusion.Verification.Bench;

/// <summary>The random inputs of a case, the same for every device, and the results that are right for them.</summary>
/// <remarks>A case of some hundred megabytes is usual, so values are made once, and given up with this object.</remarks>
public sealed class BenchData(BenchCase benchCase)
{
    private readonly float[]?[] _floats = new float[benchCase.Tensors.Count][];
    private readonly Dictionary<(Backend, bool), float[]?[]> _expected = [];

    public BenchCase Case => benchCase;

    /// <summary>The case's arrays on a device, filled and prepared.</summary>
    /// <param name="precision">Bfloat16 rounds activations also on devices that keep them in another type.</param>
    public BoundCase Bind(Backend device, Precision precision)
    {
        var bound = new BoundCase(benchCase, device, precision);
        try
        {
            Fill(bound, precision);
            benchCase.Prepare?.Invoke(device, bound.Storages);
            return bound;
        }
        catch
        {
            bound.Dispose();
            throw;
        }
    }

    /// <summary>What a device that is trusted makes of the case; null for arrays that are no results. Computed once.</summary>
    public float[]?[] Expected(Backend oracle, Precision precision)
    {
        bool rounded = precision == Precision.BFloat16;
        if (_expected.TryGetValue((oracle, rounded), out var known))
            return known;
        using var bound = Bind(oracle, precision);
        bound.Run();
        return _expected[(oracle, rounded)] = bound.Results();
    }

    private void Fill(BoundCase bound, Precision precision)
    {
        for (int i = 0; i < bound.Storages.Length; i++)
        {
            var tensor = benchCase.Tensors[i];
            var storage = bound.Storages[i];
            switch (tensor.Values)
            {
                case BenchValues.Undefined:
                    // Garbage that happens to be right must not pass: a kernel that writes nothing leaves NaN.
                    bound.Device.Fill(storage, double.NaN);
                    break;
                case BenchValues.Zeros:
                    bound.Device.Fill(storage, 0);
                    break;
                case BenchValues.Indices:
                    bound.Device.Upload(Indices(tensor, i), storage);
                    break;
                default:
                    float[] values = Floats(tensor, i);
                    if (precision == Precision.BFloat16 && tensor.IsActivation)
                        values = Array.ConvertAll(values, x => BFloat16.Value(BFloat16.Round(x)));
                    if (storage.DType == DType.Float64)
                        bound.Device.Upload(Array.ConvertAll(values, x => (double)x), storage);
                    else
                        bound.Device.Upload(values, storage);
                    break;
            }
        }
    }

    private PhiloxState State(int tensor) => new(CaseInputs.StableHash(benchCase.ToString()), (ulong)tensor, 0);

    private float[] Floats(BenchTensor tensor, int index)
    {
        if (_floats[index] is { } made)
            return made;
        var cpu = RawDiffusion.Device.Cpu;
        var storage = cpu.Allocate(DType.Float32, (int)tensor.Count);
        if (tensor.Values == BenchValues.Normal)
            cpu.Normal(NormalMethod.BoxMuller, State(index), storage);
        else
            cpu.Uniform(State(index), 0, 1, storage);
        var values = new float[tensor.Count];
        cpu.Download(storage, values);
        cpu.Release(storage);
        return _floats[index] = values;
    }

    private int[] Indices(BenchTensor tensor, int index)
    {
        var values = new int[tensor.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = (int)Philox.Integer(State(index), i, (uint)tensor.End);
        return values;
    }
}

/// <summary>A case on a device. Its arrays go back to the device when it is disposed of.</summary>
public sealed class BoundCase : IDisposable
{
    private readonly BenchCase _case;

    internal BoundCase(BenchCase benchCase, Backend device, Precision precision)
    {
        (_case, Device) = (benchCase, device);
        Storages = new Storage[benchCase.Tensors.Count];
        for (int i = 0; i < Storages.Length; i++)
        {
            var type = benchCase.Tensors[i].TypeIn(device.Precisions.Contains(Precision.BFloat16) ? precision : Precision.Float32);
            Storages[i] = device.Allocate(type == DType.Float32 ? device.FloatType : type, (int)benchCase.Tensors[i].Count);
        }
    }

    public Backend Device { get; }

    public Storage[] Storages { get; }

    public void Run() => _case.Run(Device, Storages);

    /// <summary>The results as they are now; null for arrays that are none.</summary>
    public float[]?[] Results()
    {
        var results = new float[]?[Storages.Length];
        for (int i = 0; i < results.Length; i++)
        {
            if (!_case.Tensors[i].IsResult)
                continue;
            if (Storages[i].DType == DType.Float64)
            {
                var doubles = new double[Storages[i].Length];
                Device.Download(Storages[i], doubles);
                results[i] = Array.ConvertAll(doubles, x => (float)x);
            }
            else
            {
                float[] floats = new float[Storages[i].Length];
                Device.Download(Storages[i], floats);
                results[i] = floats;
            }
        }
        return results;
    }

    public void Dispose()
    {
        foreach (var storage in Storages)
        {
            if (storage is not null)
                Device.Release(storage);
        }
    }
}
